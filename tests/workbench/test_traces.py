"""Traces: the list with its filters, and one trace as a waterfall of spans."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator.api.request_context import ok
from enprompta.emulator.stores import traces as stored
from enprompta.models import TraceSpan
from enprompta.tracing import Tracing
from enprompta.workbench.pages.traces import layout
from tests.workbench.visits import section, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")

HOSTILE = "<img src=x onerror='document.title=1'><script>document.title = 1</script> :{{constructor}} '\"&"
BASE = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def no_traces(workbench: Workbench) -> None:
    """Delete the sample data, so that a test sees only its own traces."""
    workbench.control(lambda one: one.reset())


def at(milliseconds: float) -> datetime:
    """Return a time after the start of the test's traces."""
    return BASE + timedelta(milliseconds=milliseconds)


def test_a_traced_program_is_watched(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The empty page's example sends a trace, which appears without a reload; a trace opens with nested spans."""
    visit(page, workbench.origin, "/")
    page.get_by_role("link", name="Traces").click()
    expect(page.get_by_role("heading", name="No traces yet")).to_be_visible()
    example = page.get_by_role("region", name="Code").inner_text()
    scope: dict[str, Any] = {}
    exec(compile(example, "example", "exec"), scope)  # what a reader copies must run
    assert scope["tracing"].shutdown()
    expect(page.get_by_role("link", name="Where is order 7?")).to_be_visible()

    prompt = client.prompts.create(title="Greeting", content="Greet {{name}}.")
    assert prompt.slug
    workbench.emulator.set_label(prompt.id, "production", 1)
    with Tracing(client) as tracing:
        live = client.prompts.get_live(prompt.slug)
        with tracing.span("answer", kind="agent", session_id="chat-1", input="Greet Ada politely") as root:
            with tracing.span("find", kind="retrieval", input={"query": "Ada"}) as found:
                found.set_output([{"name": "Ada"}])
            with tracing.prompt(live), tracing.span("call", kind="llm", input="Greet Ada.") as call:
                call.set_attribute("gen_ai.provider.name", "openai")
                call.set_attribute("gen_ai.request.model", "gpt-4o")
                call.set_attribute("gen_ai.usage.input_tokens", 1200)
                call.set_output("Hello Ada.")
            root.set_output("Hello Ada.")
        assert tracing.flush()
    row = page.get_by_role("region", name="Traces").locator("tbody tr").first
    for text in ("Greet Ada politely", "openai / gpt-4o", "SUCCESS", "greeting v1", "chat-1", "1,200"):
        expect(row).to_contain_text(text)

    page.get_by_role("link", name="Greet Ada politely").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Greet Ada politely")
    spans = page.locator(".waterfall tbody tr")
    expect(spans).to_have_count(3)
    for place, (name, kind, level) in enumerate((("answer", "AGENT", 0), ("find", "RETRIEVAL", 1), ("call", "LLM", 1))):
        expect(spans.nth(place).get_by_role("button")).to_have_text(name)
        expect(spans.nth(place)).to_contain_text(kind)
        expect(spans.nth(place).locator(".span-name")).to_have_attribute("style", re.compile(f"--depth: {level}"))
        expect(spans.nth(place).locator(".span-bar")).to_have_count(1)
    spans.nth(1).get_by_role("button").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="find")
    expect(dialog.get_by_role("region", name="Input")).to_contain_text('"query": "Ada"')
    expect(dialog.get_by_role("region", name="Output")).to_contain_text('"name": "Ada"')
    expect(dialog.get_by_role("region", name="Attributes")).to_contain_text("openinference.span.kind")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="greeting v1").click()
    page.wait_for_url(f"{workbench.origin}/prompts/{prompt.id}")


def test_bars_show_start_and_duration_and_texts_stay_texts(
    page: Page, workbench: Workbench, client: Enprompta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars are to scale, a running span ends with the trace, errors are shown, and HTML in any text is not run."""
    trace_id = client.traces.record(
        provider=HOSTILE, model=HOSTILE, input=HOSTILE, output=HOSTILE, system_prompt=HOSTILE, status="RATE_LIMITED",
        error_message=HOSTILE, error_code="slow_down", finish_reason=HOSTILE, session_id=HOSTILE, prompt_id=HOSTILE,
        environment=HOSTILE, temperature=0.5, max_tokens=9, input_tokens=2, output_tokens=1,
        metadata={HOSTILE: HOSTILE, "promptName": HOSTILE},
    ).trace_id  # fmt: skip
    visit(page, workbench.origin, f"/traces/{trace_id}")
    expect(page.get_by_text("This trace has no spans")).to_be_visible()
    expect(page.get_by_text("3 (2 in, 1 out)")).to_be_visible()
    expect(page.get_by_text("temperature 0.5, max_tokens 9")).to_be_visible()
    expect(page.locator(".note.bad")).to_have_text(f"slow_down: {HOSTILE}")

    texts = {"input": {HOSTILE: HOSTILE}, "output": HOSTILE, "error_message": HOSTILE, "metadata": {HOSTILE: HOSTILE}}
    root = client.traces.create_span(
        trace_id, name=HOSTILE, span_type="AGENT", start_time=at(0), end_time=at(1000), status="ERROR", **texts
    )
    client.traces.create_span(
        trace_id, name="half", span_type="TOOL", parent_span_id=root.span_id, start_time=at(250), duration_ms=500,
        tokens=7, cost=0.5,
    )  # fmt: skip
    client.traces.create_span(
        trace_id, name="open", span_type="TOOL", parent_span_id=root.span_id, start_time=at(600), status="RUNNING"
    )
    spans = page.locator(".waterfall tbody tr")
    expect(spans).to_have_count(3)
    drawn = spans.locator(".span-bar").evaluate_all("(all) => all.map((one) => [one.style.left, one.style.width])")
    assert [(float(left[:-1]), float(width[:-1])) for left, width in drawn] == [
        (0, 100),
        (25, 50),
        (60, 40),
    ]
    for text in ("+250 ms", "500 ms", "7", "$0.5000"):
        expect(spans.nth(1).get_by_text(text, exact=True)).to_be_visible()
    expect(spans.nth(2).locator(".span-bar-running")).to_have_count(1)
    expect(spans.first.locator(".span-error")).to_have_text(HOSTILE)
    spans.first.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".note.bad")).to_have_text(HOSTILE)
    for name in ("Input", "Output", "Attributes"):
        expect(dialog.get_by_role("region", name=name)).to_contain_text("<script>document.title = 1</script>")
    page.keyboard.press("Escape")
    assert page.locator("main img, main script").count() == 0
    assert page.title().startswith("<img")

    monkeypatch.setattr("enprompta.workbench.pages.traces._MAX_ROWS", 2)
    wire = stored.span_wire
    lacking = dict.fromkeys(("name", "spanType", "startTime", "output"))
    monkeypatch.setattr(stored, "span_wire", lambda row: {**wire(row), **lacking})
    page.reload()
    expect(page.get_by_text("The first 2 of 3 spans")).to_be_visible()
    expect(spans.locator(".span-bar")).to_have_count(0)
    spans.first.get_by_role("button", name=root.span_id).click()
    expect(dialog.get_by_role("region", name="Input")).to_be_visible()
    expect(dialog.get_by_role("region", name="Output")).to_have_count(0)
    visit(page, workbench.origin, "/traces")
    expect(page.get_by_role("region", name="Traces").locator("tbody tr")).to_contain_text(HOSTILE)
    assert page.locator("main img, main script").count() == 0


def test_traces_are_filtered(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The service filters by status, prompt and session; the text filters the loaded traces, without a request."""
    for number in range(51):
        client.traces.record(
            provider="openai", model="gpt-4o", input=f"Question {number}", output=f"Answer {number}",
            status="TIMEOUT" if number == 3 else "SUCCESS", prompt_id="pmt_1" if number == 4 else "pmt_2",
            session_id="chat-5" if number == 5 else "chat",
        )  # fmt: skip
    visit(page, workbench.origin, "/traces")
    rows = page.get_by_role("region", name="Traces").locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("Question 50")
    asked = len(workbench.emulator.exchanges.search(limit=1000))
    page.keyboard.press("Control+k")
    page.keyboard.type("ANSWER 0")
    expect(page.get_by_role("heading", name="No trace matches")).to_be_visible()
    assert len(workbench.emulator.exchanges.search(limit=1000)) == asked
    page.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Question 0")
    page.get_by_label("Search").fill("")
    expect(rows).to_have_count(51)
    page.get_by_label("Status").select_option("TIMEOUT")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Question 3")
    page.get_by_label("Status").select_option("")
    page.get_by_label("Prompt ID").fill("pmt_1")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Question 4")
    page.get_by_label("Prompt ID").fill("")
    page.get_by_label("Session").fill("chat-5")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Question 5")
    page.get_by_label("Session").fill("chat-6")
    expect(page.get_by_role("heading", name="No trace matches")).to_be_visible()


def test_what_only_the_service_sends_is_shown(
    page: Page, workbench: Workbench, client: Enprompta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations are listed with their results; a trace with few fields is shown, and an unknown id is an error."""
    trace_id = client.traces.record(provider="unknown", model="unknown", input="x", output="y").trace_id
    visit(page, workbench.origin, "/traces/gone")
    expect(page.get_by_role("alert")).to_contain_text("NotFoundError")
    evaluations = [
        {"id": "e1", "evaluatorName": "Tone", "passed": True, "score": 0.9, "reasoning": HOSTILE},
        {"id": "e2", "passed": False},
        {"id": "e3"},
    ]
    answer = ok({"trace": {"id": trace_id, "evaluations": evaluations}})
    monkeypatch.setattr("enprompta.emulator.api.routes.traces.ok", lambda _: answer)
    visit(page, workbench.origin, f"/traces/{trace_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(trace_id)
    rows = section(page, "Evaluations").locator("tbody tr")
    for place, texts in enumerate((("Tone", "passed", "0.9", HOSTILE), ("e2", "failed"), ("e3",))):
        for text in texts:
            expect(rows.nth(place)).to_contain_text(text)
    expect(page.get_by_text("No model")).to_be_visible()


def test_every_span_has_a_row_whatever_its_parent_and_times() -> None:
    """Children follow their parent in the order of their starts; a cycle, a missing parent or time hides no span."""
    spans = [
        TraceSpan(id="second", parent_span_id="root", start_time=at(20), end_time=at(30)),
        TraceSpan(id="root", start_time=at(0).replace(tzinfo=None), duration_ms=50),
        TraceSpan(id="first", parent_span_id="root", start_time=at(10), end_time=at(5)),
        TraceSpan(id="inner", parent_span_id="first", start_time=at(12)),
        TraceSpan(id="orphan", parent_span_id="gone", start_time=at(40), duration_ms=-1),
        TraceSpan(id="a", parent_span_id="b", start_time=at(41)),
        TraceSpan(id="b", parent_span_id="a"),
        TraceSpan(id="self", parent_span_id="self"),
    ]
    assert [(row.span.id, row.depth, row.start, row.duration) for row in layout(spans)] == [
        ("root", 0, 0, 50),
        ("first", 1, 10, 0),
        ("inner", 2, 12, None),
        ("second", 1, 20, 10),
        ("orphan", 0, 40, 0),
        ("a", 0, 41, None),
        ("b", 1, None, None),
        ("self", 0, None, None),
    ]
    chain = [TraceSpan(id=str(one), parent_span_id=str(one - 1)) for one in range(3000)]
    assert layout(chain)[-1].depth == 2999
