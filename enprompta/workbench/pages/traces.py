"""Traces: the list with its filters, and one trace with its spans."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from nicegui import ui

from enprompta._common.span_tree import tree_of, utc
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.first_steps import tracing_example
from enprompta.workbench.live import TYPING_DELAY, Listing, Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from enprompta.models import Trace, TraceEvaluation, TraceSpan
    from enprompta.pagination import AsyncPager

_STATUSES = {
    "": "All",
    "SUCCESS": "Success",
    "ERROR": "Error",
    "TIMEOUT": "Timeout",
    "RATE_LIMITED": "Rate limited",
    "CONTENT_FILTERED": "Content filtered",
}
_MAX_LABEL = 100  # characters of an input in the list
_MAX_ROWS = 500
_MAX_DEPTH = 8  # levels that are indented; deeper ones would leave no room for the name
_MS = 1000


@frame.page("/traces", "Traces")
async def _show_list() -> None:
    c.header("Traces", "Requests of your programs to models, each with its steps.")
    with c.box("div", "toolbar", {"role": "search"}):
        search = c.field("Search", kind="search", placeholder="Text of a trace", classes="search", is_search=True)
        status = c.select("Status", _STATUSES, value="")
        prompt = c.field("Prompt ID", placeholder="Any")
        session = c.field("Session", placeholder="Any")

    def start() -> AsyncPager[Trace]:
        return current().client.traces.list(
            limit=50, status=status.given, prompt_id=prompt.given, session_id=session.given
        )

    def show(traces: list[Trace]) -> None:
        if not traces and not (status.value or prompt.value or session.value):
            _explain_tracing()
            return
        found = [one for one in traces if search.value.casefold() in _searchable(one)]
        if found:
            _table(found)
        else:
            c.empty("No trace matches", "Change the filters, or load more: the text is searched in the loaded traces.")

    listing: Listing[Trace] = Listing(start, show, name="traces")
    search.changed(listing.redraw, delay=TYPING_DELAY)
    listing.restart_on(status, prompt, session)
    await listing.start()


def _explain_tracing() -> None:
    c.empty(
        "No traces yet",
        'Run pip install "enprompta[tracing]", and send the spans of your program:',
        code_example=tracing_example(current()),
    )


def _searchable(trace: Trace) -> str:
    """Return the text that the search looks at."""
    names = (trace.id, trace.provider, trace.model, trace.session_id, trace.prompt_id, _prompt_name(trace))
    texts = (trace.input, trace.output, trace.system_prompt, trace.error_message)
    return "\n".join(one for one in (*names, *texts) if one).casefold()


def _table(traces: list[Trace]) -> None:
    rows = [
        (
            functools.partial(_title, one),
            c.status(one.status),
            functools.partial(_prompt, one),
            one.session_id,
            c.number(one.total_tokens),
            c.money(one.cost),
            c.milliseconds(one.latency_ms),
            c.when(one.created_at),
        )
        for one in traces
    ]
    columns = ["Trace", "Status", "Prompt", "Session", ">Tokens", ">Cost", ">Duration", ">When"]
    c.table(columns, rows, label="Traces")


def _title(trace: Trace) -> None:
    with c.box("div", "trace-title"):
        c.link(_label(trace), f"/traces/{c.quote(trace.id)}", "link row-link clip")
        c.text("span", _model(trace), "muted small")


def _label(trace: Trace) -> str:
    """Return the beginning of the input on one line, by which a person recognizes the trace."""
    words = " ".join((trace.input or "")[: 10 * _MAX_LABEL].split())
    return (words if len(words) <= _MAX_LABEL else f"{words[: _MAX_LABEL - 1]}…") or trace.id


def _model(trace: Trace) -> str:
    """Return provider and model; the service calls those of a trace without a model call `unknown`."""
    known = [part for part in (trace.provider, trace.model) if part and part != "unknown"]
    return " / ".join(known) or "No model"


def _prompt_name(trace: Trace) -> str | None:
    """Return name and version of the prompt as the program sent them, else its id."""
    known = trace.metadata or {}
    name, version = known.get("promptName") or trace.prompt_id, known.get("promptVersion")
    return (f"{name} v{version}" if version else str(name)) if name else None


def _prompt(trace: Trace) -> None:
    name = _prompt_name(trace)
    if trace.prompt_id is None:
        c.text("span", name)
    else:
        c.link(name, f"/prompts/{c.quote(trace.prompt_id)}")


@frame.page("/traces/{trace_id}", "Trace")
async def _show_one(trace_id: str) -> None:
    first = [await current().client.traces.get(trace_id)]
    ui.page_title(f"{_label(first[0])} · Enprompta Workbench")
    c.header(_label(first[0]), trace_id, back=("Traces", "/traces"))

    async def load() -> Trace:
        return first.pop() if first else await current().client.traces.get(trace_id)

    await Region(load, _show_trace, name="trace").start()


def _show_trace(trace: Trace) -> None:
    with c.section("Summary"), c.box("div", "stack"):
        if trace.error_message:
            named = ": ".join(part for part in (trace.error_code, trace.error_message) if part)
            c.text("p", named, "note bad")
        c.facts(_facts(trace))
    with c.section("Spans"):
        if trace.spans:
            waterfall(trace.spans)
        else:
            c.text("p", "This trace has no spans: the program recorded only the request.", "muted")
    if trace.evaluations:
        with c.section("Evaluations"):
            _evaluations(trace.evaluations)
    with c.box("div", "columns even"):
        for name, value in (("Input", trace.input), ("Output", trace.output)):
            with c.section(name):
                c.code(c.pretty(value or ""), label=name, classes="wrap")
    for name, value in (("System prompt", trace.system_prompt), ("Metadata", trace.metadata)):
        if value:
            with c.section(name):
                c.code(c.pretty(value), label=name, classes="wrap")


def _facts(trace: Trace) -> list[tuple[str, str | Callable[[], None] | None]]:
    tokens = c.number(trace.total_tokens)
    if trace.input_tokens is not None and trace.output_tokens is not None:
        tokens = f"{tokens} ({trace.input_tokens:,} in, {trace.output_tokens:,} out)"
    settings = {"temperature": trace.temperature, "max_tokens": trace.max_tokens, "top_p": trace.top_p}
    return [
        ("Status", c.status(trace.status)),
        ("Model", _model(trace)),
        ("Duration", c.milliseconds(trace.latency_ms)),
        ("Tokens", tokens),
        ("Cost", c.money(trace.cost)),
        ("Prompt", functools.partial(_prompt, trace)),
        ("Session", trace.session_id),
        ("Environment", trace.environment),
        ("Settings", ", ".join(f"{name} {value:g}" for name, value in settings.items() if value is not None) or None),
        ("Finish reason", trace.finish_reason),
        ("When", c.when(trace.created_at)),
    ]


def _evaluations(evaluations: Sequence[TraceEvaluation]) -> None:
    verdicts: dict[bool | None, Callable[[], object]] = {
        True: lambda: c.badge("passed", "good"),
        False: lambda: c.badge("failed", "bad"),
        None: lambda: c.text("span", None),
    }
    rows = [
        (
            one.evaluator_name or one.id,
            verdicts[one.passed],
            None if one.score is None else f"{one.score:g}",
            one.reasoning,
        )
        for one in evaluations
    ]
    c.table(["Evaluator", "Result", ">Score", "Reason"], rows, label="Evaluations")


class Row(NamedTuple):
    """One span and its place in the waterfall."""

    span: TraceSpan
    depth: int
    """Number of its ancestors."""
    start: float | None
    """Milliseconds since the start of the trace; None if the start is unknown."""
    duration: float | None
    """In milliseconds; None while the span is running."""


def layout(spans: Sequence[TraceSpan]) -> list[Row]:
    """Place spans by their parents and starts; every span has a row."""
    origin = min((start for span in spans if (start := utc(span.start_time))), default=None)
    return [Row(span, depth, _offset(span, origin), _duration(span)) for span, depth in tree_of(spans)]


def _offset(span: TraceSpan, origin: datetime | None) -> float | None:
    start = utc(span.start_time)
    return None if start is None or origin is None else (start - origin).total_seconds() * _MS


def _duration(span: TraceSpan) -> float | None:
    if span.duration_ms is not None:
        return max(span.duration_ms, 0.0)
    start, end = utc(span.start_time), utc(span.end_time)
    return None if start is None or end is None else max((end - start).total_seconds() * _MS, 0.0)


def waterfall(spans: Sequence[TraceSpan]) -> None:
    """Add the waterfall; a click on a span opens a dialog with its contents."""
    rows = layout(spans)
    total = max([(one.start or 0.0) + (one.duration or 0.0) for one in rows] + [0.001])
    cells = [
        (
            functools.partial(_name, one),
            c.status(one.span.status),
            functools.partial(_bar, one, total),
            f"+{c.milliseconds(one.start)}" if one.start is not None else None,
            c.milliseconds(one.duration),
            c.number(one.span.tokens),
            c.money(one.span.cost),
        )
        for one in rows[:_MAX_ROWS]
    ]
    columns = ["Span", "Status", "Timeline", ">Start", ">Duration", ">Tokens", ">Cost"]
    c.table(columns, cells, label="Spans").classes("waterfall")
    if len(rows) > _MAX_ROWS:
        c.text("p", f"The first {_MAX_ROWS:,} of {len(rows):,} spans; `enprompta traces get` prints all.", "muted")


def _name(row: Row) -> None:
    span = row.span
    with c.box("div", "span-name").style(f"--depth: {min(row.depth, _MAX_DEPTH)}"):
        with c.box("div", "row-line"):
            c.button(span.name or span.id, lambda: open_span(row), kind="quiet")
            if span.span_type:
                c.badge(span.span_type)
            if row.depth:
                c.text("span", f"level {row.depth + 1}", "visually-hidden")
        if span.error_message:
            c.text("div", span.error_message, "span-error small clip")


def _bar(row: Row, total: float) -> None:
    with c.box("div", "span-track", {"aria-hidden": "true"}):  # the columns beside it have the same numbers
        if row.start is not None:
            left = min(row.start / total * 100, 99.0)
            width = 100 - left if row.duration is None else min(row.duration / total * 100, 100 - left)
            state = {"ERROR": "span-bar-error", "RUNNING": "span-bar-running"}.get(str(row.span.status), "")
            c.box("div", f"span-bar {state}").style(f"left: {left:.2f}%; width: {width:.2f}%")


def open_span(row: Row) -> None:
    """Open a dialog with everything about a span."""
    span = row.span
    with c.dialog(span.name or span.id, wide=True):
        if span.error_message:
            c.text("p", span.error_message, "note bad")
        c.facts(
            [
                ("Kind", span.span_type),
                ("Status", c.status(span.status)),
                ("Start", None if row.start is None else f"+{c.milliseconds(row.start)}"),
                ("Duration", c.milliseconds(row.duration)),
                ("Tokens", c.number(span.tokens)),
                ("Cost", c.money(span.cost)),
                ("Span", span.id),
                ("Parent", span.parent_span_id),
            ]
        )
        for name, value in (("Input", span.input), ("Output", span.output), ("Attributes", span.metadata)):
            if value not in (None, "", {}):
                c.text("h3", name)
                c.code(c.pretty(value), label=name, classes="wrap")
