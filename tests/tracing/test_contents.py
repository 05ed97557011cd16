"""Contents of a span that are sent: prompt links, inputs and outputs that are never empty, no other texts."""

from __future__ import annotations

import json
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import Link, SpanContext, StatusCode

from enprompta import Enprompta
from enprompta._common import rendered
from enprompta.emulator import Emulator
from enprompta.models import LivePrompt, Prompt
from enprompta.tracing import Redaction, Tracing, prompt_links
from enprompta.tracing.prompt_links import PromptMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tracing.receiver import Receiver

LIVE = {"id": "pmt_1", "slug": "greet", "label": "production", "version": {"number": 7}, "content": "Greet {{name}}."}
LINK = {
    "gen_ai.prompt.name": "greet",
    "gen_ai.prompt.version": "7",
    "enprompta.prompt.id": "pmt_1",
    "enprompta.prompt.label": "production",
}


def live(**changes: Any) -> LivePrompt:
    """A live prompt."""
    return LivePrompt.model_validate({**LIVE, **changes})


def sent(tracing: Tracing, receiver: Receiver, attributes: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Send one span and return its attributes as they arrive."""
    span = tracing.provider.get_tracer("test").start_span("s", attributes=attributes)
    for name, more in options.get("events", ()):
        span.add_event(name, more)
    if options.get("failed"):
        span.set_status(StatusCode.ERROR, "secret words")
    span.end()
    assert tracing.flush()
    return receiver.spans[-1].attributes


PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda text: {"input.value": text},
    lambda text: {"input.value": f"  {text}\n"},
    lambda text: {"input.value": json.dumps({"messages": [{"role": "user", "content": text}]})},
    lambda text: {"llm.input_messages.1.message.content": text},
    lambda text: {"gen_ai.input.messages": json.dumps([{"parts": [{"type": "text", "content": text}]}])},
    lambda text: {"gen_ai.system_instructions": json.dumps([{"type": "text", "content": text}])},
    lambda text: {"gen_ai.prompt.0.content": text},
    lambda text: {"llm.prompts": (text, "other")},
]


@pytest.mark.parametrize("place", PLACES)
def test_a_rendered_text_links_its_span(tracing: Tracing, receiver: Receiver, place: Any) -> None:
    """Wherever the conventions put a model's input, the text of a prompt is found."""
    found = sent(tracing, receiver, place(live().render(name="Ada")))
    assert {name: found.get(name) for name in LINK} == LINK


def test_a_text_in_an_event_links_its_span(tracing: Tracing, receiver: Receiver) -> None:
    """Older conventions put messages into events."""
    text = live().render(name="Ada")
    found = sent(tracing, receiver, {}, events=[("gen_ai.user.message", {"content": text}), ("x", {"y": text})])
    assert found["gen_ai.prompt.version"] == "7"


@pytest.mark.parametrize("value", ["Greet Bob.", "{broken", "[" * 5000, json.dumps({"a": 1}), ""])
def test_other_texts_link_nothing(tracing: Tracing, receiver: Receiver, value: str) -> None:
    """Only the whole text of a prompt counts, and any value can be searched."""
    live(content="Greet Eve.").render()
    found = sent(tracing, receiver, {"input.value": value, "output.value": "Greet Eve."})
    assert not [name for name in found if "prompt" in name]


def test_kinds_of_prompts(tracing: Tracing, receiver: Receiver) -> None:
    """Messages of a conversation, stored prompts and fallbacks are linked as far as they are known."""
    chat = live(content=None, messages=[{"role": "system", "content": "Be kind to {{name}}."}])
    chat.render_messages(name="Ada")
    assert sent(tracing, receiver, {"input.value": "Be kind to Ada."})["enprompta.prompt.id"] == "pmt_1"
    Prompt(id="pmt_2", title="Tea", content="About {{x}}.  ", version=3).render(x="tea")
    found = sent(tracing, receiver, {"input.value": "About tea."})
    assert (found["gen_ai.prompt.name"], found["gen_ai.prompt.version"]) == ("Tea", "3")
    from enprompta.models.live_prompts import CacheInfo

    live(content="Fallback", version=None).with_cache_info(CacheInfo(is_fallback=True)).render()
    found = sent(tracing, receiver, {"input.value": "Fallback"})
    assert "enprompta.prompt.id" not in found
    assert found["gen_ai.prompt.name"] == "greet"
    live(content="{{x}}").render(x="")


def test_a_block_links_model_calls_only(tracing: Tracing, receiver: Receiver) -> None:
    """`tracing.prompt(...)` links the model calls inside, whatever their text, and no other span."""
    with tracing.prompt(live()):
        assert sent(tracing, receiver, {"openinference.span.kind": "LLM"})["gen_ai.prompt.version"] == "7"
        assert sent(tracing, receiver, {"gen_ai.request.model": "m"})["enprompta.prompt.id"] == "pmt_1"
        assert "enprompta.prompt.id" not in sent(tracing, receiver, {"openinference.span.kind": "TOOL"})
    assert "enprompta.prompt.id" not in sent(tracing, receiver, {"openinference.span.kind": "LLM"})


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts and prompts rendered last are remembered; without a tracer none is, and rendering has no observer."""
    monkeypatch.setattr(prompt_links, "MAX_TEXTS", 2)
    assert rendered.observers == ()
    memory = PromptMemory()
    memory.start("a")
    memory.start("a")
    for number in range(4):
        live(content=f"text {number}", id=f"p{number}").render()
        memory.received(SimpleNamespace(data=[Prompt(id=f"p{number}", title="t", content="c")]), "a")
    memory.received([1], "a")
    assert (len(memory._texts), len(memory._prompts)) == (2, 2)
    memory.stop("a")
    assert len(memory._texts) == 2
    memory.stop("a")
    assert (len(memory._texts), rendered.observers) == (0, ())


CALLS = [
    {
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look_up",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"order": 7}',
        "llm.output_messages.0.message.content": "",
    },
    {
        "gen_ai.completion.0.tool_calls.0.name": "look_up",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"order": 7}',
        "output.value": '""',
    },
    {
        "gen_ai.output.messages": json.dumps(
            [{"parts": [{"type": "tool_call", "name": "look_up", "arguments": '{"order": 7}'}]}]
        )
    },
]


@pytest.mark.parametrize("attributes", CALLS)
def test_tool_calls_are_an_output(tracing: Tracing, receiver: Receiver, attributes: Any) -> None:
    """A turn that only calls tools has the calls as its output, in each convention."""
    found = sent(tracing, receiver, {"openinference.span.kind": "LLM", **attributes})
    assert json.loads(found["output.value"]) == [{"name": "look_up", "arguments": '{"order": 7}'}]


@pytest.mark.parametrize(
    ("attributes", "output"),
    [
        ({}, "(empty)"),
        ({"gen_ai.output.messages": "not json"}, "(empty)"),
        ({"gen_ai.output.messages": json.dumps([{"parts": [{"type": "text", "content": "hi"}]}])}, None),
        ({"llm.output_messages.0.message.content": "hi"}, None),
        ({"gen_ai.tool.call.result": "hi"}, None),
        ({"output.value": "hi"}, "hi"),
    ],
)
def test_no_output_is_empty(tracing: Tracing, receiver: Receiver, attributes: Any, output: str | None) -> None:
    """An empty answer gets a placeholder; one with a text stays as it is."""
    assert sent(tracing, receiver, {"gen_ai.request.model": "m", **attributes}).get("output.value") == output
    found = sent(tracing, receiver, {"gen_ai.tool.call.arguments": "{}"})
    assert found["input.value"] == "{}"


def test_a_model_call_with_output_needs_no_placeholder(tracing: Tracing, receiver: Receiver, monkeypatch: Any) -> None:
    """The first span of a trace gets a placeholder only if no model call in it has an output."""
    monkeypatch.setattr("enprompta.tracing.finishing.MAX_TRACES", 1)
    for kind in ("llm", "tool", "llm"):
        with tracing.span(f"root of {kind}"), tracing.span("inner", kind=kind):  # type: ignore[arg-type]
            pass
    assert tracing.flush()
    roots = [span for span in receiver.spans if not span.parent_id]
    assert [span.attributes.get("output.value") for span in roots] == [None, "(empty)", None]


def test_capture_none(client: Enprompta, receiver: Receiver) -> None:
    """No content leaves the process: not of instrumented libraries, events, errors, or attributes of any name."""
    with Tracing(client, capture="none", interval=60) as tracing:
        text = live(content="canary words").render()

        @tracing.observe(kind="tool")
        def tool(secret: str) -> str:
            raise ValueError(f"canary {secret}")

        with pytest.raises(ValueError, match="canary"):
            tool("canary")
        link = Link(SpanContext(1, 2, is_remote=False), {"x": "canary"})
        tracer = tracing.provider.get_tracer("library")
        span = tracer.start_span(
            "chat",
            links=[link],
            attributes={
                "input.value": text, "some.library.input": "canary", "llm.model_name": "m", "tokens": 5,
                "list": ("canary",), "openinference.span.kind": "LLM", "metadata": '{"a": "canary"}',
            },
        )  # fmt: skip
        span.add_event("message", {"content": "canary"})
        span.set_status(StatusCode.ERROR, "canary")
        span.end()
        with tracing.span("block", input="canary") as block:
            block.set_output("canary")
        assert tracing.flush()
    assert not [span.text for span in receiver.spans if "canary" in span.text.lower()]
    chat = receiver.named("chat").attributes
    assert (chat["llm.model_name"], chat["tokens"], chat["gen_ai.prompt.version"]) == ("m", 5, "7")
    assert (chat["input.value"], chat["output.value"]) == ("(not captured)", "(error)")
    assert receiver.spans[0].events[0][1] == {"exception.type": "ValueError"}


@pytest.mark.parametrize("action", ["mask", "hash", "drop"])
def test_redaction_of_every_span(client: Enprompta, receiver: Receiver, action: Any) -> None:
    """Every span of the provider is redacted in all its parts, also those of other instrumentations."""
    redact = Redaction(action=action, hash_key="k" if action == "hash" else None)
    resource = {"owner": "canary@example.com"}
    with Tracing(client, redact=redact, interval=60, resource=resource) as tracing:
        tracer = tracing.provider.get_tracer("library")
        link = Link(SpanContext(1, 2, is_remote=False), {"x": "canary@example.com"})
        attributes = {"input.value": '{"to": "canary@example.com"}', "list": ("canary@example.com",), "plain": "tea"}
        name = "mail canary@example.com"
        with suppress(ValueError), tracer.start_as_current_span(name, attributes=attributes, links=[link]) as span:
            span.add_event("to canary@example.com", {"x": "canary@example.com"})
            raise ValueError("canary@example.com")
        harmless = tracer.start_span(
            "tea", attributes={"list": ("tea",)}, links=[Link(SpanContext(1, 2, is_remote=False))]
        )
        harmless.add_event("drunk")
        harmless.end()
        tracer.start_span("tea", links=[link]).end()
        tracer.start_span("tea", attributes={"x": "a@example.com", "y": "b@example.com"}).end()
        assert tracing.flush()
        assert tracing.stats.redacted == 3, "the stats count spans, not values"
    assert not [span.text for span in receiver.spans if "canary" in span.text]
    assert receiver.spans[0].attributes["plain"] == "tea"


def test_a_failing_rule_sends_nothing_unredacted(client: Enprompta, receiver: Receiver) -> None:
    """A rule that raises drops the values; a redaction that fails altogether drops the span, and both are counted."""

    def broken(text: str) -> str:
        raise RuntimeError(text)

    class Broken(Redaction):
        def redact_span(self, span: Any) -> Any:
            raise RuntimeError

    with Tracing(client, redact=Redaction(rules=[broken]), interval=60) as tracing:
        tracing.provider.get_tracer("t").start_span("s", attributes={"x": "canary"}).end()
        assert tracing.flush()
    with Tracing(client, redact=Broken(), interval=60) as tracing:
        tracing.provider.get_tracer("t").start_span("s", attributes={"x": "canary"}).end()
        assert tracing.flush()
        assert tracing.stats.invalid == 1
    assert not [span.text for span in receiver.spans if "canary" in span.text]


def test_executions_link_themselves() -> None:
    """A client's own executions are model calls with their prompt, variables and output, at the emulator's ingest."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        with Tracing(client, service_name="shop") as tracing:
            prompt = client.prompts.create(title="Tea", content="About {{topic}}.")
            with tracing.span("answer", session_id="s1"):
                execution = client.prompts.execute(prompt.id, variables={"topic": "tea"})
            assert tracing.flush()
            assert tracing.stats.dropped == 0
        with Tracing(client, capture="none") as tracing:
            client.prompts.execute(prompt.id, variables={"topic": "hidden"})
        traces = [one for one in client.traces.list() if one.prompt_id == prompt.id]
        assert len(traces) == 2
        hidden, shown = sorted(traces, key=lambda one: one.session_id or "")
        assert (shown.session_id, shown.output) == ("s1", execution.output)
        assert hidden.output == "(not captured)"
        assert "hidden" not in str(client.traces.get(hidden.id).model_dump())


def test_malformed_bodies_of_executions(client: Enprompta, receiver: Receiver) -> None:
    """An execution whose body is not an object is recorded without variables."""
    from enprompta import Call

    with Tracing(client, interval=60) as tracing:
        for body in ([1], None):
            with pytest.raises(Exception, match="404"):
                client.run(Call("POST", "/prompts/p/execute", dict, json=body))
        assert tracing.flush()
    assert [span.attributes["input.value"] for span in receiver.spans] == ["{}", "{}"]
