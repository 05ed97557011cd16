"""The options of a run: the keyword arguments of `execute_many`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, cast

from typing_extensions import TypedDict

from enprompta._common.values import MAX_EXACT_INT, encodable
from enprompta._core.arguments import misuse
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from enprompta._core.prompt_versions import ExpectedVersion
    from enprompta.batch.budget import Budget
    from enprompta.batch.results import Progress


class RunOptions(TypedDict, total=False):
    """Keyword arguments of a run, on one machine or on many."""

    provider: str
    """The model's provider, such as `openai`; the account's default if not given."""
    model: str
    """The model; the provider's default if not given."""
    temperature: float
    """0 to 2, higher is more varied."""
    max_tokens: int
    """The longest output of a row, in tokens."""
    top_p: float
    """0 to 1, the nucleus-sampling threshold."""
    stop_sequences: Sequence[str]
    """Texts that end the output."""
    expect_version: ExpectedVersion
    """The version that must be executed, such as `live.version`. The prompt is fetched once, before the first row;
    another version ends the run with `VersionMismatchError`, and nothing is charged."""
    repair: int
    """How often a row is executed again, charged each time, if its output does not match `output`; 0 to 3, and 0 if not
    given."""
    concurrency: int
    """Maximum number of rows in flight; 16 if not given. The client's limiter paces them anyway."""
    errors: Literal["collect", "raise"]
    """`collect` (the default) sets a row's error on its result. `raise` ends the run at the first error: the rows in
    flight complete, their results are returned, then the error is raised."""
    run_id: str | None
    """The id that the rows' idempotency keys are derived from. None: the checkpoint's, else a new id."""
    timeout: float | None
    """Seconds for each of connecting, sending and receiving, for each row; the client's if not given."""
    deadline: float | None
    """Seconds for a whole row, waiting for the rate limit included; the client's if not given."""
    max_retries: int
    """Retries of a row after the first attempt; the client's if not given."""
    headers: Mapping[str, str]
    """Headers to send with each row, in addition to the client's."""


class BatchOptions(RunOptions, total=False):
    """Keyword arguments of `execute_many`, except `variables`."""

    ordered: bool
    """True returns results in the order of the rows; a slow row then delays up to eight times `concurrency` rows after
    it. False (the default) returns them as they complete."""
    budget: Budget | None
    """The run stops before it spends more; see `Budget`. None for no bound."""
    checkpoint: str | os.PathLike[str] | None
    """An SQLite file that stores the run's progress, created if it does not exist: a run that was stopped or killed
    resumes from it. None stores nothing."""
    retry_failed: bool
    """True (the default) to execute rows again that failed according to the checkpoint."""
    skip_done: bool
    """True to leave out results from the checkpoint; False (the default) returns them with `restored` set."""
    first_index: int
    """The index of the first row, if `rows` is a part of a longer input: results and idempotency keys count from it.
    0 if not given."""
    total: int | None
    """The number of rows, for progress; not needed if `rows` has a length."""
    on_progress: Callable[[Progress], object] | None
    """Called with the progress of the run, at most ten times per second and once when it ends."""
    progress: bool
    """True to show a progress bar on the terminal; needs the extra `cli`. False if not given."""


_MODEL = ("provider", "model", "temperature", "max_tokens", "top_p", "stop_sequences")
_CLIENT = ("timeout", "deadline", "max_retries", "headers")
_MAX_CONCURRENCY = 1_000


def model_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Select the options that each call sends."""
    return {name: options[name] for name in _MODEL if name in options}


def client_options(options: Mapping[str, object]) -> dict[str, Any]:
    """Select the options of the client."""
    return {name: options[name] for name in _CLIENT if options.get(name, UNSET) is not UNSET}


def check(options: Mapping[str, Any]) -> None:
    """Refuse invalid options.

    Raises:
        ConfigurationError: A value is invalid; the text names the option and what is allowed.
        TypeError: An option is unknown.
    """
    known = dict.fromkeys(("variables", "output", *BatchOptions.__annotations__), False)
    if wrong := misuse("prompts.execute_many", (None, None), options, ("prompt_id", "rows"), known):
        raise wrong
    concurrency = options.get("concurrency", 16)
    if not isinstance(concurrency, int) or not 1 <= concurrency <= _MAX_CONCURRENCY:
        raise ConfigurationError(
            f"concurrency must be a whole number from 1 to {_MAX_CONCURRENCY}, not {concurrency!r}"
        )
    if options.get("errors", "collect") not in {"collect", "raise"}:
        raise ConfigurationError(f"errors must be 'collect' or 'raise', not {options['errors']!r}")
    run_id = options.get("run_id")
    if run_id is not None and (not isinstance(run_id, str) or not run_id or encodable(run_id) != run_id):
        raise ConfigurationError("run_id must be text, not empty, and without half characters (lone surrogates)")
    first_index = options.get("first_index", 0)
    if not isinstance(first_index, int) or not 0 <= first_index <= MAX_EXACT_INT:
        raise ConfigurationError(f"first_index must be a whole number from 0 to {MAX_EXACT_INT}, not {first_index!r}")
    _check_tools(options)
    budget = options.get("budget")
    if budget is not None and not (hasattr(budget, "credits") and hasattr(budget, "usd")):
        raise ConfigurationError(f"budget must be Budget(credits=…) or Budget(usd=…), not {budget!r}")


def _check_tools(options: Mapping[str, object]) -> None:
    """Refuse an invalid checkpoint, callback or total."""
    checkpoint, on_progress, total = options.get("checkpoint"), options.get("on_progress"), options.get("total")
    if checkpoint is not None and not (isinstance(checkpoint, (str, os.PathLike)) and str(cast("object", checkpoint))):
        raise ConfigurationError(f"checkpoint must be the path of a file, not {checkpoint!r}")
    if on_progress is not None and not callable(on_progress):
        raise ConfigurationError(f"on_progress must be a function of a Progress, not {type(on_progress).__name__}")
    if total is not None and (not isinstance(total, int) or total < 0):
        raise ConfigurationError(f"total must be a whole number of 0 or more, not {total!r}")


def check_rows(rows: object, *, is_async: bool) -> None:
    """Refuse an argument that is not an iterable of rows.

    Raises:
        ConfigurationError: The text says what to pass.
    """
    kind = type(rows).__name__
    if isinstance(rows, (str, bytes, dict)):
        raise ConfigurationError(f"rows must be an iterable of rows, not a {kind}")
    if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
        raise ConfigurationError(
            "rows cannot be a DataFrame, which iterates over its columns: pass df.to_dict('records')"
        )
    if hasattr(rows, "__iter__") or (is_async and hasattr(rows, "__aiter__")):
        return
    if hasattr(rows, "__aiter__"):
        raise ConfigurationError("an async iterable of rows needs AsyncEnprompta")
    raise ConfigurationError(f"rows must be an iterable of rows, not {kind}")
