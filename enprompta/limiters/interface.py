"""The interface of a rate limiter, and the limiter that never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from typing_extensions import override

from enprompta.limiters.server_wait import parse_rate_limit

if TYPE_CHECKING:
    from enprompta.errors import RateLimit

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]  # as received; faster to read than a mapping
Reservation: TypeAlias = Any  # the limiter's own type; callers pass it back and read its `waited`


class Account(Protocol):
    """One request budget and its queue; `enprompta.limiters.local.LocalAccount` documents each method."""

    def acquire(self, ticket: Reservation = None, *, max_wait: float, deadline: float | None = None) -> Reservation:
        """Wait for budget for one request; block the thread."""
        ...

    async def acquire_async(
        self, ticket: Reservation = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Wait for budget for one request; suspend the task."""
        ...

    def observe(self, ticket: Reservation, status: int, headers: RawHeaders, now: float | None = None) -> None:
        """Learn from a response."""
        ...

    def failed(self, ticket: Reservation) -> None:
        """Record that a request was sent and got no response."""
        ...

    def cancel(self, ticket: Reservation) -> None:
        """Return the budget of a request that was not sent."""
        ...

    def holds(self) -> bool:
        """True if requests are waiting or blocked now."""
        ...

    def reset(self) -> None:
        """Forget everything that responses have reported."""
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


class NoLimiter(Account):
    """The account of `limiter=None`: it never waits, and remembers the budget as the API last reported it."""

    waited: float = 0.0  # the account is also its ticket

    def __init__(self) -> None:
        self._headers: RawHeaders | None = None

    @override
    def acquire(self, ticket: Reservation = None, *, max_wait: float, deadline: float | None = None) -> Reservation:
        """Admit the request."""
        return self

    @override
    async def acquire_async(
        self, ticket: Reservation = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Admit the request."""
        return self

    @override
    def observe(self, ticket: Reservation, status: int, headers: RawHeaders, now: float | None = None) -> None:
        """Keep a response's headers; they are parsed when `rate_limit` is read."""
        for name, _ in headers:
            if name.lower() == b"x-ratelimit-limit":
                self._headers = headers
                return

    def failed(self, ticket: Reservation) -> None:
        """Do nothing: no request is counted."""

    def cancel(self, ticket: Reservation) -> None:
        """Do nothing: no request is counted."""

    def holds(self) -> bool:
        """Return False: no request ever waits."""
        return False

    def reset(self) -> None:
        """Forget the last report."""
        self._headers = None

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget; None before the first response that reports one."""
        if self._headers is None:
            return None
        found: dict[str, str] = {}
        for name, value in self._headers:
            key = name.decode("latin-1").lower()
            found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
        return parse_rate_limit(found)
