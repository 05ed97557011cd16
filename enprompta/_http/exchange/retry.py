"""Decide which failures are retried and after which delay: one policy without I/O, run by tenacity."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from enprompta._http import failures
from enprompta.errors import APIConnectionError, APIStatusError

if TYPE_CHECKING:
    from collections.abc import Callable

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
FIRST_WAIT = 0.5  # seconds
_DOUBLINGS = 4
LONGEST_WAIT = FIRST_WAIT * 2.0**_DOUBLINGS  # 8 seconds for our own backoff; the server may ask for more


class RetryPolicy:
    """Retries connection errors and temporary statuses, never other 4xx statuses.

    Args:
        max_retries: Number of retries.
        max_wait: Longest delay in seconds that the server may ask for; if it asks for more, the call fails at once.
        jitter: Returns a random number from 0 to 1.
    """

    def __init__(self, max_retries: int, max_wait: float, jitter: Callable[[], float] = random.random) -> None:
        self.max_retries, self.max_wait, self.jitter = max_retries, max_wait, jitter

    def is_retried(self, error: BaseException) -> bool:
        """True if a failure is to be retried."""
        if isinstance(error, APIStatusError):
            return error.status_code in RETRIED_STATUSES and (error.retry_after or 0.0) <= self.max_wait
        if not isinstance(error, APIConnectionError):
            return False
        return not (failures.lacks_sockets(error) or failures.needs_proxy_credentials(error))

    def wait(self, error: BaseException, attempt: int) -> float:
        """Return the seconds to wait after an attempt; the first attempt is 1.

        Uses the delay that the server asks for, or else exponential backoff with full jitter.
        """
        if isinstance(error, APIStatusError) and error.retry_after is not None:
            return error.retry_after
        return FIRST_WAIT * 2.0 ** min(attempt - 1, _DOUBLINGS) * self.jitter()


class Retrier:
    """The retries of one call, created after its first failure.

    Calls tenacity's `iter()`, which does no I/O and does not sleep, so one class serves both clients.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        import tenacity  # noqa: PLC0415 (most calls succeed without a retry)

        self._policy = policy
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.max_retries + 1),
            retry=tenacity.retry_if_exception(policy.is_retried),
            reraise=True,
        )
        self._state = tenacity.RetryCallState(self._retrying, fn=None, args=(), kwargs={})
        self._retrying.begin()

    def failed(self, error: Exception) -> float:
        """Record a failed attempt and return the seconds to wait before the next one.

        Raises:
            Exception: `error` itself, if there is no further attempt.
        """
        attempt = self._state.attempt_number
        self._state.set_exception((type(error), error, error.__traceback__))
        self._retrying.iter(retry_state=self._state)
        self._state.prepare_for_next_attempt()
        return self._policy.wait(error, attempt)
