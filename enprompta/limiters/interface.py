"""The interface of a rate limiter, and the limiter that never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from enprompta.limiters.server_wait import parse_rate_limit

if TYPE_CHECKING:
    from enprompta.errors import RateLimit

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]  # as the wire had them: read in 2 µs, a mapping in 4
Ticket: TypeAlias = Any  # the limiter's own; it is only handed back, and asked how long it `waited`


class Account(Protocol):
    """One request budget and those who wait for it; `enprompta.limiters.local.LocalAccount` documents each method."""

    def acquire(self, ticket: Ticket = None, *, max_wait: float, deadline: float | None = None) -> Ticket:
        """Wait for budget for one request; block the thread."""
        ...

    async def acquire_async(self, ticket: Ticket = None, *, max_wait: float, deadline: float | None = None) -> Ticket:
        """Wait for budget for one request; suspend the task."""
        ...

    def observe(self, ticket: Ticket, status: int, headers: RawHeaders, now: float | None = None) -> None:
        """Learn from an answer."""
        ...

    def failed(self, ticket: Ticket) -> None:
        """Note that a request was sent and got no answer."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Return the budget of a request that was not sent."""
        ...

    def holds(self) -> bool:
        """True if requests are waiting or blocked now."""
        ...

    def reset(self) -> None:
        """Forget what answers have reported."""
        ...

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget as the API last reported it; None before the first report."""
        ...


class Limiter(Protocol):
    """A source of accounts: `LocalLimiter`, `RedisLimiter`, or your own class."""

    def account(self, key: str) -> Account:
        """Find the account that a client spends from; the key is the base URL and the credential."""
        ...


class NoLimiter:
    """The account of `limiter=None`: it never waits, and remembers the budget as the API last reported it."""

    waited: float = 0.0  # it is its own ticket

    def __init__(self) -> None:
        self._headers: RawHeaders | None = None

    def acquire(self, ticket: Ticket = None, *, max_wait: float, deadline: float | None = None) -> Ticket:  # noqa: ARG002
        """Let the request go."""
        return self

    async def acquire_async(
        self,
        ticket: Ticket = None,  # noqa: ARG002
        *,
        max_wait: float,  # noqa: ARG002
        deadline: float | None = None,  # noqa: ARG002
    ) -> Ticket:
        """Let the request go."""
        return self

    def observe(self, ticket: Ticket, status: int, headers: RawHeaders, now: float | None = None) -> None:  # noqa: ARG002
        """Take note of an answer's headers; they are parsed when they are asked for."""
        if any(name.lower() == b"x-ratelimit-limit" for name, _ in headers):
            self._headers = headers

    def failed(self, ticket: Ticket) -> None:
        """Nothing was counted."""

    def cancel(self, ticket: Ticket) -> None:
        """Nothing was counted."""

    def holds(self) -> bool:
        """No request is ever held back."""
        return False

    def reset(self) -> None:
        """Forget the last report."""
        self._headers = None

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget; None before the first answer that reports one."""
        if self._headers is None:
            return None
        found: dict[str, str] = {}
        for name, value in self._headers:
            key = name.decode("latin-1").lower()
            found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
        return parse_rate_limit(found)
