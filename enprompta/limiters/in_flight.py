"""The requests that the server may still count, and those of which it is not known whether it has."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.limiters.wait_queue import Reservation

__all__ = ["InFlightRequests"]


class InFlightRequests:
    """Every request that is not known to be inside what the server told."""

    __slots__ = ("_first_until", "_flight", "_lost")

    def __init__(self) -> None:
        self._flight: dict[Reservation, None] = {}  # unanswered, in the order of their grant, hence of their `until`
        self._first_until = inf  # no request in flight has an earlier `until`
        self._lost: list[float] = []  # heap: when each request that ended without a reading is surely counted

    def __len__(self) -> int:
        return len(self._flight) + len(self._lost)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._flight)

    @property
    def under_way(self) -> list[Reservation]:
        """The requests that are under way, in the order of their grant."""
        return list(self._flight)

    def add(self, ticket: Reservation) -> None:
        """Charge a request that is let go."""
        if not self._flight:
            self._first_until = ticket.until
        self._flight[ticket] = None

    def remove(self, ticket: Reservation) -> bool:
        """Take off a request that is no longer under way; False when it was not charged any more."""
        if ticket not in self._flight:
            return False
        del self._flight[ticket]
        return True

    def add_uncounted(self, counted_by: float) -> None:
        """Charge a request that has ended without telling whether it was counted.

        Args:
            counted_by: Local time by which it was, if it ever was.
        """
        heappush(self._lost, counted_by)

    def drop_before(self, base: float) -> int:
        """Drop what the server has surely counted before a time; tell how many.

        Args:
            base: Local time, not later than the one from which the least remaining that was told is exact.
        """
        before = len(self)
        if self._first_until <= base:
            flight = self._flight
            while flight and (oldest := next(iter(flight))).until <= base:
                del flight[oldest]
            self._first_until = next(iter(flight)).until if flight else inf
        while self._lost and self._lost[0] <= base:
            heappop(self._lost)
        return before - len(self)

    def clear_uncounted(self) -> None:
        """Drop everything that has ended."""
        self._lost.clear()
