"""The steps that a call is made of: what its generator yields, and what it is sent back.

    WaitForBudget  is sent a reservation; if there is no budget in time, `WaitTooLong` or `DeadlineReached` is thrown in
    SendRequest    is sent the `Answer`; if none comes, an `APIConnectionError` is thrown in
    Sleep          is sent None once the time has passed
    WaitForFuture  is sent None once the future is done; if it is late, `APITimeoutError` is thrown in

Two drivers perform them, one blocking and one async, so rate limits, retries and deadlines are written once. Steps are
tuples, because several are made for each call.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from enprompta.errors import Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import httpx

    from enprompta.limiters.interface import Account

T = TypeVar("T")


class WaitForBudget(NamedTuple):
    """Wait until a request may go."""

    account: Account
    ticket: Any
    """The reservation of the previous attempt, which keeps its place in the queue; None for the first attempt."""
    max_wait: float
    ends: float | None
    """When to give up, in monotonic seconds; None for never."""


class SendRequest(NamedTuple):
    """Send this request and read the whole answer."""

    request: httpx.Request
    call: str
    """What is called, such as `GET /prompts`, for messages."""
    ends: float | None = None
    """When to give up, in monotonic seconds; None for never."""


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class WaitForFuture(NamedTuple):
    """Wait for what another thread or task does."""

    gate: Future[Any]
    ends: float | None = None
    """When to give up, in monotonic seconds; None for never."""


Step: TypeAlias = "WaitForBudget | SendRequest | Sleep | WaitForFuture"
Steps: TypeAlias = Generator[Step, Any, T]


class HttpReply(NamedTuple):
    """A 2xx answer and the attempts it took."""

    response: Answer
    failed: Sequence[Attempt]
    """The attempts before this one."""
    duration: float
    """Seconds that this attempt took."""

    @property
    def request_id(self) -> str | None:
        """The server's id of the request; None if it sent none."""
        return self.response.headers.get("x-request-id")

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, this one last."""
        status = self.response.status_code
        this = Attempt(len(self.failed) + 1, self.duration, status, request_id=self.request_id)
        return (*self.failed, this)


@dataclass(slots=True, repr=False)
class Answer:
    """An answer with its body read and decompressed."""

    status_code: int
    headers: httpx.Headers
    content: bytes
    """The body; the beginning of it when it was refused."""
    request: httpx.Request
    refusal: str = ""
    """Why the body was not read to its end, as in "answered with …"; empty when it was."""

    def __repr__(self) -> str:
        return f"<answer {self.status_code}>"  # the rest may echo a credential, and crash reporters show variables

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300  # noqa: PLR2004 (2xx is the definition)
