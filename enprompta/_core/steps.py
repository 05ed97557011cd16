"""The steps of a call, which its generator yields to a driver.

    WaitForBudget  returns a reservation; raises `WaitTooLong` or `DeadlineReached` if the wait is too long
    SendRequest    returns the `Answer`; raises an `APIConnectionError` if no response arrives
    Sleep          returns None when the time has passed
    WaitForFuture  returns None when the future is done; raises `APITimeoutError` after the deadline

A blocking and an async driver perform the steps, so rate limits, retries and deadlines are implemented once.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from enprompta import errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import httpx

    from enprompta.errors import Attempt
    from enprompta.limiters.interface import Account, Reservation

T = TypeVar("T")

OK, REDIRECT = 200, 300  # the first status codes of their classes
DEFAULT_MAX_RESPONSE_BYTES = 100_000_000
TRIED = "tried "
"""Prefix of the message of a connection error that lists the addresses that were tried, each with its result."""


class Credentials(Protocol):
    """The authentication of a client's requests, as its driver sees it."""

    def secrets(self) -> Sequence[str]: ...
    def after_fork(self) -> None: ...


class WaitForBudget:
    """Wait until the rate limit allows a request.

    Args:
        account: The account of the budget.
        ticket: Reservation of the previous attempt, which keeps its place in the queue; None for the first attempt.
        max_wait: Longest wait in seconds.
        ends: Deadline in monotonic seconds; None for no limit.
    """

    __slots__ = ("account", "ends", "max_wait", "ticket")

    def __init__(self, account: Account, ticket: Reservation, max_wait: float, ends: float | None) -> None:
        self.account, self.ticket, self.max_wait, self.ends = account, ticket, max_wait, ends


class SendRequest:
    """Send the request and read the complete response.

    Args:
        request: The request.
        call: Name of the call for messages, such as `GET /prompts`.
        ends: Deadline in monotonic seconds; None for no limit.
    """

    __slots__ = ("call", "ends", "request")

    def __init__(self, request: httpx.Request, call: str, ends: float | None = None) -> None:
        self.request, self.call, self.ends = request, call, ends


class Sleep:
    """Sleep for a number of seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class WaitForFuture:
    """Wait for the result of another thread or task.

    Args:
        gate: The result.
        ends: Deadline in monotonic seconds; None for no limit.
    """

    __slots__ = ("ends", "gate")

    def __init__(self, gate: Future[Any], ends: float | None = None) -> None:
        self.gate, self.ends = gate, ends


Step: TypeAlias = "WaitForBudget | SendRequest | Sleep | WaitForFuture"
Steps: TypeAlias = Generator[Step, Any, T]


class HttpReply:
    """A 2xx response and the attempts it took.

    Args:
        response: The response.
        failed: The failed attempts before this one.
        duration: Seconds that the successful attempt took.
        ends: Deadline of the call in monotonic seconds; None for no limit.
    """

    __slots__ = ("duration", "ends", "failed", "response")

    def __init__(self, response: Answer, failed: Sequence[Attempt], duration: float, ends: float | None = None) -> None:
        self.response: Answer = response
        self.failed: Sequence[Attempt] = failed
        self.duration: float = duration
        self.ends: float | None = ends

    @property
    def request_id(self) -> str | None:
        """Request id from the server; None if it sent none."""
        headers = self.response.headers
        found = [value for name, value in headers.raw if name.lower() == b"x-request-id"]
        # The usual case first, because a mapping of headers decodes all of them.
        return found[0].decode() if len(found) == 1 and found[0].isascii() else headers.get("x-request-id")

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts; the successful one is last."""
        status = self.response.status_code
        this = errors.Attempt(len(self.failed) + 1, self.duration, status, request_id=self.request_id)
        return (*self.failed, this)


class Answer:
    """A response whose body has been read and decompressed.

    Args:
        status_code: The HTTP status.
        headers: The headers.
        content: The body, or its beginning if it was rejected.
        request: The request.
        refusal: Why the body was rejected, worded to follow "with"; empty if it was accepted.
    """

    __slots__ = ("content", "headers", "refusal", "request", "status_code")

    def __init__(
        self, status_code: int, headers: httpx.Headers, content: bytes, request: httpx.Request, refusal: str = ""
    ) -> None:
        self.status_code: int = status_code
        self.headers: httpx.Headers = headers
        self.content: bytes = content
        self.request: httpx.Request = request
        self.refusal: str = refusal

    def __repr__(self) -> str:
        return f"<answer {self.status_code}>"  # the rest may contain a credential, and crash reporters show variables

    @property
    def is_success(self) -> bool:
        """True if the status is 2xx."""
        return OK <= self.status_code < REDIRECT
