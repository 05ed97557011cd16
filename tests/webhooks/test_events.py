"""A signed delivery becomes a typed event, or one of two errors."""

from __future__ import annotations

import gc
import json
import pickle
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from enprompta import webhooks
from enprompta.errors import ConfigurationError, WebhookPayloadError, WebhookSignatureError
from enprompta.testing import EXAMPLES
from enprompta.webhooks import (
    PromptExecuted,
    TeamMemberAdded,
    TeamMemberRemoved,
    UnknownEvent,
    WebhookEvent,
    WorkflowCompleted,
    WorkflowFailed,
    construct_event,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_0123456789"
NOW = datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc)
REFERENCE = {
    "id": "evt_abc123",
    "event": "prompt.executed",
    "created_at": "2024-01-17T10:15:00Z",
    "api_version": "2024-01-01",
    "data": {
        "execution_id": "exe_xyz789",
        "prompt_id": "pmt_abc123",
        "status": "completed",
        "tokens_used": 568,
        "cost": 0.0284,
    },
}
WORKFLOW = {"execution_id": "wfe_1", "workflow_id": "wfl_1", "status": "completed", "tokens_used": 5, "cost": 1}
MEMBER = {"team_id": "tem_1", "user_id": "usr_1", "email": "a@example.com", "role": "ADMIN"}


def read(**changes: Any) -> WebhookEvent:
    """Sign the reference's example with some fields changed, and parse it."""
    body = json.dumps({**REFERENCE, **changes})
    return construct_event(body, sign(body, SECRET), SECRET)


def signed(payload: dict[str, Any]) -> tuple[str, str]:
    """Serialize and sign a payload."""
    body = json.dumps(payload)
    return body, sign(body, SECRET)


def test_the_references_example_is_read() -> None:
    """The example of the API reference is parsed into a typed event, from every accepted form of payload."""
    body = json.dumps(REFERENCE)
    signature = {"X-Enprompta-Signature": sign(REFERENCE, SECRET)}
    for payload in (body, body.encode(), REFERENCE):
        event = construct_event(payload, signature, ["new", SECRET])
        assert isinstance(event, PromptExecuted)
        assert event.id == "evt_abc123"
        assert event.created_at == NOW
        assert event.api_version == "2024-01-01"
        assert event.data.tokens_used == 568
        assert event.data.cost == pytest.approx(0.0284)
        assert event.model_dump(mode="json") == REFERENCE


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("workflow.completed", WORKFLOW, WorkflowCompleted),
        ("workflow.failed", {**WORKFLOW, "status": "failed", "error": "step 2"}, WorkflowFailed),
        ("workflow.failed", {**WORKFLOW, "error": {"code": "X"}}, WorkflowFailed),
        ("team.member_added", MEMBER, TeamMemberAdded),
        ("team.member_removed", {"team_id": "tem_1", "user_id": "usr_1"}, TeamMemberRemoved),
        ("prompt.archived", {"anything": [1]}, UnknownEvent),
        ("prompt.archived", None, UnknownEvent),
        ("", [], UnknownEvent),
    ],
)
def test_each_event_has_its_class(name: str, data: Any, kind: type) -> None:
    """The class follows from `event`; an unknown event is an UnknownEvent with all its fields."""
    event = read(event=name, data=data)
    assert type(event) is kind
    assert event.event == name
    dumped = event.model_dump(mode="json", exclude_unset=True)["data"]
    assert dumped == data


def test_match_narrows() -> None:
    """A `match` on the class gives access to the data of that event."""
    match read(event="team.member_added", data=MEMBER):
        case TeamMemberAdded(data=data):
            assert data.role == "ADMIN"
        case other:
            pytest.fail(f"not narrowed: {other!r}")


def test_new_fields_come_through() -> None:
    """Unknown fields are kept, and both spellings of known fields are read."""
    event = read(region="eu", data={"executionId": "exe_1", "promptId": "pmt_1", "model": "m-1"})
    assert isinstance(event, PromptExecuted)
    assert event.data.execution_id == "exe_1"
    assert event.model_extra == {"region": "eu"}
    assert event.data.model_extra == {"model": "m-1"}


def test_the_union_is_a_pydantic_type() -> None:
    """`WebhookEvent` validates JSON and events by itself, for applications that store events."""
    adapter: TypeAdapter[WebhookEvent] = TypeAdapter(WebhookEvent)
    event = adapter.validate_json(json.dumps(REFERENCE))
    assert isinstance(event, PromptExecuted)
    assert adapter.validate_python(event) is event
    assert adapter.validate_json(adapter.dump_json(event)) == event
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize("signature", [None, "", "sha256=" + "0" * 64, {}, "é" * 71])
def test_what_is_not_signed_is_not_read(signature: Any) -> None:
    """Without a valid signature the body is not parsed: the error is about the signature even for invalid JSON."""
    for body in (json.dumps(REFERENCE), "nonsense"):
        with pytest.raises(WebhookSignatureError, match="is not signed with this secret") as caught:
            construct_event(body, signature, SECRET)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "its body is not JSON$"),
        (b"{", "its body is not JSON$"),
        (b"\xff", "its body is not JSON$"),
        (b'{"id": NaN,}', "its body is not JSON$"),
        (b"[" * 100_000, "its body is not JSON$"),
        (b'{"n":' + b"9" * 5000 + b"}", "is not an event: id: Field required; "),
        (b"[]", "its body is not a JSON object$"),
        (b'"text"', "its body is not a JSON object$"),
        (b"{}", r"is not an event: id: Field required; created_at: Field required; event: Field required$"),
        (b'{"event":"prompt.executed","data":{}}', r"an event: id: Field required; created_at: Field required$"),
        (b'{"event":[],"id":null,"created_at":1e21}', "id: Input should be a valid string; created_at: "),
        (b'{"event":5,"id":"e","created_at":"x"}', "created_at: Input should be a valid datetime"),
    ],
)
def test_what_is_signed_and_no_event_is_a_payload_error(body: bytes, problem: str) -> None:
    """The error for a signed body that is not an event names the invalid fields and shows none of their values."""
    with pytest.raises(WebhookPayloadError, match=f"^The webhook delivery is signed, but .*{problem}"):
        construct_event(body, sign(body, SECRET), SECRET)


def test_why_a_body_is_not_json() -> None:
    """The cause of the error gives the position of the JSON error."""
    body = b'{"id": nope}'
    with pytest.raises(WebhookPayloadError) as caught:
        construct_event(body, sign(body, SECRET), SECRET)
    assert str(caught.value.__cause__) == "Expecting value: line 1 column 8 (char 7)"


NINES = "9" * 5000
MISFITS = ["1e21", "568.5", '"568"', "-1", "NaN", "-Infinity", NINES, "1e999", "null", "true", "[]", '{"a":{"b":[{}]}}',
           '""', '"\\ud800"', "0.1e-7"]  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_data_that_does_not_fit_is_still_its_event(kind: str, misfit: str) -> None:
    """A data field accepts any value: the event keeps its class, other fields are typed, and it can be dumped."""
    example = EXAMPLES[kind]
    plain: Any = read(event=kind, data=example)
    for name in example:
        data = ",".join(f'"{one}":{misfit if one == name else json.dumps(example[one])}' for one in example)
        body = f'{{"id":"e","event":"{kind}","created_at":"2024-01-17T10:15:00Z","data":{{{data}}}}}'
        event: Any = construct_event(body, sign(body, SECRET), SECRET)
        assert type(event) is type(plain)
        assert all(getattr(event.data, one) == getattr(plain.data, one) for one in example if one != name)
        assert pickle.loads(pickle.dumps(event)).model_dump(mode="json")["data"].keys() == example.keys()


@pytest.mark.parametrize(
    ("sent", "held"), [("1e21", 1e21), ("568.5", 568.5), ('"many"', "many"), ("568.0", 568), (NINES, NINES)]
)
def test_an_invalid_value_is_kept_as_sent(sent: str, held: object) -> None:
    """A value of the wrong type is returned as the service sent it."""
    body = json.dumps(REFERENCE).replace("568", sent)
    event = construct_event(body, sign(body, SECRET), SECRET)
    assert isinstance(event, PromptExecuted)
    assert event.data.tokens_used == held


@pytest.mark.parametrize("data", [None, [], "text", 5, {"unknown": 1}])
def test_data_of_another_shape_is_held_as_sent(data: Any) -> None:
    """Data that is not an object is returned raw; missing required fields are None and are not dumped."""
    for kind in EXAMPLES:
        event: Any = read(event=kind, data=data)
        assert event.model_dump(mode="json", exclude_unset=True)["data"] == data
        assert not isinstance(data, dict) or event.data.model_extra == data
    missing: Any = construct_event(*signed({"id": "e", "event": "prompt.executed", "created_at": str(NOW)}), SECRET)
    assert type(missing) is PromptExecuted
    assert missing.data is None
    empty = read(data={})
    assert isinstance(empty, PromptExecuted)
    assert (empty.data.execution_id, empty.data.model_fields_set) == (None, set())
    assert read(api_version=["2"]).api_version == ["2"]


@pytest.mark.parametrize("kind", ["prompt.executed", "prompt.archived"])
def test_text_that_is_not_quite_unicode(kind: str) -> None:
    """A byte order mark, lone surrogates, invalid UTF-8 and NaN are read, and the id can be stored."""
    head = f'{{"event":"{kind}","created_at":"2024-01-17T10:15:00Z","data":null,'.encode()
    for rest, identity in [
        (b'"id":"a\\ud800"}', "a\ufffd"),
        (b'"id":"a\xed\xa0\x80"}', "a\ufffd"),
        (b'"id":"a\xff"}', "a\ufffd"),
        (b'"id":"a","\\udfff":NaN}', "a"),
    ]:
        for mark in (b"", b"\xef\xbb\xbf"):
            body = mark + head + rest
            event = construct_event(body, sign(body, SECRET), SECRET)
            assert event.id == identity
            assert event.model_dump_json()


@pytest.mark.parametrize("event", ["prompt.executed", "prompt.archived"])
@pytest.mark.parametrize("piece", ["1,", "[],", '{"1":0},', '"a",', '"\\u00e9",', "1e30,", "9", "[", '"', " "])
def test_reading_a_body_takes_linear_time(event: str, piece: str) -> None:
    """The time to parse or reject a signed body is linear in its length, whatever its content."""

    def seconds(size: int) -> float:
        pieces = piece * (size // len(piece))
        text = (
            f'{{"id":"e","created_at":"2024-01-17T10:15:00Z","event":"{event}","data":{{"execution_id":[{pieces}1]}}}}'
        )
        signature = sign(text, SECRET)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            with suppress(WebhookPayloadError):
                construct_event(text, signature, SECRET)
            best = min(best, time.process_time() - start)
        return best

    gc.disable()  # collections depend on what else the process holds
    try:
        assert seconds(160_000) < 8 * max(seconds(20_000), 0.001) * 4  # quadratic would be 64
    finally:
        gc.enable()


def test_the_signed_text_is_what_is_read() -> None:
    """A reformatted body yields the event that was signed, not the reformatted text."""
    signed = json.dumps({**REFERENCE, "n": 9007199254740992}, separators=(",", ":"))
    rewritten = json.dumps({**REFERENCE, "n": 9007199254740993}, indent=1)
    event = construct_event(rewritten, sign(signed, SECRET), SECRET)
    assert event.model_extra == {"n": 9007199254740992}


@pytest.mark.parametrize(
    ("age", "tolerance", "refused"),
    [
        (300, 300, ""),
        (301, 300, "301 seconds ago, outside the tolerance of 300 seconds"),
        (-300, 300, ""),
        (-301, 300, "301 seconds ahead, outside the tolerance of 300 seconds"),
        (10**9, None, ""),
        (1, 0.5, "1 seconds ago, outside the tolerance of 0.5 seconds"),
    ],
)
def test_tolerance(age: int, tolerance: float | None, refused: str) -> None:
    """With a tolerance, events further in the past or future are rejected; without one, none are."""
    body = json.dumps(REFERENCE)

    def attempt() -> WebhookEvent:
        clock = (NOW + timedelta(seconds=age)).timestamp()
        return construct_event(body, sign(body, SECRET), SECRET, tolerance=tolerance, clock=lambda: clock)

    if refused:
        with pytest.raises(WebhookSignatureError) as caught:
            attempt()
        assert str(caught.value) == f"The webhook event evt_abc123 was created {refused}"
    else:
        assert attempt().id == "evt_abc123"


@pytest.fixture
def far_from_greenwich() -> Iterator[None]:
    """Set a local time zone other than UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize("created_at", ["2024-01-17T10:15:00", "2024-01-17T10:15:00Z", "2024-01-17T11:15:00+01:00"])
def test_a_time_without_a_zone_is_utc(created_at: str) -> None:
    """A `created_at` without a time zone is UTC, as the API writes it; one with a zone uses that zone."""
    body = json.dumps({**REFERENCE, "created_at": created_at})
    assert construct_event(body, sign(body, SECRET), SECRET, tolerance=1, clock=NOW.timestamp).id == "evt_abc123"


@pytest.mark.parametrize("tolerance", [0, -1, float("nan"), float("inf")])
def test_an_invalid_tolerance_is_refused(tolerance: float) -> None:
    """A tolerance that would accept nothing or everything is a configuration error."""
    with pytest.raises(ConfigurationError, match="tolerance must be a positive number"):
        construct_event("{}", None, SECRET, tolerance=tolerance)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["prompt.executed", "workflow.failed", "team.member_added"]) | st.text()
times = st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str) | json_values
events = st.fixed_dictionaries(
    {"id": st.text() | json_values, "event": names | json_values, "created_at": times, "data": json_values}
)


@settings(deadline=None, max_examples=300)
@given(payload=events | json_values | st.binary(), tolerance=st.none() | st.floats(1, 1e9))
def test_no_signed_input_raises_anything_else(payload: Any, tolerance: float | None) -> None:
    """A sender who has the secret still gets only an event or one of the two errors."""
    signature = sign(payload, SECRET)
    try:
        event = construct_event(payload, signature, SECRET, tolerance=tolerance)
    except (WebhookSignatureError, WebhookPayloadError):
        return
    assert isinstance(event.id, str)


def test_the_public_names() -> None:
    """`__all__` is sorted as the linter sorts, complete and importable; other names are AttributeErrors."""
    assert set(dir(webhooks)) == set(webhooks.__all__)
    assert all(getattr(webhooks, name) is not None for name in webhooks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = webhooks.nothing


LOADED = {"SIGNATURE_HEADER", "ecma_json", "matching_secret", "sign", "verify_signature"}


@pytest.mark.parametrize("name", sorted(set(webhooks.__all__) - LOADED))
def test_a_name_is_loaded_when_it_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name loaded late is the same object as in its module, and is looked up only once."""
    held = getattr(webhooks, name)
    monkeypatch.delitem(vars(webhooks), name)
    assert getattr(webhooks, name) is held
    assert vars(webhooks)[name] is held
