"""A tracer leaves other providers alone, and two tracers never mix."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context, use_span

from enprompta import AsyncEnprompta, Enprompta
from enprompta.models import LivePrompt
from enprompta.tracing import Tracing
from enprompta.tracing.prompt_links import MEMORY
from tests.tracing.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def other() -> Iterator[TracerProvider]:
    """A provider of another backend, which records nothing."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def test_the_global_provider_is_untouched(tracing: Tracing) -> None:
    """Creating and using a tracer sets no provider for the process."""
    with tracing.span("s"):
        pass
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_two_accounts_never_mix(receiver: Receiver) -> None:
    """Nested spans, sessions and prompt links of two tracers each go to their own account."""
    with Receiver() as second, Enprompta(api_key="ep_test_aaaaaa", base_url=receiver.base_url) as a:
        with AsyncEnprompta_closed(second.base_url) as b, Tracing(a) as one, Tracing(b) as two:
            mine = LivePrompt.model_validate({"id": "pmt_a", "slug": "a", "version": {"number": 1}, "content": "text"})
            with one.span("one", session_id="sa"), one.prompt(mine), two.span("two", kind="llm", input="other"):  # noqa: SIM117
                with one.span("deeper", kind="llm", input=mine.render()):
                    two.provider.get_tracer("library").start_span("call", attributes={"input.value": "text"}).end()
            assert one.flush()
            assert two.flush()
        assert [span.name for span in receiver.spans] == ["deeper", "one"]
        assert [span.name for span in second.spans] == ["call", "two"]
        assert {headers["authorization"] for headers, _ in receiver.requests} == {"Bearer ep_test_aaaaaa"}
        assert {headers["authorization"] for headers, _ in second.requests} == {"Bearer ep_test_bbbbbb"}
        assert second.named("call").parent_id == second.named("two").span_id
        assert receiver.named("deeper").parent_id == receiver.named("one").span_id
        assert receiver.named("deeper").attributes["enprompta.prompt.id"] == "pmt_a"
        assert not [name for span in second.spans for name in span.attributes if "prompt" in name or "session" in name]


class AsyncEnprompta_closed:  # noqa: N801 (used as a function)
    """An async client that opens no connections, so that it needs no closing."""

    def __init__(self, base_url: str) -> None:
        self.client = AsyncEnprompta(api_key="ep_test_bbbbbb", base_url=base_url)

    def __enter__(self) -> AsyncEnprompta:
        return self.client

    def __exit__(self, *error: object) -> None:
        pass


def test_spans_of_other_providers_are_no_parents(tracing: Tracing, receiver: Receiver, other: TracerProvider) -> None:
    """Inside a span of a web framework, a span begins a trace with a link; inside both, ours is the parent."""
    framework = other.get_tracer("framework")
    with framework.start_as_current_span("request"):
        with tracing.span("answer"), framework.start_as_current_span("inner"):
            tracing.provider.get_tracer("library").start_span("call").end()
        recorded = TracerProvider(shutdown_on_exit=False).get_tracer("x").start_span("recorded")
        with use_span(recorded):
            tracing.provider.get_tracer("library").start_span("alone").end()
    assert tracing.flush()
    answer, call, alone = (receiver.named(name) for name in ("answer", "call", "alone"))
    assert (answer.parent_id, answer.links) == ("", 1)
    assert call.parent_id == answer.span_id
    assert (alone.parent_id, alone.links) == ("", 1)


def test_a_parent_in_another_process_is_kept(tracing: Tracing, receiver: Receiver) -> None:
    """A trace context that arrived with a request continues the trace of the caller."""
    remote = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(0))
    tracer = tracing.provider.get_tracer("library")
    tracer.start_span("s", context=set_span_in_context(NonRecordingSpan(remote))).end()
    assert tracing.flush()
    assert receiver.named("s").parent_id == f"{6:016x}"


def test_a_processor_for_another_provider(tracing: Tracing, receiver: Receiver) -> None:
    """Spans of that provider are sent too, with links and sessions; its other backend gets its spans unchanged."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(tracing.processor())
    prompt = LivePrompt.model_validate({"id": "pmt_a", "slug": "a", "version": {"number": 1}, "content": "text"})
    text = prompt.render()
    with tracing.span("ours", session_id="s"):
        provider.get_tracer("theirs").start_span("chat", attributes={"input.value": text}).end()
    assert provider.force_flush()
    chat = receiver.named("chat")
    assert (chat.attributes["session.id"], chat.attributes["gen_ai.prompt.version"]) == ("s", "1")
    (theirs,) = memory.get_finished_spans()
    assert dict(theirs.attributes or {}) == {"input.value": "text"}
    provider.shutdown()
    with tracing.span("after"):  # the provider's shutdown is not that of the tracer
        pass
    assert tracing.flush()
    assert receiver.named("after")


def test_unsampled_spans_of_that_provider_are_not_sent(
    tracing: Tracing, receiver: Receiver, other: TracerProvider
) -> None:
    """The sampler of the user's provider decides about its spans; so does a sampler given to the tracer."""
    other.add_span_processor(tracing.processor())
    other.get_tracer("theirs").start_span("chat").end()
    with Tracing(tracing._client, sampler=ALWAYS_OFF) as silent, silent.span("s"):
        pass
    assert tracing.flush()
    assert receiver.spans == []


def test_a_disabled_sdk(client: Enprompta, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_SDK_DISABLED` turns tracing off without an error."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with Tracing(client) as tracing, tracing.span("s") as span:
        span.set_output("x")
    assert receiver.spans == []


def test_unsampled_spans_are_not_sent(client: Enprompta, receiver: Receiver) -> None:
    """A span that the sampler only records is not sent, nor are the spans below one that it drops."""

    class ByName(Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *_: Any, **__: Any) -> SamplingResult:
            decisions = {"recorded": Decision.RECORD_ONLY, "dropped": Decision.DROP}
            return SamplingResult(decisions.get(name, Decision.RECORD_AND_SAMPLE))

        def get_description(self) -> str:
            return "by name"

    with Tracing(client, interval=60, sampler=ParentBased(ByName())) as tracing:
        with tracing.span("recorded"):
            pass
        with tracing.provider.get_tracer("t").start_as_current_span("dropped"), tracing.span("below"):
            pass
        assert tracing.flush()
    assert receiver.spans == []


GLOBAL = """
import sys
from opentelemetry import trace
from enprompta import Enprompta
from enprompta.errors import ConfigurationError
from enprompta.tracing import Tracing
client = Enprompta(api_key="ep_test_123456", base_url=sys.argv[1])
tracing = Tracing(client, set_global=True)
assert trace.get_tracer_provider() is tracing.provider
trace.get_tracer("theirs").start_span("s").end()
try:
    Tracing(client, set_global=True)
except ConfigurationError as error:
    print(error)
"""


def test_as_the_global_provider(receiver: Receiver, measured_processes: None) -> None:
    """`set_global=True` makes it the provider of the process; a second one is refused."""
    command = [sys.executable, "-W", "error", "-c", GLOBAL, receiver.base_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "comes too late" in done.stdout
    assert receiver.named("s")


def test_no_credential_is_kept(tracing: Tracing) -> None:
    """Prompt links identify an account by a digest."""
    key = tracing._client._auth.identity
    with tracing.span("s"):
        assert key
        assert key not in repr(vars(MEMORY)) + repr(tracing._account) + repr(vars(tracing._finisher))
