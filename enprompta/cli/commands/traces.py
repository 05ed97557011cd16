"""`enprompta traces`: list traces, show one as a tree, and follow new ones."""

from __future__ import annotations

import sys
import time
from datetime import timezone
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from enprompta._common.span_tree import tree_of
from enprompta.cli.console import line, out
from enprompta.cli.error_handling import connected, show_error
from enprompta.cli.options import EPILOG, All, Json, Limit, Since, Until, given_only
from enprompta.cli.output import PAGE, show_listing, show_object, write_json, write_text
from enprompta.cli.shared_options import shared
from enprompta.errors import APIConnectionError, InternalServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.text import Text

    from enprompta import Page
    from enprompta.models import Trace, TraceSpan

group: typer.Typer = typer.Typer(help="Inspect traces.", no_args_is_help=True)

Prompt = Annotated[str | None, typer.Option(metavar="ID", help="Only traces of this prompt.")]
Session = Annotated[str | None, typer.Option(metavar="ID", help="Only traces of this session.")]
Provider = Annotated[str | None, typer.Option(help="Only traces of this provider.")]
Model = Annotated[str | None, typer.Option(help="Only traces of this model.")]
Environment = Annotated[str | None, typer.Option(metavar="NAME", help="Only traces of this environment.")]
Lines = Annotated[int, typer.Option("--lines", "-n", min=0, max=PAGE, metavar="N", help="Traces to start with.")]
Status = Annotated[
    Literal["SUCCESS", "ERROR", "TIMEOUT", "RATE_LIMITED", "CONTENT_FILTERED"] | None,
    typer.Option(help="Only traces with this status."),
]

_COLUMNS = {
    "id": "id", "status": "status", "model": "model", "tokens": "total_tokens", "cost": "cost", "latency": "latency_ms",
    "created": "created_at",
}  # fmt: skip
_MAX_SEEN = 10_000  # ids that `tail` remembers
_MAX_TEXT = 60  # characters of an input on a line of `tail`
_STYLES = {"SUCCESS": "green", "RUNNING": "yellow"}


@group.command("list", epilog=EPILOG)
def list_traces(
    *,
    prompt: Prompt = None,
    session: Session = None,
    provider: Provider = None,
    model: Model = None,
    environment: Environment = None,
    status: Status = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    all_: All = False,
    as_json: Json = False,
) -> None:
    """List traces, newest first."""
    filters = {
        "prompt_id": prompt, "session_id": session, "provider": provider, "model": model, "environment": environment,
        "status": status, "start_date": since, "end_date": until,
    }  # fmt: skip
    with connected() as client:
        show_listing(client.traces.list, _COLUMNS, limit=None if all_ else limit, as_json=as_json, **filters)


@group.command(epilog=EPILOG)
def get(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="The trace's id.", show_default=False)],
    *,
    as_json: Json = False,
) -> None:
    """Show a trace and its spans as a tree with durations, tokens and cost."""
    with connected() as client:
        found = client.traces.get(trace)
    hidden = () if as_json else ("spans", "evaluations", "input", "output")
    show_object(found, as_json=as_json, hidden=hidden)
    if as_json or shared.quiet:
        return
    out.print(line(("input  ", "cyan")))
    write_text(found.input or "-")
    out.print(line(("output  ", "cyan")))
    write_text(found.output or "-")
    if found.spans:
        out.print()
        _print_tree(found.spans)
    for one in found.evaluations or ():
        passed = "passed" if one.passed else "failed"
        out.print(line(f"{one.evaluator_name or one.id}  {one.score}  {passed}  {one.reasoning or ''}"))


def _print_tree(spans: Sequence[TraceSpan]) -> None:
    """Print the spans below their parents."""
    lines: list[Text] = []
    has_next: list[bool] = []  # for each level: does a sibling follow?
    for span, depth in reversed(tree_of(spans)):
        has_next += [False] * (depth + 1 - len(has_next))
        bars = "".join("│  " if follows else "   " for follows in has_next[1:depth])
        lines.append(_span_line(span, bars + ("" if not depth else "├─ " if has_next[depth] else "└─ ")))
        has_next[depth:] = [True]
    for one in reversed(lines):
        out.print(one)


def _span_line(span: TraceSpan, lead: str) -> Text:
    facts = [span.span_type, _duration(span.duration_ms)]
    facts.append(None if span.tokens is None else f"{span.tokens:,} tokens")
    facts.append(None if span.cost is None else f"${span.cost:,.4f}")
    status = span.status or "-"
    rest = "  ".join(str(one) for one in facts if one)
    error = "" if span.error_message is None else f"  {_short(span.error_message)}"
    return line(lead, (span.name or span.id, "bold"), f"  {rest}  ", (status, _STYLES.get(status, "red")), error)


def _duration(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    return f"{milliseconds:,.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"  # noqa: PLR2004 (10 s)


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= _MAX_TEXT else f"{joined[: _MAX_TEXT - 1]}…"


@group.command(epilog=EPILOG)
def tail(
    *,
    lines: Lines = 10,
    interval: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds between two requests.")] = 2.0,
    prompt: Prompt = None,
    session: Session = None,
    provider: Provider = None,
    model: Model = None,
    environment: Environment = None,
    status: Status = None,
    as_json: Json = False,
) -> None:
    """Print new traces as they arrive, one line per trace, until Ctrl-C."""
    filters = given_only(prompt_id=prompt, session_id=session, provider=provider, model=model)
    filters |= given_only(environment=environment, status=status)
    with connected() as client:
        for trace in _follow(partial(client.traces.list, limit=PAGE, **filters), lines, interval):
            if as_json:
                write_json(trace)
            elif shared.quiet:
                write_text(trace.id)
            else:
                out.print(_trace_line(trace))
            sys.stdout.flush()


def _follow(newest: Callable[[], Page[Trace]], lines: int, interval: float) -> Iterator[Trace]:
    """Yield the newest traces in the order of their arrival, and then new ones, forever."""
    seen: dict[str, None] = {}
    is_first = True
    while True:
        new: list[Trace] = []
        try:
            for page in newest().pages():
                unseen = [trace for trace in page.data if trace.id not in seen]
                new += unseen
                if is_first or len(unseen) < len(page.data):
                    break
        except (APIConnectionError, InternalServerError) as error:  # the next request may succeed
            show_error(error)
        else:
            seen.update((trace.id, None) for trace in reversed(new))
            for oldest in list(seen)[:-_MAX_SEEN]:
                del seen[oldest]
            yield from reversed(new[:lines] if is_first else new)
            is_first = False
        time.sleep(interval)


def _trace_line(trace: Trace) -> Text:
    created = "-" if trace.created_at is None else f"{trace.created_at.astimezone(timezone.utc):%H:%M:%S}"
    status = trace.status or "-"
    return line(
        (f"{created}  ", "dim"),
        (f"{status:<7}", _STYLES.get(status, "red")),
        f"  {trace.id}  {trace.model or '-'}  {_duration(trace.latency_ms) or '-'}  ",
        f"{trace.total_tokens or 0:,} tokens  ${trace.cost or 0:,.4f}  {_short(trace.input or '')}",
    )
