"""OpenTelemetry: a span a call with the names of the conventions, metrics, propagation, and no contents."""

from __future__ import annotations

import builtins
import importlib
import json
import pickle
import pkgutil
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from openinference.semconv.trace import SpanAttributes
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv import _incubating, attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from enprompta import APIError, APIResponseError, APIStatusError, BadRequestError, Enprompta
from enprompta._common import semantic_conventions as names
from enprompta.limiters.interface import NoLimiter
from enprompta.otel import OpenTelemetryHooks, _template
from tests.faults.flavours import Caller, Waits, run, settle
from tests.faults.server import FaultServer, Peer, answer
from tests.openapi_file import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
EXECUTION = {"id": "exe_1", "status": "completed", "output": "the answer", "tokens": 568, "cost": 0.0284,
             "provider": "google", "model": "gemini-pro-002", "error": None}  # fmt: skip


class Telescope:
    """The spans that a backend would receive."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("test")
        self.hooks = OpenTelemetryHooks(self.tracer_provider, self.meter_provider)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The client's spans that have ended, in order."""
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return []
        metrics = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def seen() -> Iterator[Telescope]:
    """Spans and metrics kept in memory."""
    telescope = Telescope()
    yield telescope
    telescope.tracer_provider.shutdown()
    telescope.meter_provider.shutdown()


@pytest.fixture
def client(server: FaultServer, seen: Telescope) -> Iterator[Enprompta]:
    """A blocking client with the hooks."""
    options: Any = {"base_url": server.base_url, "hooks": [seen.hooks], "limiter": None, "max_retries": 0}
    with Enprompta(api_key="ep_test", **options) as client:
        yield client


def status(code: int) -> Callable[[Peer], None]:
    """Answer with a status."""

    def play(peer: Peer) -> None:
        peer.read()
        peer.send(answer(code, b'{"error": {"message": "no"}}', [("X-Request-Id", f"req_{code}")]))

    return play


def executed(peer: Peer, **changes: Any) -> None:
    """Answer as an execution that was asked for."""
    peer.read()
    peer.send(answer(201, json.dumps({"success": True, "data": {**EXECUTION, **changes}}).encode()))


class Slow(NoLimiter):
    """A limiter and its account, which make everybody wait for a second and a half."""

    waited = 1.5

    def account(self, key: str) -> Self:
        """Return itself."""
        return self


def test_a_call_is_a_span(flavour: str, server: FaultServer, seen: Telescope) -> None:
    """It is of kind CLIENT, named by method and template, with the stable attributes of HTTP clients."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
            await caller.call("GET")

    run(flavour, scenario)
    (span,) = seen.spans
    assert span.name == "GET /prompts/{id}"
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.full": f"{server.base_url}/prompts/p1",
        "url.template": "/prompts/{id}",
        "http.response.status_code": 200,
        "http.response.header.x-request-id": ("req_1",),
    }
    scope: Any = span.instrumentation_scope
    assert (scope.name, scope.schema_url) == ("enprompta", names.SCHEMA_URL)


def test_attempts_are_events_of_one_span(flavour: str, server: FaultServer, seen: Telescope, waits: Waits) -> None:
    """A call is one span whatever its retries; each attempt is an event, and each request carries the same span."""
    server.play(status(503), Peer.reset)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
            with seen.tracer.start_as_current_span("outer"):
                await caller.call("GET")

    run(flavour, scenario)
    (span,) = seen.spans
    assert span.status.status_code is StatusCode.UNSET
    assert _there(span.attributes)["http.request.resend_count"] == 2
    assert [(event.name, dict(_there(event.attributes))) for event in span.events] == [
        ("attempt", {"enprompta.attempt.number": 1, "http.response.status_code": 503, "error.type": "503"}),
        ("attempt", {"enprompta.attempt.number": 2, "error.type": "APIConnectionError"}),
        ("attempt", {"enprompta.attempt.number": 3, "http.response.status_code": 200}),
    ]
    assert {one.headers["traceparent"] for one in server.received} == {_traceparent(span)}


@pytest.mark.parametrize(
    ("play", "options", "expected"),
    [
        (status(503), {}, ("503", None)),
        (Peer.reset, {}, ("APIConnectionError", "connection")),
        (status(503), {"max_retries": 3, "deadline": 0.3}, ("APITimeoutError", "the deadline")),
    ],
)
def test_a_failed_call_says_why(
    server: FaultServer, seen: Telescope, play: Any, options: Any, expected: tuple[str, str | None]
) -> None:
    """A status is the type of error without a description; any other failure is named by its class."""
    error, description = expected
    server.play(then=play)
    base: Any = {"base_url": server.base_url, "hooks": [seen.hooks], "limiter": None, "max_retries": 0, **options}
    with Enprompta(api_key="ep_test", **base) as client, suppress(APIError):
        client.prompts.get("p1")
    (span,) = seen.spans
    assert span.status.status_code is StatusCode.ERROR
    assert _there(span.attributes)["error.type"] == error
    assert (span.status.description is None) is (description is None)
    assert (description or "") in (span.status.description or "")


def test_a_call_that_sends_nothing_is_a_span(server: FaultServer, seen: Telescope) -> None:
    """A call that its rate limit or deadline ends before it is sent is recorded too, without an attempt."""
    options: Any = {"base_url": server.base_url, "hooks": [seen.hooks], "limiter": Slow(), "deadline": 1e-9}
    with Enprompta(api_key="ep_test", **options) as client, pytest.raises(APIError):
        client.prompts.get("p1")
    (span,) = seen.spans
    assert _there(span.attributes)["error.type"] == "APITimeoutError"
    assert span.events == ()


def test_old_names_are_written_beside_the_new(
    server: FaultServer, seen: Telescope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`OTEL_SEMCONV_STABILITY_OPT_IN` asks for the older names as well, for each group of conventions."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup, gen_ai/dup")
    hooks = OpenTelemetryHooks(seen.tracer_provider, seen.meter_provider)
    server.play(then=executed)
    with Enprompta(api_key="ep_test", base_url=server.base_url, hooks=[hooks], limiter=None) as client:
        client.prompts.execute("p1")
    attributes = _there(seen.spans[0].attributes)
    assert attributes["http.status_code"] == attributes["http.response.status_code"] == 200 + 1
    assert attributes["gen_ai.system"] == attributes["gen_ai.provider.name"] == "gcp.gen_ai"


def test_names_are_those_of_the_released_package() -> None:
    """The table of names has the names of the newest released semantic conventions, and of OpenInference."""
    released: dict[str, str] = {}
    for package in (attributes, _incubating.attributes):
        for module in pkgutil.iter_modules(package.__path__):
            released.update(vars(importlib.import_module(f"{package.__name__}.{module.name}")))
    released.update({name: getattr(SpanAttributes, name) for name in dir(SpanAttributes) if name.isupper()})
    table = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    own = {name for name, value in table.items() if value.startswith("enprompta.")}
    unreleased = {"GEN_AI_PROMPT_VERSION", "HTTP_RESPONSE_HEADER_REQUEST_ID", "SCHEMA_URL"}
    assert {name: released.get(name) for name in table if name not in own | unreleased} == {
        name: value for name, value in table.items() if name not in own | unreleased
    }
    assert list(Schemas)[-1].value == names.SCHEMA_URL


def test_spans_are_children_of_the_current_one(flavour: str, server: FaultServer, seen: Telescope) -> None:
    """The span that is current where the call is made is the parent, for tasks that run at once too."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:

            async def one(number: int) -> None:
                with seen.tracer.start_as_current_span(f"outer {number}"):
                    await settle(caller.client.prompts.get(f"p{number}"))
                    current: Any = trace.get_current_span()
                    assert current.name == f"outer {number}"

            if not caller.is_async:
                await one(0)
                return
            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(one, number)

    run(flavour, scenario)
    outer = {span.context.span_id: span for span in seen.exporter.get_finished_spans() if span.context}
    assert seen.spans
    for span in seen.spans:
        parent = outer[_there(span.parent).span_id]
        number = str(_there(span.attributes)["url.full"])[-1]
        assert parent.name == f"outer {number}"
        assert _there(span.context).trace_id == _there(parent.context).trace_id


def test_without_a_parent_a_trace_begins(flavour: str, server: FaultServer, seen: Telescope) -> None:
    """A call out of the blue is the root of its trace, and what it sends along names it."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
            await caller.call("POST")

    run(flavour, scenario)
    (span,) = seen.spans
    assert span.parent is None
    assert server.received[0].headers["traceparent"] == _traceparent(span)


def test_baggage_is_sent_along(server: FaultServer, seen: Telescope, client: Enprompta) -> None:
    """Other propagated values are sent too; a value that cannot be encoded does not break the call."""
    token = context.attach(baggage.set_baggage("tenant", "ż b"))
    try:
        client.prompts.get("p1")
    finally:
        context.detach(token)
    assert server.received[0].headers["baggage"] == "tenant=%C5%BC+b"


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_a_cancelled_call_ends_its_span(flavour: str, server: FaultServer, seen: Telescope) -> None:
    """A task that gives up leaves no span open, and the span says so."""
    server.play(then=Peer.stall)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
            with anyio.move_on_after(0.1):
                await caller.call("GET")

    run(flavour, scenario)
    (span,) = seen.spans
    assert _there(span.attributes)["error.type"] == "cancelled"
    assert span.status.status_code is StatusCode.ERROR
    assert seen.hooks._open == {}


def test_redirects_are_no_errors_to_the_conventions(server: FaultServer, seen: Telescope, client: Enprompta) -> None:
    """A 3xx leaves the span's status alone, though the call raises."""
    server.play(status(302))
    with pytest.raises(APIStatusError, match="302"):
        client.prompts.get("p1")
    (span,) = seen.spans
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in _there(span.attributes)


class TestExecutions:
    def test_an_execution_records_its_model_and_settings(
        self, flavour: str, server: FaultServer, seen: Telescope
    ) -> None:
        """Provider, models, settings, tokens and cost are recorded by the names of the conventions; no contents are."""
        server.play(then=executed)

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
                await settle(
                    caller.client.prompts.execute(
                        "p1", variables={"name": "hush"}, provider="google", model="gemini-pro",
                        temperature=0.5, max_tokens=100, top_p=0.9, stop_sequences=["END"],
                    )
                )  # fmt: skip

        run(flavour, scenario)
        (span,) = seen.spans
        attributes = _there(span.attributes)
        assert span.name == "POST /prompts/{id}/execute"
        named = {name: value for name, value in attributes.items() if name.startswith(("gen_ai.", "enprompta."))}
        assert named == {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "gcp.gen_ai",
            "gen_ai.request.model": "gemini-pro",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.stop_sequences": ("END",),
            "gen_ai.response.id": "exe_1",
            "gen_ai.response.model": "gemini-pro-002",
            "enprompta.prompt.id": "p1",
            "enprompta.execution.tokens": 568,
            "enprompta.execution.cost": 0.0284,
        }
        assert "hush" not in span.to_json()
        assert "the answer" not in span.to_json()

    def test_settings_that_were_not_given_are_not_recorded(
        self, server: FaultServer, seen: Telescope, client: Enprompta
    ) -> None:
        """Without a provider in the settings, the span names this service until the response names the provider."""
        server.play(executed, status(400))
        client.prompts.execute("p1")
        with pytest.raises(BadRequestError):
            client.prompts.execute("p1")
        ran, failed = [_there(span.attributes) for span in seen.spans]
        assert ran["gen_ai.provider.name"] == "gcp.gen_ai"
        assert failed["gen_ai.provider.name"] == "enprompta"
        assert "gen_ai.request.model" not in ran
        assert "gen_ai.response.model" not in failed

    def test_a_failed_execution_is_an_error(self, server: FaultServer, seen: Telescope, client: Enprompta) -> None:
        """The API answers 201 when the model's provider failed; the span does not pass for a success."""
        server.play(lambda peer: executed(peer, status="failed", output=None, tokens=None, error="it says: hush"))
        client.prompts.execute("p1", provider="openai", model="gpt")
        (span,) = seen.spans
        assert span.status.status_code is StatusCode.ERROR
        assert _there(span.attributes)["error.type"] == "execution_failed"
        assert "enprompta.execution.tokens" not in _there(span.attributes)
        assert "hush" not in span.to_json()

    @pytest.mark.parametrize(
        "body", [b"", b"nope", b"[]", b'"x"', b'{"data": []}', b'{"data": {"tokens": {}, "provider": 5}}', b"[" * 9_999]
    )
    def test_any_answer_will_do(self, server: FaultServer, seen: Telescope, body: bytes, client: Enprompta) -> None:
        """A response that is not an execution ends the span as usual."""

        def play(peer: Peer) -> None:
            peer.read()
            peer.send(answer(200, body))

        server.play(play)
        with suppress(APIResponseError):
            client.prompts.execute("p1")
        (span,) = seen.spans
        assert _there(span.attributes)["http.response.status_code"] == 200
        assert seen.hooks._open == {}

    def test_executing_a_workflow_is_no_inference(
        self, server: FaultServer, seen: Telescope, client: Enprompta
    ) -> None:
        """Only prompts run on a model in the call itself."""
        server.play(lambda peer: executed(peer, status="pending"))
        client.workflows.execute("w1", input={"a": "b"})
        (span,) = seen.spans
        assert span.name == "POST /workflows/{id}/execute"
        assert not [name for name in _there(span.attributes) if name.startswith("gen_ai")]


def test_queries_are_left_out(server: FaultServer, seen: Telescope, client: Enprompta) -> None:
    """Search terms are not recorded."""
    server.play(lambda peer: (peer.read(), peer.send(answer(200, b'{"data": []}')))[0])
    client.prompts.list(search="hush")
    (span,) = seen.spans
    assert "hush" in server.received[0].path
    assert "hush" not in span.to_json()
    assert _there(span.attributes)["url.full"] == f"{server.base_url}/prompts"


@pytest.mark.parametrize(
    ("scheme", "port"), [("http://localhost", 80), ("https://api.test", 443), ("https://api.test:8443", 8443)]
)
def test_ports(scheme: str, port: int, seen: Telescope) -> None:
    """The port is recorded even if the URL leaves it to the scheme."""
    import httpx

    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"data": {}}))) as http:
        options: Any = {"api_key": "ep_test", "base_url": f"{scheme}/api/v1", "http_client": http, "limiter": None}
        Enprompta(**options, hooks=[seen.hooks]).usage.get()
    assert _there(seen.spans[0].attributes)["server.port"] == port


def test_templates_are_those_of_the_document() -> None:
    """Each path of the API's document, with ids put in, gives the document's template again."""
    paths = document()["paths"]
    assert len(paths) > 20
    for documented in paths:
        below = documented.removeprefix("/api/v1")
        assert _template(re.sub(r"\{\w+\}", "pr_01h-x", below)) == re.sub(r"\{\w+\}", "{id}", below), (
            f"add the fixed words of {documented} to _WORDS in enprompta/otel.py"
        )


class TestMetrics:
    def test_durations(self, flavour: str, server: FaultServer, seen: Telescope, waits: Waits) -> None:
        """Each try is counted in seconds, by method, server, template, status and error."""
        server.play(status(503), Peer.reset)

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks]) as caller:
                for number in range(3):
                    await settle(caller.client.prompts.get(f"p{number}"))

        run(flavour, scenario)
        points = seen.points("http.client.request.duration")
        common = {
            "http.request.method": "GET",
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "url.template": "/prompts/{id}",
        }
        counts = {json.dumps({**point.attributes}, sort_keys=True): point.count for point in points}
        assert counts == {
            json.dumps({**common, **more}, sort_keys=True): count
            for more, count in (
                ({"http.response.status_code": 503, "error.type": "503"}, 1),
                ({"error.type": "APIConnectionError"}, 1),
                ({"http.response.status_code": 200}, 3),
            )
        }
        assert all(0 < point.sum < 10 for point in points)
        assert points[0].explicit_bounds[:3] == (0.005, 0.01, 0.025)

    def test_waits(self, flavour: str, server: FaultServer, seen: Telescope) -> None:
        """Waits for the request budget are counted in seconds."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[seen.hooks], limiter=Slow()) as caller:
                await caller.call("GET")
                await caller.call("GET")

        run(flavour, scenario)
        (point,) = seen.points("enprompta.client.budget.wait.duration")
        assert (point.count, point.sum) == (2, 3.0)
        assert point.attributes == {"http.request.method": "GET", "url.template": "/prompts/{id}"}


def test_a_span_that_is_not_sampled_is_still_sent_along(server: FaultServer) -> None:
    """Without sampling, nothing is recorded, and the server is asked not to record either."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    hooks = OpenTelemetryHooks(tracer_provider=provider)
    server.play(then=executed)
    with Enprompta(api_key="ep_test", base_url=server.base_url, hooks=[hooks], limiter=None) as client:
        client.prompts.execute("p1")
    flags = server.received[0].headers["traceparent"].rpartition("-")[2]
    assert int(flags, 16) & 1 == 0  # W3C Trace Context, 3.2.2.5: the sampled flag
    assert hooks._open == {}


def test_without_an_sdk_nothing_is_recorded_or_sent(flavour: str, server: FaultServer) -> None:
    """The API alone, with no SDK set up, makes calls as they are without hooks."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, hooks=[OpenTelemetryHooks()]) as caller:
            await caller.call("GET")

    run(flavour, scenario)
    assert "traceparent" not in server.received[0].headers


def test_hooks_pickle(server: FaultServer) -> None:
    """With the global providers they travel with their client to another process."""
    client = Enprompta(api_key="ep_test", base_url=server.base_url, hooks=[OpenTelemetryHooks()], limiter=None)
    with client, pickle.loads(pickle.dumps(client)) as copy:
        assert isinstance(copy._hooks[0], OpenTelemetryHooks)
        assert copy.prompts.get("p1").id == "p1"


def test_a_response_without_a_started_call_is_only_counted(
    server: FaultServer, seen: Telescope, client: Enprompta
) -> None:
    """Hooks that missed `on_call_start`, as after a fork, record no span and do not fail."""
    seen.hooks.on_call_start = lambda record: None  # type: ignore[method-assign]
    client.prompts.get("p1")
    assert seen.spans == []
    assert len(seen.points("http.client.request.duration")) == 1


@pytest.mark.parametrize("missing", ["opentelemetry", "grpc"])
def test_a_missing_package_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without opentelemetry-api the import says what to install; another package that is missing speaks for itself."""
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "enprompta.otel")
    text = r'enprompta\.otel needs opentelemetry-api.*pip install "enprompta\[otel\]"'
    with pytest.raises(ImportError, match=text if missing == "opentelemetry" else "No module named 'grpc'"):
        import enprompta.otel  # noqa: F401


def _there(value: Any) -> Any:
    assert value is not None
    return value


def _traceparent(span: ReadableSpan) -> str:
    here = _there(span.context)
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"
