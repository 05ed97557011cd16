"""The queue of requests that wait for budget: first in, first out."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Literal, Protocol

from enprompta.limiters.rules import TICK

if TYPE_CHECKING:
    from enprompta.limiters.blocks import Room

__all__ = ["Reservation", "WaitQueue", "Waker"]


class Waker(Protocol):
    """Wakes the caller that sleeps on a ticket, from any thread."""

    def wake(self) -> bool:
        """Wake the sleeper or skip its next sleep; return False if it can never wake again."""
        ...


class Reservation:
    """One request's place in the queue, and later its permission to be sent.

    Args:
        number: Position: lower goes first. A request that got 429 keeps its number.
        max_wait: Longest wait in seconds for the next chance of the queue.
        now: Current time, in seconds of the monotonic clock.
    """

    __slots__ = ("asked", "mark", "max_wait", "number", "sent", "state", "until", "wait", "waited", "waker")

    def __init__(self, number: int, max_wait: float, now: float) -> None:
        self.number: int = number
        self.state: Literal["queued", "granted", "done", "refused", "left"] = "queued"
        """State of the ticket; `done` if its request was answered, failed or was never sent."""
        self.max_wait: float = max_wait
        """Longest wait in seconds for the next chance of the queue; refused if it is longer."""
        self.asked: float = now
        """When it joined the queue, in seconds of the monotonic clock."""
        self.sent: float = 0.0
        """When it was granted, not later than the request was sent; same clock."""
        self.until: float = 0.0
        """When the server has counted it for certain, answered or not; same clock."""
        self.wait: float = 0.0
        """Seconds until the next chance, set if it is refused."""
        self.waited: float = 0.0
        """Seconds it waited in the queue the last time."""
        self.waker: Waker | None = None
        """Sleeper that waits for it; None if none does."""
        self.mark: Any = None
        """Name of the request in a shared account."""

    def patience(self, room: Room, now: float) -> float:
        """Return the seconds by which its `max_wait` is longer than the time to its next chance.

        Args:
            room: Wait for the next chance.
            now: Current time; same clock.
        """
        return self.max_wait - room.chance - min(now - self.asked, room.age)

    def __lt__(self, other: Reservation) -> bool:
        """Order equal numbers, which occur only after a fork."""
        return self.asked < other.asked


class WaitQueue:
    """A heap by number, so that a request keeps its place when it is queued again."""

    __slots__ = ("_heap", "_last", "_lowest_max_wait", "waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Reservation]] = []
        self.waiting: int = 0
        """Number of tickets in the queue; the heap also holds entries whose ticket has left."""
        self._last = 0
        self._lowest_max_wait = inf  # no ticket in the queue has a smaller max_wait

    def __len__(self) -> int:
        return self.waiting

    def join(self, ticket: Reservation | None, max_wait: float, now: float) -> Reservation:
        """Join the queue at the end, or at the place of the ticket's number.

        Args:
            ticket: A ticket whose request is done keeps its number; any other, and None, gets a new one.
            max_wait: Seconds until the next chance above which the ticket is refused.
            now: Current time, in seconds of the monotonic clock.
        """
        if ticket is None or ticket.state != "done":
            self._last += 1
            ticket = Reservation(self._last, max_wait, now)
        else:
            ticket.state = "queued"
            ticket.max_wait = max_wait
            ticket.asked = now
            ticket.waker = None
        if max_wait < self._lowest_max_wait:
            self._lowest_max_wait = max_wait
        heappush(self._heap, (ticket.number, ticket))
        self.waiting += 1
        return ticket

    @property
    def head(self) -> Reservation | None:
        """The next ticket; None if the queue is empty."""
        heap = self._heap
        while heap:
            ticket = heap[0][1]
            if ticket.state == "queued":
                return ticket
            heappop(heap)
        self._lowest_max_wait = inf
        return None

    def pop(self) -> Reservation:
        """Remove and return the next ticket; the queue must not be empty."""
        while True:
            ticket = heappop(self._heap)[1]
            if ticket.state == "queued":
                self.waiting -= 1
                if not self.waiting:
                    self._heap.clear()
                    self._lowest_max_wait = inf
                return ticket

    def leave(self, ticket: Reservation) -> None:
        """Remove a ticket; its entry is dropped when it comes up, or when most entries are of removed tickets."""
        ticket.state = "left"
        self.waiting -= 1
        if self.waiting * 2 < len(self._heap):
            self._sweep()

    def refuse(self, room: Room, now: float) -> list[Reservation]:
        """Refuse every ticket whose `max_wait` ends before its next chance.

        Args:
            room: Wait for the next chance.
            now: Current time, in seconds of the monotonic clock.

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
        self.waiting -= len(refused)
        self._sweep()
        return refused

    def look(self, room: Room, now: float) -> float:
        """Return the seconds until something can change for a queued ticket, including the end of its `max_wait`.

        Args:
            room: Wait for the next chance.
            now: Current time, in seconds of the monotonic clock.
        """
        if room.age <= 0 or room.chance >= room.look:
            return room.look
        waiting = (ticket for _, ticket in self._heap if ticket.state == "queued")
        return min(room.look, *(ticket.patience(room, now) + TICK for ticket in waiting), room.look)

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[1].state == "queued"]
        heapify(self._heap)
        self._lowest_max_wait = min((ticket.max_wait for _, ticket in self._heap), default=inf)
