"""Traces: the list with its filters, and one trace with its spans."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from nicegui import ui

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.first_steps import tracing_example
from enprompta.workbench.live import TYPING_DELAY, Listing, Region
from enprompta.workbench.session import current
from enprompta.workbench.traces.waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enprompta.models import Trace, TraceEvaluation
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
