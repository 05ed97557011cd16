"""When to try again and how long to wait first: one pure policy, driven by tenacity, for both clients."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta._http.error_mapping import lacks_sockets, needs_proxy_credentials
from enprompta.errors import APIConnectionError, APIStatusError

if TYPE_CHECKING:
    from collections.abc import Callable

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
FIRST_WAIT = 0.5  # seconds
_DOUBLINGS = 4
LONGEST_WAIT = FIRST_WAIT * 2.0**_DOUBLINGS  # 8 seconds, of the waits that we choose; the server may ask for longer


@dataclass(frozen=True)
class RetryPolicy:
    """What is tried again: failures to get an answer, and statuses that say "later"; never another 4xx."""

    max_retries: int
    """Tries after the first one."""
    max_wait: float
    """Seconds; a server that asks for a longer wait gets no other try, the caller is told at once."""
    jitter: Callable[[], float] = random.random
    """A number from 0 to 1, anew each time."""

    def is_retried(self, error: BaseException) -> bool:
        """Tell whether a failure is worth another try."""
        if isinstance(error, APIStatusError):
            return error.status_code in RETRIED_STATUSES and (error.retry_after or 0.0) <= self.max_wait
        if not isinstance(error, APIConnectionError):
            return False
        return not (lacks_sockets(error) or needs_proxy_credentials(error))

    def wait(self, error: BaseException, attempt: int) -> float:
        """Give the seconds to wait after the attempt of that number, the first being 1.

        The server's word goes first; else exponential back-off with full jitter, which spreads clients that failed
        together over the whole span.
        """
        if isinstance(error, APIStatusError) and error.retry_after is not None:
            return error.retry_after
        return FIRST_WAIT * 2.0 ** min(attempt - 1, _DOUBLINGS) * self.jitter()


class Retrier:
    """One call's retries: tenacity counts the attempts and asks the policy; made when a first attempt has failed.

    It drives tenacity by `iter()`, which does no I/O and does not sleep, so that one retrier serves both clients.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        import tenacity  # noqa: PLC0415 (most calls succeed at once; their process need not load it)

        self._policy = policy
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(policy.max_retries + 1),
            retry=tenacity.retry_if_exception(policy.is_retried),
            reraise=True,
        )
        self._state = tenacity.RetryCallState(self._retrying, fn=None, args=(), kwargs={})
        self._retrying.begin()

    def failed(self, error: Exception) -> float:
        """Take note of a failed attempt and give the seconds to wait before the next one.

        Raises:
            Exception: `error` itself, when there is no next one.
        """
        attempt = self._state.attempt_number
        self._state.set_exception((type(error), error, error.__traceback__))
        self._retrying.iter(retry_state=self._state)
        self._state.prepare_for_next_attempt()
        return self._policy.wait(error, attempt)
