"""`enprompta prompts execute-many`: execute a prompt once per row of a file."""

from __future__ import annotations

import itertools
import json
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

import typer

from enprompta import batch
from enprompta.cli.commands.prompts import (
    ExpectVersion,
    MaxTokens,
    Model,
    OutputSchema,
    PromptId,
    Provider,
    Repair,
    Stop,
    Temperature,
    TopP,
    group,
    reader_for,
)
from enprompta.cli.console import err, line, out
from enprompta.cli.error_handling import FAILED, INTERRUPTED, connected
from enprompta.cli.options import given_only
from enprompta.cli.results_file import ResultsFile, is_standard_output, is_stream, writer_for
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from typing_extensions import Self

    from enprompta.batch import BatchResult, BatchRun
    from enprompta.batch.row_formats import Row

    FileRun: TypeAlias = BatchRun[Row, Any]

Input = Annotated[Path, typer.Option("--input", "-i", metavar="FILE", help="Rows: .csv, .jsonl or .parquet.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Results: .jsonl, .csv or .parquet; or /dev/stdout.")
]
Checkpoint = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Checkpoint to resume from; default OUTPUT.checkpoint.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Number of rows executed concurrently.")]
MaxCredits = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Stop before the whole run uses more credits, one per execution; executions before a resume count too.",
    ),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(min=0, help="Stop before the whole run costs more US dollars; executions before a resume count too."),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Overwrite the OUTPUT of a finished run: every row is executed and charged again. A stopped run resumes "
        "from its checkpoint, with or without --force.",
    ),
]


@group.command(
    "execute-many",
    epilog="Exit status: 0 every row was executed, 1 some rows failed or are invalid, 2 wrong usage, 3 no credentials, "
    "130 Ctrl-C: run the same command again to resume.",
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
    expect_version: ExpectVersion = None,
    output_schema: OutputSchema = None,
    repair: Repair = 0,
    force: Force = False,
) -> None:
    """Execute a prompt once per row of a file; every row is validated before anything is sent."""
    kept = checkpoint or _beside(output)
    _check_files(input_, output, kept, force=force)
    options = given_only(provider=provider, model=model, temperature=temperature, max_tokens=max_tokens, top_p=top_p)
    options |= given_only(stop_sequences=stop, expect_version=expect_version, repair=repair)
    output_type: Any = reader_for(output_schema, repair)
    if max_credits is not None or max_usd is not None:
        options["budget"] = batch.Budget(credits=max_credits, usd=max_usd)
    interrupt = Interrupt()
    with connected() as client:
        asked = client.prompts.get(prompt)
        rows = batch.read_rows(input_, prompt=asked)
        if rows.skipped:
            err.print(line(f"Skipped {rows.skipped:,} empty rows of {input_}."))
        if kept.exists():
            err.print(line(f"Resuming from {kept}: rows that it contains are not executed again."))
        run: FileRun = cast("Any", client.prompts).execute_many(
            prompt, rows, variables=partial(_variables, names=rows.variables), concurrency=concurrency, ordered=True,
            checkpoint=kept, progress=err.is_terminal, on_progress=interrupt.check,
            output=output_type, **options,
        )  # fmt: skip
        try:
            with _errors_in_shell_terms(kept), ResultsFile(output, rows.variables) as results, interrupt:
                failed = _write(run, results)
        except InterruptedRunError:
            _print_how_to_resume(run, output)
            raise typer.Exit(INTERRUPTED) from None
    done = run.progress
    before = f" ({done.restored:,} of them before)" if done.restored else ""
    summary = f"{done.done:,} executed{before}, {done.failed:,} failed, ${done.cost:,.4f}, in {output}"
    shown = err if is_stream(output) else out  # never among the results
    if run.ending != "completed":
        shown.print(line(f"{summary}; stopped: {run.ending}"))
        _print_how_to_resume(run, output)
        raise typer.Exit(FAILED)
    shown.print(line(summary))
    if failed:
        again = f"Run the same command again to retry the {failed:,} failed rows; the others are not charged again."
        if output_schema is not None:
            again += " Outputs that do not match the schema are only read again: change the schema, or use --repair."
        err.print(line(again))
        raise typer.Exit(FAILED)
    if checkpoint is None:  # the run is complete
        for suffix in ("", "-wal", "-shm"):
            kept.with_name(kept.name + suffix).unlink(missing_ok=True)


class InterruptedRunError(EnpromptaError):
    """The user has pressed Ctrl-C."""


class Interrupt:
    """Stops the run gracefully on the first Ctrl-C: rows in flight are finished and kept.

    The run calls `check` ten times a second between its steps. A second Ctrl-C stops it immediately.
    """

    def __init__(self) -> None:
        self._requested = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def check(self, _: object) -> None:
        """Stop the run after Ctrl-C; only once, because the run also calls this while it stops."""
        if self._requested:
            self._requested = False
            raise InterruptedRunError("Interrupted")

    def _request(self, *_: object) -> None:
        self._requested = True
        signal.signal(signal.SIGINT, self._before)


def _beside(output: Path) -> Path:
    """Return the checkpoint of an output file.

    Raises:
        typer.BadParameter: The results go to standard output.
    """
    if is_standard_output(output):
        raise typer.BadParameter(
            "with results on stdout, also give the --checkpoint FILE to resume from", param_hint="--output"
        )
    return output.with_name(f"{output.name}.checkpoint")


def _check_files(input_: Path, output: Path, checkpoint: Path, *, force: bool) -> None:
    """Refuse invalid files before any row is charged, and one file for two options: rows are read while it is written.

    Raises:
        typer.BadParameter: Two files are the same, or results would be overwritten.
        ConfigurationError: A file has an unknown format.
    """
    files = {"--input": input_, "--output": output, "--checkpoint": checkpoint}
    for (one, path), (other, same) in itertools.combinations(files.items(), 2):
        if path.resolve() == same.resolve() or (path.exists() and same.exists() and path.samefile(same)):
            raise typer.BadParameter(f"{same} is also {one}: use separate files", param_hint=other)
    if input_.suffix.lower() not in batch.row_files.SUFFIXES:
        raise typer.BadParameter(f"{input_}: rename the file to .csv, .jsonl or .parquet", param_hint="--input")
    writer_for(output)
    if output.exists() and not checkpoint.exists() and not force and (output.is_dir() or not is_stream(output)):
        raise typer.BadParameter(
            f"{output} exists and there is no checkpoint to resume from; --force overwrites it: every row is "
            "executed and charged again",
            param_hint="--output",
        )


@contextmanager
def _errors_in_shell_terms(checkpoint: Path) -> Generator[None]:
    """Rewrite an error that ends the run to say how to resume on the command line instead of in Python."""
    try:
        yield
    except EnpromptaError as error:
        call = f"run again with checkpoint={str(checkpoint)!r} to resume"
        error.message = error.message.replace(call, "run the same command again to resume")
        error.args = (error.message, *error.args[1:])
        raise


def _write(run: FileRun, results: ResultsFile) -> int:
    failed = 0
    with run:
        completed = iter(run)  # keeps a reference, so that the block ends the run and raises errors of closing it
        for result in completed:
            failed += not result.ok
            results.write(_record(result))
    return failed


def _variables(row: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """Select the prompt's variables from a row; JSON rows can leave out optional ones."""
    return {name: row[name] for name in names if name in row}


def _record(result: BatchResult[Row, Any]) -> dict[str, object]:
    execution = result.execution
    record: dict[str, object] = {
        "index": result.index,
        "ok": result.ok,
        "variables": dict(result.variables),
        "output": result.output,
        "executionId": execution and execution.id,
        "model": execution and execution.model,
        "tokens": execution and getattr(execution, "total_tokens", execution.tokens),
        "cost": execution and getattr(execution, "total_cost", execution.cost),
        "error": None if result.error is None else str(result.error),
    }
    if result.ok and hasattr(execution, "parsed"):  # read with --output-schema
        parsed: object = cast("Any", execution).parsed
        record |= {"output": json.dumps(parsed, ensure_ascii=False), "parsed": parsed}
    return record


def _print_how_to_resume(run: FileRun, output: Path) -> None:
    done = run.progress
    of = "" if done.total is None else f" of {done.total:,}"
    ended = done.done + done.failed
    err.print(line(f"Stopped after {ended:,}{of} rows" + (f"; the results so far are in {output}." if ended else ".")))
    how = "Run the same command again to resume"
    if run.ending == "budget":  # the budget counts the whole run, so the same command would stop immediately
        how = "To resume, raise or remove --max-credits or --max-usd"
    err.print(line(f"{how}: no row is charged twice."))
