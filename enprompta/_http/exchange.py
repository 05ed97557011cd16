"""One call from its request to its answer: every decision, no I/O.

`exchange()` is a generator of steps. It yields what should be done next, is sent the outcome (or gets the failure
thrown in), and returns the `Reply`:

    Send(request)    is sent the `httpx.Response`, its body read; an `APIConnectionError` is thrown in when none came
    Sleep(seconds)   is sent None once the time has passed

The two transports drive it, one blocking and one async; so retries are written once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from enprompta._http import log
from enprompta._http.failures import status_error
from enprompta._http.retry import Retrier, RetryPolicy
from enprompta.errors import APIConnectionError, APIError, APIStatusError, Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from enprompta._http.ratelimit import LastSeen

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request and read the whole answer."""

    request: httpx.Request
    call: str
    """What is called, such as `GET /prompts`, for messages."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds."""

    seconds: float


Step: TypeAlias = "Send | Sleep"
Steps: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer and the tries it took."""

    response: httpx.Response
    failed: Sequence[Attempt]
    """The tries before this one."""
    duration: float
    """Seconds this try took."""

    @property
    def request_id(self) -> str | None:
        """The server's id of the request; None when it gave none."""
        return self.response.headers.get("x-request-id")

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every try, this one last."""
        status = self.response.status_code
        this = Attempt(len(self.failed) + 1, self.duration, status, request_id=self.request_id)
        return (*self.failed, this)


def exchange(
    request: httpx.Request,
    call: str,
    policy: RetryPolicy,
    seen: LastSeen,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> Steps[Reply]:
    """Send a request, again where the policy says so, until an answer is 2xx or an error is final.

    Raises:
        APIStatusError: The last answer was another status.
        APIConnectionError: No answer came to the last try.
    """
    failed: list[Attempt] = []
    retrier: Retrier | None = None
    while True:
        started = clock()
        try:
            response: httpx.Response = yield Send(request, call)
            duration = clock() - started
            seen.observe(response.headers)
            if response.is_success:
                log.event(logging.DEBUG, "response", call=call, status=response.status_code, seconds=duration)
                return Reply(response, failed, duration)
            error: APIError = status_error(call, response, wall_clock())
        except APIConnectionError as failure:
            duration = clock() - started
            error = failure
        attempt = _attempt(len(failed) + 1, duration, error)
        retrier = retrier or Retrier(policy)
        try:
            wait = retrier.failed(error)
        except APIError:
            raise _final(error, (*failed, attempt), policy) from error.__cause__
        log.event(
            logging.INFO, "retry", call=call, attempt=attempt.number, wait=wait,
            status=attempt.status_code, error=type(error).__name__, request_id=attempt.request_id,
        )  # fmt: skip
        failed.append(replace(attempt, wait=wait))
        yield Sleep(wait)


def _attempt(number: int, duration: float, error: APIError) -> Attempt:
    if isinstance(error, APIStatusError):
        return Attempt(number, duration, error.status_code, request_id=error.request_id)
    return Attempt(number, duration, error=error.message)


def _final(error: APIError, attempts: tuple[Attempt, ...], policy: RetryPolicy) -> APIError:
    """Complete the error that the caller will see: every try, and why there was no other."""
    error.attempts = attempts
    if len(attempts) > 1:
        error.add_context(f"gave up after {len(attempts)} attempts")
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None and asked > policy.max_wait:
        error.add_context(
            f"the API asks to wait {asked:.0f} s, more than max_wait ({policy.max_wait:g} s), so it was not tried again"
        )
    return error
