"""What a run can be told; the keywords of `execute_many`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, cast

from typing_extensions import TypedDict

from enprompta._core.arguments import misuse
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from enprompta.batch.budget import Budget
    from enprompta.batch.results import Progress


class RunOptions(TypedDict, total=False):
    """Keywords of a run, on one machine or on many."""

    provider: str
    """Who runs the model, such as `openai`; not given is the account's default."""
    model: str
    """Which model; not given is the provider's default."""
    temperature: float
    """0 to 2, higher is more varied."""
    max_tokens: int
    """The longest output of a row, in tokens."""
    top_p: float
    """0 to 1, the share of probability that is drawn from."""
    stop_sequences: Sequence[str]
    """Texts that end the output."""
    concurrency: int
    """Rows under way at once, at most; 16 when not given. The client's limiter paces them, whatever the number."""
    errors: Literal["collect", "raise"]
    """`collect`, when not given, puts a row's error on its result; `raise` ends the run at the first one: the rows
    under way end, their results are given, then the error is raised."""
    run_id: str | None
    """What the rows' idempotency keys are made from. Not given, or None: the checkpoint's, else a fresh one."""
    timeout: float | None
    """Seconds for each of connecting, sending and receiving, a row; not given is the client's."""
    deadline: float | None
    """Seconds for a row as a whole, waiting for the request budget included; not given is the client's."""
    max_retries: int
    """Tries of a row after the first one; not given is the client's."""
    headers: Mapping[str, str]
    """Sent with each row, beside the client's."""


class BatchOptions(RunOptions, total=False):
    """Keywords of `execute_many` beside `variables`."""

    ordered: bool
    """True gives results in the order of the rows; a slow row then holds up those after it, up to eight times
    `concurrency`. False, when not given: as they come."""
    budget: Budget | None
    """Stops the run before it spends more; see `Budget`. None for no bound."""
    checkpoint: str | os.PathLike[str] | None
    """An SQLite file, made when it is not there, that remembers what has been done: a run that was stopped or killed
    goes on where it was. None remembers nothing."""
    retry_failed: bool
    """Whether rows that failed according to the checkpoint are executed again; True when not given."""
    skip_done: bool
    """True leaves results out that are from the checkpoint; False, when not given, gives them with `restored` set."""
    first_index: int
    """The place of the first row, where `rows` are a part of a longer input: results and idempotency keys count from
    there. 0 when not given."""
    total: int | None
    """How many rows there are, for progress; not needed where `rows` has a length."""
    on_progress: Callable[[Progress], object] | None
    """Is told how far the run has come, ten times a second at most and once at the end."""
    progress: bool
    """True shows a bar on the terminal; needs the extra `cli`. False when not given."""


_MODEL = ("provider", "model", "temperature", "max_tokens", "top_p", "stop_sequences")
_CLIENT = ("timeout", "deadline", "max_retries", "headers")
_MOST = 1_000


def model_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Pick those that go into each call."""
    return {name: options[name] for name in _MODEL if name in options}


def client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Pick those that are the client's."""
    return {name: options[name] for name in _CLIENT if options.get(name, UNSET) is not UNSET}


def check(options: Mapping[str, Any]) -> None:
    """Refuse what could not work.

    Raises:
        ConfigurationError: The text names the option and what is allowed.
        TypeError: There is no such option.
    """
    known = dict.fromkeys(("variables", *BatchOptions.__annotations__), False)
    if wrong := misuse("prompts.execute_many", (None, None), options, ("prompt_id", "rows"), known):
        raise wrong
    concurrency = options.get("concurrency", 16)
    if not isinstance(concurrency, int) or not 1 <= concurrency <= _MOST:
        raise ConfigurationError(f"concurrency must be a whole number from 1 to {_MOST}, not {concurrency!r}")
    if options.get("errors", "collect") not in {"collect", "raise"}:
        raise ConfigurationError(f"errors must be 'collect' or 'raise', not {options['errors']!r}")
    run_id = options.get("run_id")
    if run_id is not None and (not isinstance(run_id, str) or not run_id):
        raise ConfigurationError("run_id must be text, and not empty")
    first_index = options.get("first_index", 0)
    if not isinstance(first_index, int) or first_index < 0:
        raise ConfigurationError(f"first_index must be a whole number of 0 or more, not {first_index!r}")
    _check_tools(options)
    budget = options.get("budget")
    if budget is not None and not (hasattr(budget, "credits") and hasattr(budget, "usd")):
        raise ConfigurationError(f"budget must be Budget(credits=…) or Budget(usd=…), not {budget!r}")


def _check_tools(options: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is no path, and progress that could not be told."""
    checkpoint, tell, total = options.get("checkpoint"), options.get("on_progress"), options.get("total")
    if checkpoint is not None and not (isinstance(checkpoint, (str, os.PathLike)) and str(cast("object", checkpoint))):
        raise ConfigurationError(f"checkpoint must be the path of a file, not {checkpoint!r}")
    if tell is not None and not callable(tell):
        raise ConfigurationError(f"on_progress must be a function of a Progress, not {type(tell).__name__}")
    if total is not None and (not isinstance(total, int) or total < 0):
        raise ConfigurationError(f"total must be a whole number of 0 or more, not {total!r}")


def check_rows(rows: object, *, is_async: bool) -> None:
    """Refuse what is no series of rows.

    Raises:
        ConfigurationError: The text says what to pass.
    """
    kind = type(rows).__name__
    if isinstance(rows, (str, bytes, dict)):
        raise ConfigurationError(f"rows must be an iterable of rows, not a {kind}")
    if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
        raise ConfigurationError("rows cannot be a DataFrame, which iterates over its columns: df.to_dict('records')")
    if hasattr(rows, "__iter__") or (is_async and hasattr(rows, "__aiter__")):
        return
    if hasattr(rows, "__aiter__"):
        raise ConfigurationError("rows that come asynchronously need AsyncEnprompta")
    raise ConfigurationError(f"rows must be an iterable of rows, not {kind}")
