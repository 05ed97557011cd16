"""Requests that the server may still count, and requests that it may or may not have counted."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.limiters.wait_queue import Reservation

__all__ = ["InFlightRequests"]


class InFlightRequests:
    """Every request that is not known to be included in the budget the server reported."""

    __slots__ = ("_first_until", "_flight", "_lost", "size")

    def __init__(self) -> None:
        self.size: int = 0
        """Number of requests that are charged."""
        self._flight: dict[Reservation, None] = {}  # unanswered, in the order of grant and so of `until`
        self._first_until = inf  # no request in flight has an earlier `until`
        self._lost: list[float] = []  # heap: when each request that ended without a reading is counted for certain

    def __len__(self) -> int:
        return self.size

    @property
    def in_flight(self) -> int:
        """Number of requests in flight."""
        return len(self._flight)

    @property
    def under_way(self) -> list[Reservation]:
        """Requests in flight, in the order of their grant."""
        return list(self._flight)

    def add(self, ticket: Reservation) -> None:
        """Charge a request that is granted."""
        if not self._flight:
            self._first_until = ticket.until
        self._flight[ticket] = None
        self.size += 1

    def remove(self, ticket: Reservation) -> bool:
        """Remove a request that is no longer in flight; return False if it was not charged any more."""
        if ticket not in self._flight:
            return False
        del self._flight[ticket]
        self.size -= 1
        return True

    def add_uncounted(self, counted_by: float) -> None:
        """Charge a request that ended without reporting if it was counted.

        Args:
            counted_by: Local time by which it was counted, if it was.
        """
        heappush(self._lost, counted_by)
        self.size += 1

    def drop_before(self, base: float) -> int:
        """Drop the requests that the server has counted before a time for certain, and return how many.

        Args:
            base: Local time, not later than the one from which the least reported remaining is exact.
        """
        if base < self._first_until and not (self._lost and self._lost[0] <= base):
            return 0
        before = self.size
        if self._first_until <= base:
            flight = self._flight
            while flight and (oldest := next(iter(flight))).until <= base:
                del flight[oldest]
            self._first_until = next(iter(flight)).until if flight else inf
        while self._lost and self._lost[0] <= base:
            heappop(self._lost)
        self.size = len(self._flight) + len(self._lost)
        return before - self.size

    def clear_uncounted(self) -> None:
        """Drop the requests that have ended."""
        self._lost.clear()
        self.size = len(self._flight)
