"""Charges of rows, and which rows need a new idempotency key to be executed again. Pure.

The API answers each key once, and then repeats that answer. So a row that was refused, or whose provider failed, needs
a new key for its next execution. A row that may have been charged keeps its key: the API then returns its execution
without charging it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.batch.errors import ExecutionFailedError
from enprompta.errors import APIConnectionError, APIError, ConfigurationError, ConflictError

if TYPE_CHECKING:
    from enprompta.errors import EnpromptaError

REFUSED = frozenset({400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 422, 428, 429, 431, 451})
"""Statuses that say that the API has not executed the request. It may have if it answered anything else, such as 408
or 503, or if no answer arrived."""


def credits_of(error: EnpromptaError | None) -> int:
    """Return the credits that a row was charged by its first execution; 1 also if unknown."""
    if error is None:
        return 1
    if isinstance(error, (ExecutionFailedError, ConfigurationError)):
        return 0
    if not isinstance(error, APIError):
        return 1
    statuses = {attempt.status_code for attempt in error.attempts}
    if not isinstance(error, APIConnectionError):
        statuses.add(getattr(error, "status_code", None))
    return int(not statuses <= REFUSED)  # without an attempt, it waited for the rate limit until its deadline


def needs_new_key(error: EnpromptaError | None, credits: int) -> bool:
    """True if the API would repeat the failure of a row for the same key.

    Args:
        error: The row's error.
        credits: The credits that it was or may have been charged under this key.
    """
    if credits:
        return False
    # A 409 means that the API knows another request with this key.
    status = None if isinstance(error, ConflictError) else getattr(error, "status_code", None)
    return isinstance(error, ExecutionFailedError) or status in REFUSED
