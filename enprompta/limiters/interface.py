"""What the exchange asks of a limiter's account, and the account that never makes anybody wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from enprompta._http.ratelimit import parse_rate_limit

if TYPE_CHECKING:
    from enprompta.errors import RateLimit

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]  # as the wire had them: read in 2 µs, a mapping in 4
Ticket: TypeAlias = Any  # the limiter's own; it is only handed back, and asked how long it `waited`


class Account(Protocol):
    """One request budget and those who wait for it; `enprompta.limiters.local.LocalAccount` documents each method."""

    def acquire(self, ticket: Ticket = None, *, max_wait: float, deadline: float | None = None) -> Ticket: ...
    async def acquire_async(
        self, ticket: Ticket = None, *, max_wait: float, deadline: float | None = None
    ) -> Ticket: ...
    def observe(self, ticket: Ticket, status: int, headers: RawHeaders, now: float | None = None) -> None: ...
    def failed(self, ticket: Ticket) -> None: ...
    def cancel(self, ticket: Ticket) -> None: ...
    def holds(self) -> bool: ...
    @property
    def rate_limit(self) -> RateLimit | None: ...


class Limiter(Protocol):
    """Gives accounts: `LocalLimiter`, `RedisLimiter`, or one of your own."""

    def account(self, key: str) -> Account:
        """Find the account that a client spends from; the key is the base URL and the credential."""
        ...


class Unpaced:
    """`limiter=None`: nobody waits; the budget is remembered as the API last told it."""

    waited = 0.0  # it is its own ticket

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
        """Nobody is ever held back."""
        return False

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget; None before the first answer that tells one."""
        if self._headers is None:
            return None
        return parse_rate_limit({name.decode("latin-1").lower(): one.decode("latin-1") for name, one in self._headers})
