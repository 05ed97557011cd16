"""`enprompta prompts execute-many`: a prompt once for each row of a file."""

from __future__ import annotations

import itertools
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enprompta.cli.commands.prompts import MaxTokens, Model, PromptId, Provider, Stop, Temperature, TopP, group
from enprompta.cli.console import err, line, out
from enprompta.cli.error_handling import FAILED, INTERRUPTED, connected
from enprompta.cli.options import given
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from typing_extensions import Self

    from enprompta.batch import BatchResult, BatchRun
    from enprompta.cli.results_file import ResultsFile

Input = Annotated[Path, typer.Option("--input", "-i", metavar="FILE", help="Rows: .csv, .jsonl or .parquet.")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Results: .jsonl, .csv or .parquet.")]
Checkpoint = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What has been done, to go on from; OUTPUT.checkpoint if not given.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Rows under way at once.")]
MaxCredits = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Stop before the whole run takes more credits of the plan, one an execution; what was done before it was "
        "resumed counts too.",
    ),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        min=0, help="Stop before the whole run costs more US dollars; what was done before it was resumed counts too."
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Overwrite the OUTPUT of a finished run: every row is executed, and charged, again. A run that has "
        "stopped needs no --force, and goes on from its checkpoint with it too.",
    ),
]


@group.command(
    "execute-many",
    epilog="Exit status: 0 every row was executed, 1 some were not, or a row of the file is wrong, 2 wrong usage, "
    "3 no key, 130 Ctrl-C: the same command goes on where it was.",
)
def execute_many(
    prompt: PromptId,
    *,
    input_: Input,
    output: Output,
    checkpoint: Checkpoint = None,
    concurrency: Concurrency = 16,
    max_credits: MaxCredits = None,
    max_usd: MaxUsd = None,
    provider: Provider = None,
    model: Model = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    top_p: TopP = None,
    stop: Stop = None,
    force: Force = False,
) -> None:
    """Run a prompt once for each row of a file; every row is checked before the first is sent."""
    from enprompta.batch import Budget  # noqa: PLC0415 (--help needs nothing of it)
    from enprompta.batch.row_files import read_rows  # noqa: PLC0415
    from enprompta.cli.results_file import ResultsFile  # noqa: PLC0415

    kept = checkpoint or output.with_name(f"{output.name}.checkpoint")
    _check_files(input_, output, kept, force=force)
    told = {
        "provider": provider, "model": model, "temperature": temperature, "max_tokens": max_tokens, "top_p": top_p,
        "stop_sequences": stop,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in told.items() if given(value) == value}
    if max_credits is not None or max_usd is not None:
        options["budget"] = Budget(credits=max_credits, usd=max_usd)
    interrupt = Interrupt()
    with connected() as client:
        asked = client.prompts.get(prompt)
        rows = read_rows(input_, prompt=asked)
        if rows.skipped:
            err.print(line(f"Skipped {rows.skipped:,} rows of {input_} whose cells are all empty."))
        if kept.exists():
            err.print(line(f"Going on from {kept}: what it holds as executed is not executed again."))
        run = client.prompts.execute_many(
            prompt, rows, variables=lambda row: _variables(row, rows.variables), concurrency=concurrency, ordered=True,
            checkpoint=kept, progress=err.is_terminal, on_progress=interrupt.look, **options,
        )  # fmt: skip
        try:
            with _in_the_words_of_a_shell(kept), ResultsFile(output, rows.variables) as results, interrupt:
                failed = _write(run, results)
        except InterruptedRunError:
            _say_how_to_go_on(run, output)
            raise typer.Exit(INTERRUPTED) from None
    done = run.progress
    before = f" ({done.restored:,} of them before)" if done.restored else ""
    summary = f"{done.done:,} executed{before}, {done.failed:,} failed, ${done.cost:,.4f}, in {output}"
    if run.ending != "completed":
        out.print(line(f"{summary}; stopped: {run.ending}"))
        _say_how_to_go_on(run, output)
        raise typer.Exit(FAILED)
    out.print(line(summary))
    if failed:
        err.print(line(f"Run the same command again to try the {failed:,} again; the others are not charged again."))
        raise typer.Exit(FAILED)
    if checkpoint is None:  # it has served
        for suffix in ("", "-wal", "-shm"):
            kept.with_name(kept.name + suffix).unlink(missing_ok=True)


class InterruptedRunError(EnpromptaError):
    """Somebody has pressed Ctrl-C."""


class Interrupt:
    """Takes the first Ctrl-C as a wish to end the run well: rows on their way are waited for and kept.

    The run asks `look` ten times a second, in its own time, so that it is never stopped in the middle of a step. A
    second Ctrl-C stops it wherever it is.
    """

    def __init__(self) -> None:
        self._wished = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def look(self, _: object) -> None:
        """End the run when that is wished; once, for it is asked again while the run ends."""
        if self._wished:
            self._wished = False
            raise InterruptedRunError("Interrupted")

    def _take(self, *_: object) -> None:
        self._wished = True
        signal.signal(signal.SIGINT, self._before)


def _check_files(input_: Path, output: Path, checkpoint: Path, *, force: bool) -> None:
    """Refuse files that cannot work, before a row is charged.

    Raises:
        typer.BadParameter: Two are the same, or results would be overwritten.
        ConfigurationError: One is of an unknown format.
    """
    from enprompta.batch.row_files import SUFFIXES  # noqa: PLC0415 (as above)
    from enprompta.cli.result_formats import writer_for  # noqa: PLC0415

    _check_apart(input_, output, checkpoint)
    if input_.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{input_}: rename the file to .csv, .jsonl or .parquet", param_hint="--input")
    writer_for(output)
    if output.exists() and not checkpoint.exists() and not force and (output.is_file() or output.is_dir()):
        raise typer.BadParameter(
            f"{output} is there already, and no checkpoint to go on from; --force overwrites it: every row is "
            "executed, and charged, again",
            param_hint="--output",
        )


def _check_apart(input_: Path, output: Path, checkpoint: Path) -> None:
    """Refuse one file for two purposes: writing the results would take away the rows, which are read as they are sent.

    Raises:
        typer.BadParameter: Two are the same.
    """
    files = {"--input": input_, "--output": output, "--checkpoint": checkpoint}
    for (one, path), (other, same) in itertools.combinations(files.items(), 2):
        if path.resolve() == same.resolve() or (path.exists() and same.exists() and path.samefile(same)):
            raise typer.BadParameter(f"{same} is {one} too: give each a file of its own", param_hint=other)


@contextmanager
def _in_the_words_of_a_shell(checkpoint: Path) -> Generator[None]:
    """Let an error that ends the run say how to go on as a command does, not as a call in Python."""
    try:
        yield
    except EnpromptaError as error:
        call = f"run again with checkpoint={str(checkpoint)!r} to resume"
        error.message = error.message.replace(call, "run the same command again to go on there")
        error.args = (error.message, *error.args[1:])
        raise


def _write(run: BatchRun[dict[str, Any]], results: ResultsFile) -> int:
    failed = 0
    with run:
        given_out = iter(run)  # held on to, so that it is the block that ends the run and tells of what goes wrong then
        for result in given_out:
            failed += not result.ok
            results.write(_record(result))
    return failed


def _variables(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Take the prompt's variables out of a row; an object in JSON need not have those that are not required."""
    return {name: row[name] for name in names if name in row}


def _record(result: BatchResult[dict[str, Any]]) -> dict[str, object]:
    execution = result.execution
    return {
        "index": result.index,
        "ok": result.ok,
        "variables": dict(result.variables),
        "output": result.output,
        "executionId": execution and execution.id,
        "model": execution and execution.model,
        "tokens": execution and execution.tokens,
        "cost": execution and execution.cost,
        "error": None if result.error is None else str(result.error),
    }


def _say_how_to_go_on(run: BatchRun[dict[str, Any]], output: Path) -> None:
    done = run.progress
    of = "" if done.total is None else f" of {done.total:,}"
    ended = done.done + done.failed
    err.print(line(f"Stopped after {ended:,}{of} rows" + (f"; {output} holds what has come so far." if ended else ".")))
    how = "Run the same command again to go on"
    if run.ending == "budget":  # which is of the whole run: the same would stop at once
        how = "To go on, run it with a higher --max-credits or --max-usd, or without"
    err.print(line(f"{how}: no row is charged twice."))
