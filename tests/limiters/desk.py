"""A pacer with a clock that tests turn."""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING

from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import Reading

if TYPE_CHECKING:
    from enprompta.limiters.wait_queue import Reservation

MINUTE = 60
EPOCH = 1_700_000_040  # the top of a minute, by the server's clock, at 0.0 by the local one
LIMIT = 50


class Desk:
    """A pacer with a clock that tests turn, for a server whose clock is `skew` ahead."""

    def __init__(self, *, skew: float = 0.0) -> None:
        self.pacer = Pacer()
        self.now = 0.0
        self.skew = skew
        self.answer_delay = 0.0

    def ask(self, count: int = 1, max_wait: float = inf) -> list[Reservation]:
        """Join the queue and return the granted tickets."""
        for _ in range(count):
            self.pacer.reserve(None, max_wait, self.now)
        return self.grant()

    def grant(self) -> list[Reservation]:
        """Return the tickets that are granted now."""
        return [ticket for ticket in self.pacer.grant(self.now) if ticket.state == "granted"]

    def observe(
        self,
        ticket: Reservation,
        remaining: int = 0,
        *,
        reset: float = MINUTE,
        status: int = 200,
        limit: int = LIMIT,
        retry_after: float | None = None,
    ) -> None:
        """Answer a request with a full set of headers; `reset` is in seconds of the desk's clock."""
        date = floor(EPOCH + self.skew + self.now)
        self.pacer.observe(
            ticket, Reading(status, limit, remaining, EPOCH + int(reset), float(date), retry_after), self.now
        )

    def bare(self, ticket: Reservation, status: int = 200, retry_after: float | None = None) -> None:
        """Answer a request without reporting a budget."""
        self.pacer.observe(ticket, Reading(status, retry_after=retry_after), self.now)

    def learn(self, remaining: int = LIMIT - 1, reset: float = MINUTE) -> None:
        """Skip the start: answer one request."""
        (ticket,) = self.ask()
        self.observe(ticket, remaining, reset=reset)

    def spend_window(self, reset: float) -> None:
        """Spend the rest of the window, answered in order."""
        granted = self.ask(2 * LIMIT)
        for left, ticket in zip(range(len(granted) - 1, -1, -1), granted, strict=True):
            self.observe(ticket, left, reset=reset)
        while (ticket := self.pacer.queue.head) is not None:
            self.pacer.cancel(ticket)

    def room(self) -> int:
        """Return how many requests may go now."""
        return self.pacer.available(self.now).free

    def known_room(self, at: float) -> int:
        """Return how many may go at a time if every report is true, without a probe."""
        return self.pacer._ordinary_room(at)[0]
