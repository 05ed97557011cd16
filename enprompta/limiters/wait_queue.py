"""Tickets, and the line they stand in: first come, first served."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol

from enprompta.limiters.rules import TICK

if TYPE_CHECKING:
    from enprompta.limiters.blocks import Room

__all__ = ["Reservation", "WaitQueue", "Waker"]


class Waker(Protocol):
    """Wakes the one who sleeps on a ticket, from any thread."""

    def wake(self) -> bool:
        """Wake the sleeper, or spare it its next sleep; False when it can never wake again."""
        ...


@dataclass(slots=True, eq=False)
class Reservation:
    """One request's place in the line, and later its right to be sent."""

    number: int
    """Lower goes first; a request that was answered 429 keeps its number."""
    state: Literal["queued", "granted", "done", "refused", "left"] = "done"
    """What has become of it; `done` when its request was answered, has failed or was never sent."""
    max_wait: float = inf
    """Seconds it is willing to wait for the next chance of anyone; more, and it is refused."""
    asked: float = 0.0
    """When it joined the line, in seconds of the monotonic clock."""
    sent: float = 0.0
    """When it was granted, at the latest the moment the request left; the same clock."""
    until: float = 0.0
    """When the server has surely counted it, answered or not; the same clock."""
    wait: float = 0.0
    """Seconds to the next chance, told when it is refused."""
    waited: float = 0.0
    """Seconds it stood in the line the last time."""
    waker: Waker | None = None
    """Who sleeps on it; None while nobody does."""
    mark: Any = None
    """What a shared account knows it by."""

    def patience(self, room: Room, now: float) -> float:
        """Return the seconds by which its `max_wait` is longer than the time to its next chance.

        Args:
            room: What there is to wait for.
            now: The present; the same clock.
        """
        return self.max_wait - room.chance - min(now - self.asked, room.age)

    def __lt__(self, other: Reservation) -> bool:
        """Decide between equal numbers, which only a fork can bring about."""
        return self.asked < other.asked


class WaitQueue:
    """The queue: a heap by number, so that an old number comes back to its old place."""

    __slots__ = ("_heap", "_last", "_lowest_max_wait", "_removed")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Reservation]] = []
        self._removed = 0  # entries of the heap whose ticket has left
        self._last = 0
        self._lowest_max_wait = inf  # no ticket in the line has a smaller max_wait

    def __len__(self) -> int:
        return len(self._heap) - self._removed

    def join(self, ticket: Reservation | None, max_wait: float, now: float) -> Reservation:
        """Stand in line: at the end, or where the ticket's number belongs.

        Args:
            ticket: One whose request is done, to keep its number; any other, and None, gets a new one.
            max_wait: Seconds to the next chance above which the ticket is refused.
            now: The present, in seconds of the monotonic clock.
        """
        if ticket is None or ticket.state != "done":
            self._last += 1
            ticket = Reservation(self._last)
        ticket.state = "queued"
        ticket.max_wait = max_wait
        ticket.asked = now
        ticket.waker = None
        self._lowest_max_wait = min(self._lowest_max_wait, max_wait)
        heappush(self._heap, (ticket.number, ticket))
        return ticket

    @property
    def head(self) -> Reservation | None:
        """The ticket whose turn is next; None when nobody waits."""
        heap = self._heap
        while heap:
            ticket = heap[0][1]
            if ticket.state == "queued":
                return ticket
            heappop(heap)
            self._removed -= 1
        self._lowest_max_wait = inf
        return None

    def pop(self) -> Reservation:
        """Take the head out of the line, which must not be empty."""
        while True:
            ticket = heappop(self._heap)[1]
            if ticket.state == "queued":
                return ticket
            self._removed -= 1

    def leave(self, ticket: Reservation) -> None:
        """Give up a place; the entry is swept out when it comes up, or when most entries are like it."""
        ticket.state = "left"
        self._removed += 1
        if self._removed * 2 > len(self._heap):
            self._sweep()

    def refuse(self, room: Room, now: float) -> list[Reservation]:
        """Refuse every ticket whose `max_wait` is over before its next chance.

        Args:
            room: What there is to wait for.
            now: The present, in seconds of the monotonic clock.

        Returns:
            The refused tickets, in their order.
        """
        if room.age + room.chance <= self._lowest_max_wait:
            return []
        refused = [
            ticket for _, ticket in sorted(self._heap) if ticket.state == "queued" and ticket.patience(room, now) < 0
        ]
        for ticket in refused:
            ticket.state = "refused"
            ticket.wait = room.wait
        self._sweep()
        return refused

    def look(self, room: Room, now: float) -> float:
        """Return the seconds until something can change for those who wait, a `max_wait` that ends included.

        Args:
            room: What there is to wait for.
            now: The present, in seconds of the monotonic clock.
        """
        if room.age <= 0 or room.chance >= room.look:
            return room.look
        waiting = (ticket for _, ticket in self._heap if ticket.state == "queued")
        return min(room.look, *(ticket.patience(room, now) + TICK for ticket in waiting), room.look)

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[1].state == "queued"]
        heapify(self._heap)
        self._removed = 0
        self._lowest_max_wait = min((ticket.max_wait for _, ticket in self._heap), default=inf)
