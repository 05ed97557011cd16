"""Which failures are worth another attempt, and when."""

from __future__ import annotations

import random

from enprompta._common.clock import monotonic
from enprompta.errors import APIError, APIStatusError

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
SHORT_SECONDS = 0.2
"""Pause between two attempts of a flush."""
MAX_RETRY_AFTER = 300.0
"""Longest pause, in seconds, that the service may ask for."""

_REJECTED = frozenset({400, 405, 411, 413, 414, 415, 422, 431})


def is_rejected(error: APIError) -> bool:
    """True if the same request would fail again, so that its spans are dropped.

    Spans refused for missing credentials, scopes or credits are kept: those can be given while the process runs.
    """
    return isinstance(error, APIStatusError) and error.status_code in _REJECTED


def reason_of(error: APIError) -> str:
    """Describe a failure in a line, with what to do about a refusal."""
    text = error.message.splitlines()[0][:300] if error.message else type(error).__name__
    if isinstance(error, APIStatusError) and error.status_code in {401, 403}:
        return f"{text} (the credentials need the scope traces:write)"
    return text


class Backoff:
    """Exponential pauses between failed requests, with full jitter on the upper half."""

    __slots__ = ("_due_at", "_failures")

    def __init__(self) -> None:
        self._failures = 0
        self._due_at = 0.0

    @property
    def is_due(self) -> bool:
        """True if the pause is over."""
        return monotonic() >= self._due_at

    @property
    def short_pause(self) -> float:
        """Seconds before another attempt of a caller that waits."""
        return SHORT_SECONDS * self._failures

    def failed(self, retry_after: float | None) -> None:
        """Begin a pause, at least as long as the service asks for."""
        self._failures += 1
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures - 1, 10))
        pause = longest * (0.5 + random.random() / 2)  # noqa: S311 (spreads load)
        self._due_at = monotonic() + max(pause, min(retry_after or 0.0, MAX_RETRY_AFTER))

    def succeeded(self) -> None:
        """End the series of failures."""
        self._failures = 0
        self._due_at = 0.0
