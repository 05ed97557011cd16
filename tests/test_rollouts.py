"""Rollouts: each unit always gets the same label, labels get their share, and changes move few units."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, Split
from enprompta.hooks import Hooks

if TYPE_CHECKING:
    from enprompta.rollouts import Exposure

URL = "https://api.test/api/v1"
UNITS = [f"user-{number}" for number in range(20_000)]
NINE_TO_ONE = {"production": 9, "canary": 1}


def labels(weights: dict[str, float], **how: Any) -> list[str]:
    """The label of each unit."""
    return [Split(weights, unit=unit, **how).choose("welcome") for unit in UNITS]


@pytest.mark.parametrize("weights", [NINE_TO_ONE, {"a": 1, "b": 1, "c": 1}, {"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.05}])
def test_labels_get_their_share(weights: dict[str, float]) -> None:
    """The counts fit the weights by a chi-square test (p > 0.001 for up to 3 degrees of freedom)."""
    found, total = Counter(labels(weights)), sum(weights.values())
    expected = {label: len(UNITS) * weight / total for label, weight in weights.items()}
    assert sum((found[label] - one) ** 2 / one for label, one in expected.items()) < 16.3


def test_growing_moves_only_units_that_must_move() -> None:
    """From 1 to 2 of 10, a tenth of the units move, all to the canary; no unit leaves it."""
    before, after = labels(NINE_TO_ONE), labels({"production": 8, "canary": 2})
    moved = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert set(moved) == {("production", "canary")}
    assert len(moved) == pytest.approx(len(UNITS) / 10, rel=0.1)


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.01, 100), min_size=2, max_size=5),
    st.text(min_size=1),
    st.floats(1, 100),
)
def test_a_label_that_grows_only_gains(weights: dict[str, float], unit: str, factor: float) -> None:
    """Whatever the weights are, a heavier label takes units from others, and moves none between them."""
    before = Split(weights, unit=unit).choose("s")
    grown = next(iter(weights))
    after = Split({**weights, grown: weights[grown] * factor}, unit=unit).choose("s")
    assert after in {before, grown}
    assert Split(dict(reversed(weights.items())), unit=unit).choose("s") == before


def test_the_choice_is_the_documented_one() -> None:
    """The algorithm written a second time, as another language would; and results that must never change."""
    for unit in UNITS[:500]:
        scores: dict[str, float] = {}
        for label, weight in NINE_TO_ONE.items():
            digest = hashlib.sha256(b"\0".join(one.encode() for one in ("welcome", label, unit))).digest()
            number = int.from_bytes(digest[:8], "big") // 2048
            scores[label] = -math.log((number + 0.5) / 9007199254740992) / weight
        assert Split(NINE_TO_ONE, unit=unit).choose("welcome") == min(scores, key=lambda label: scores[label])
    fixed = "".join(Split({"a": 1, "b": 1}, unit=number, salt="x").choose() for number in range(24))
    assert fixed == "aaaaaabbaaabaaaabbabbaaa"


def test_processes_agree() -> None:
    """Other processes, with any PYTHONHASHSEED, choose the same labels."""
    program = "from enprompta import Split; import sys; print([Split({'production': 9, 'canary': 1}, unit=f'user-{n}')"
    program += ".choose('welcome') for n in range(300)])"
    for seed in ("0", "1", "4294967295"):
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(labels(NINE_TO_ONE)[:300])


def test_the_salt_is_the_slug_unless_one_is_given() -> None:
    """Canaries of two prompts are different users, or the same ones with a common salt."""
    one, other = (
        [Split(NINE_TO_ONE, unit=unit).choose(slug) for unit in UNITS[:2_000]] for slug in ("welcome", "goodbye")
    )
    both = sum(a == b == "canary" for a, b in zip(one, other, strict=True))
    assert both < 60  # 20 by chance, 200 if they were the same
    salted = Split(NINE_TO_ONE, unit="7", salt="exp")
    assert salted.choose("welcome") == salted.choose("goodbye") == salted.choose()


def test_a_split_is_a_value() -> None:
    """It compares, hashes, pickles and copies; a unit of another type is its text."""
    uid = UUID(int=5)
    split = Split(NINE_TO_ONE, unit=7)
    with pytest.raises(TypeError):
        split.weights["canary"] = 5  # type: ignore[index] # read-only
    assert split == Split({"canary": 1.0, "production": 9.0}, unit="7")
    assert len({split, Split(NINE_TO_ONE, unit="7"), Split(NINE_TO_ONE, unit=uid)}) == 2
    assert pickle.loads(pickle.dumps(split)) == copy.copy(split) == copy.deepcopy(split) == split
    assert Split(NINE_TO_ONE, unit=uid).unit == str(uid)
    assert Split(NINE_TO_ONE, unit="\ud800").choose("s") in NINE_TO_ONE


@pytest.mark.parametrize(
    ("weights", "unit", "salt", "message"),
    [
        ({}, "u", None, "needs labels with weights"),
        (["production"], "u", None, "needs labels with weights"),
        ({1: 1}, "u", None, "labels of a Split must be text"),
        ({"": 1}, "u", None, "labels of a Split must be text"),
        ({"a": 0}, "u", None, "weight of 'a' must be a positive number, not 0"),
        ({"a": -1}, "u", None, "positive number"),
        ({"a": math.nan}, "u", None, "positive number"),
        ({"a": math.inf}, "u", None, "positive number"),
        ({"a": True}, "u", None, "positive number"),
        ({"a": "9"}, "u", None, "positive number"),
        ({"a": None}, "u", None, "positive number"),
        ({"a": 10**400}, "u", None, "positive number"),
        ({"a": 1}, "", None, "unit is empty"),
        ({"a": 1}, None, None, "unit must be text, an int or a UUID, not None"),
        ({"a": 1}, True, None, "not bool"),
        ({"a": 1}, 1.5, None, "not float"),
        ({"a": 1}, "u", 3, "salt must be text or None, not int"),
    ],
)
def test_what_is_no_split_is_refused(weights: Any, unit: Any, salt: Any, message: str) -> None:
    """The error names what to change."""
    with pytest.raises(ConfigurationError, match=message):
        Split(weights, unit=unit, salt=salt)


class Label(str):
    """A text of another type, as an enumeration is."""

    __slots__ = ()


class Recorder(Hooks):
    """Hooks that keep exposures."""

    def __init__(self) -> None:
        self.seen: list[Exposure] = []

    def on_exposure(self, record: Exposure, /) -> None:
        """Keep the record."""
        self.seen.append(record)


def service(request: httpx.Request) -> httpx.Response:
    """Answer with the version of the label; `gone` does not exist."""
    slug, label = request.url.path.rpartition("/")[2], request.url.params["label"]
    if slug == "gone":
        return httpx.Response(404, json={"error": {"message": "gone"}})
    number = {"production": "3", "canary": "4"}[label]
    body = {"id": "p", "slug": slug, "label": label, "version": {"number": number}, "content": f"v{number}"}
    return httpx.Response(200, json=body, headers={"content-type": "application/json"})


@pytest.fixture(params=["sync", "asyncio", "trio"])
def get(request: pytest.FixtureRequest) -> Any:
    """Call a method of `prompts` of each kind of client; has the requests and the exposures."""
    hooks, requests = Recorder(), list[httpx.Request]()

    def answer(sent: httpx.Request) -> httpx.Response:
        requests.append(sent)
        return service(sent)

    options: Any = {"api_key": "ep_x", "base_url": URL, "limiter": None, "hooks": [hooks], "max_retries": 0}
    transport = httpx.MockTransport(answer)
    if request.param == "sync":
        client: Any = Enprompta(http_client=httpx.Client(transport=transport), **options)
        yield SimpleNamespace(call=lambda do: do(client), requests=requests, exposures=hooks.seen)
        client._http_client.close()
        return
    with start_blocking_portal(request.param) as portal:
        client = AsyncEnprompta(http_client=httpx.AsyncClient(transport=transport), **options)

        async def call(do: Any) -> Any:
            return await do(client)

        yield SimpleNamespace(call=lambda do: portal.call(call, do), requests=requests, exposures=hooks.seen)
        portal.call(client._http_client.aclose)


def test_labels_are_cached_and_exposures_reported(get: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred users cost one request per label; each call is in the log and the hooks, and the log has no user."""
    caplog.set_level(logging.INFO, "enprompta")
    for number in range(100):
        split = Split({"production": 1, "canary": 1}, unit=f"ada@{number}")
        live = get.call(lambda c, split=split: c.prompts.get_live("welcome", label=split))
        assert live.label == split.choose("welcome")
    assert len(get.requests) == 2
    assert len(get.exposures) == 100
    record = get.exposures[-1]
    assert (record.slug, record.unit, record.salt, record.is_fallback) == ("welcome", "ada@99", "welcome", False)
    assert record.version == {"production": 3, "canary": 4}[record.label]
    events = [one for one in caplog.records if getattr(one, "event", "") == "prompt_exposed"]
    assert len(events) == 100
    assert "ada@" not in caplog.text
    assert record.unit_hash in events[-1].getMessage()


def test_a_fallback_is_an_exposure_too(get: Any) -> None:
    """It is marked, and has no version; without a fallback the error is raised and nothing is reported."""
    split = Split({"canary": 1}, unit="ada", salt="x")
    get.call(lambda c: c.prompts.get_live("gone", label=split, fallback="Hi"))
    (record,) = get.exposures
    assert (record.is_fallback, record.version, record.salt) == (True, None, "x")
    with pytest.raises(Exception, match="gone"):
        get.call(lambda c: c.prompts.get_live("gone", label=split))
    assert len(get.exposures) == 1


def test_raw_responses_take_a_split(get: Any) -> None:
    """Each one is a request, and an exposure; an ordinary label is none, and no other type is a label."""
    split = Split({"canary": 1}, unit="ada")
    raw = get.call(lambda c: c.with_raw_response.prompts.get_live("welcome", label=split))
    assert (raw.status_code, raw.data.content) == (200, "v4")
    assert len(get.exposures) == 1
    get.call(lambda c: c.with_raw_response.prompts.get_live("welcome"))
    get.call(lambda c: c.prompts.get_live("welcome", label=Label("canary")))
    get.call(lambda c: c.prompts.get_live("welcome"))
    assert len(get.exposures) == 1
    with pytest.raises(ConfigurationError, match="label must be text"):
        get.call(lambda c: c.prompts.get_live("welcome", label=["canary"]))


def test_an_exposure_is_an_event_of_the_current_span() -> None:
    """With OpenTelemetry the event has the names of the feature flag conventions, and a hash of the user."""
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from enprompta.otel import OpenTelemetryHooks

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with httpx.Client(transport=httpx.MockTransport(service)) as http:
        client = Enprompta(
            api_key="ep_x", base_url=URL, limiter=None, max_retries=0, http_client=http,
            hooks=[OpenTelemetryHooks(provider)],
        )  # fmt: skip
        with provider.get_tracer("test").start_as_current_span("request"):
            client.prompts.get_live("welcome", label=Split({"canary": 1}, unit="ada"))
            client.prompts.get_live("gone", label=Split({"canary": 1}, unit="ada"), fallback="Hi")
    (span,) = [one for one in exporter.get_finished_spans() if one.name == "request"]
    first, second = ({**(event.attributes or {})} for event in span.events)
    assert {event.name for event in span.events} == {"feature_flag.evaluation"}
    assert first["feature_flag.key"] == "welcome"
    assert first["feature_flag.result.variant"] == "canary"
    assert first["enprompta.prompt.version"] == "4"
    assert second["enprompta.prompt.is_fallback"] is True
    assert "enprompta.prompt.version" not in second
    assert "ada" not in json.dumps([first, second])
