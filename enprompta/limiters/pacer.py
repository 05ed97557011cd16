"""The pacing policy: when the next request may go, so that the server never returns 429 and no budget is left over.

Everything here is pure. `now` is in seconds of a monotonic clock; nothing sleeps, locks or does I/O. The server allows
LIMIT requests in a fixed window that ends at `Reset`, and reports the remaining budget with every response.

`rules.py` states the rules that keep this right for any order and delay of requests and responses.
"""

from __future__ import annotations

from math import ceil, inf
from sys import maxsize
from typing import TYPE_CHECKING

from enprompta.limiters.blocks import Block, Pause, Room
from enprompta.limiters.in_flight import InFlightRequests
from enprompta.limiters.rate_limit_headers import CLIENT_ERROR, LONGEST_WAIT, SERVER_ERROR
from enprompta.limiters.rules import (
    BARE_RUN,
    DECAY,
    GRACE,
    LATEST_EDGE,
    LONG,
    LONGEST_OWN_WAIT,
    PROBE_EVERY,
    TICK,
    TRANSIT,
)
from enprompta.limiters.server_clock import ServerClock
from enprompta.limiters.wait_queue import WaitQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.limiters.rate_limit_headers import Reading
    from enprompta.limiters.wait_queue import Reservation

__all__ = ["Pacer"]


class Pacer:
    """One request budget: its queue, the requests in flight and the remaining budget.

    A request goes through `reserve` and `grant`, then one of `observe` (any response), `fail` (no response) and
    `cancel` (never sent). The caller does the sleeping: `chance_at` is the time of the next useful call of `grant`.
    """

    __slots__ = (
        *("_bare", "_base", "_block", "_blocked", "_charges", "_clock", "_counted", "_ends_at", "_entered_at"),
        *("_floor", "_granted", "_hollow", "_length", "_limit", "_newest", "_off", "_others", "_pause", "_remaining"),
        *("_reset", "_reset_margin", "_sampled", "_seen", "_sent", "_trusted", "chance_at", "last_reported"),
        *("process_count", "queue", "reserve"),
    )

    def __init__(self) -> None:
        self.queue: WaitQueue = WaitQueue()
        self.reserve: Callable[[Reservation | None, float, float], Reservation] = self.queue.join
        """Joins the queue; see `WaitQueue.join`."""
        self.chance_at: float = inf
        """Time of the next useful call of `grant` while requests wait, as of its last call."""
        self.last_reported: tuple[int, int, int] | None  # limit, remaining, reset; None before the first report
        self.process_count: int = 1
        """Number of processes that spend the budget without coordination, this one included: each keeps to its equal
        share of a window. 1 if no other is known."""
        self._charges = InFlightRequests()
        self.reset()

    def reset(self) -> None:
        """Forget everything that responses have reported; queued requests and requests in flight stay."""
        self.last_reported = None
        self._clock = ServerClock()
        self._reset_margin = 0.0  # seconds by which windows end later than reported
        self._granted = -inf  # when the last request was granted
        self._blocked = -inf  # local time until which 429 responses block the queue
        self._block = Block()
        self._pause = Pause()
        self._hollow = -1  # the reset for which `Remaining: 0` proved false: a later request was served
        self._off = False  # the server reports no budget: no pacing
        self._bare = 0  # consecutive responses that reported none
        self._forget()

    def _forget(self) -> None:
        """Forget the budget, as at the start."""
        self._limit = 0
        self._length: float | None = None  # window length in seconds: the least distance of two resets
        self._others = 0.0  # requests per window that other clients are believed to spend
        self._seen = 0  # of these, observed in this window
        self._leave_window()

    def _leave_window(self) -> None:
        """Treat the next reading as the first one, but keep the limit and the window length."""
        self._floor = -inf  # start of the window, or earlier; server's clock
        self._reset: float | None = None  # end of the window; None while unknown
        self._newest: float | None = None  # the latest reset reported
        self._remaining = self._limit  # the least reported for this window
        self._base = -inf  # local time from which _remaining is exact, or earlier (I3)
        self._sampled = False  # a response has reported this window
        self._trusted = False  # its end is derived from the distance of two resets
        self._sent = 0  # granted in this window
        self._counted = 0  # answered in this window and counted by the server
        self._entered_at = -inf  # local time at which this window was entered
        self._ends_at = inf  # local time at which it is over for certain (I2)

    @property
    def under_way(self) -> list[Reservation]:
        """Requests that were granted and have not ended."""
        return self._charges.under_way

    def available(self, now: float) -> Room:
        """Return how many requests may go now, or how long to wait if none may.

        Args:
            now: Current time.
        """
        free, wait = self._ordinary_room(now)
        block = self._block
        if free:
            if block.held < inf:
                block.clear()
            return self._pause.room(self._granted, now) if self._pause.strikes else Room(free)
        if not block.is_on:
            if not self._is_claim(wait, now):
                return Room(0, wait, wait, 0.0, wait)
            block.begin(now)
        return block.room(wait, now)

    def _is_claim(self, wait: float, now: float) -> bool:
        """Return True if a wait is longer than this process can have caused itself (B2)."""
        if wait <= LONG:
            return False
        if now < self._blocked or wait > LONGEST_OWN_WAIT:
            return True
        return self.process_count == 1 and self._seen > 0 and self._remaining == 0

    def _ordinary_room(self, now: float) -> tuple[int, float]:
        """Return how many may go if every report is true; or 0 and the seconds until one may."""
        if now < self._blocked:
            return 0, self._blocked - now
        if self._off:
            return maxsize, 0.0
        if self._limit:
            if now >= self._ends_at:
                self._roll(now)
            return self._room_in_window(now)
        return self._probe(now, PROBE_EVERY) if self._charges.in_flight else (1, 0.0)

    def _room_in_window(self, now: float) -> tuple[int, float]:
        left = self._remaining - self._charges.size
        if self.process_count > 1:
            left = min(left, (self._limit // self.process_count or 1) - self._sent)
        if self._reset is None and left <= 0:
            return self._probe(now, TRANSIT)  # the budget of this window may be spent, and its end is unknown
        others = self._others if self.process_count == 1 else 0.0  # the other processes have their share
        if left > 0 and not self._sampled and (others or not self._trusted):
            opening = max(1, int(self._limit - 2 * others)) if self._trusted else 1
            if self._sent >= opening:
                return self._probe(now, PROBE_EVERY)
            left = min(left, opening - self._sent)
        elif left > 0 and others > self._seen and self._length is not None:
            return self._share(left, now)
        return (left, 0.0) if left > 0 else (0, self._ends_at - now)

    def _probe(self, now: float, every: float) -> tuple[int, float]:
        """Allow one request if the last one was granted long enough ago."""
        wait = self._granted + every - now
        return (1, 0.0) if wait <= 0 else (0, min(wait, self._ends_at - now))

    def _share(self, left: int, now: float) -> tuple[int, float]:
        """Reserve what other clients usually spend, in proportion to the time left in the window."""
        pace = (self._others - self._seen) / (self._length or inf)  # of the others, per second
        free = left - ceil(pace * (self._ends_at - now))
        if free > 0:
            return free, 0.0
        return 0, max(self._ends_at - (left - 1) / pace - now, 0.0) + TICK

    def distrust_window(self) -> None:
        """Treat the report of this window as outdated, because others have spent since: probe with one request."""
        self._sampled = self._trusted = False

    def _roll(self, now: float) -> None:
        """Enter the latest window that has begun for certain."""
        reset = self._reset or 0.0
        if self._length is None:
            self._open(reset, None, now)
            return
        passed = now + self._clock.low(now) - self._reset_margin - reset
        floor = reset + max(passed, 0.0) // self._length * self._length
        self._open(floor, floor + self._length, now)

    def _open(self, floor: float, reset: float | None, now: float) -> None:
        """Begin a window with the whole budget; requests in flight stay charged (I1).

        Args:
            floor: Its start, or earlier, by the server's clock.
            reset: Its end; None if unknown.
            now: Current time.
        """
        others = max(self._seen, DECAY * self._others)
        self._others = others if others >= 0.5 else 0.0  # noqa: PLR2004 (less than half a request is none)
        self._floor, self._reset, self._remaining = floor, reset, self._limit
        self._base = floor - self._clock.high(now)  # the earliest local time at which it can have started
        self._charges.drop_before(self._base)
        self._sampled = False
        self._trusted = self._trusted and reset is not None
        self._seen = self._sent = self._counted = 0
        self._entered_at = now
        self._set_end()

    def _set_end(self) -> None:
        self._ends_at = inf if self._reset is None else self._clock.surely(self._reset + self._reset_margin)

    def _late_edge(self, ticket: Reservation, reset: int, now: float) -> None:
        """Learn that a window ended later than reported: a response in the new window still shows the old one."""
        lateness = ticket.sent + self._clock.low(now) - reset + 0.1
        self._reset_margin = min(LATEST_EDGE, max(lateness, 2 * self._reset_margin))
        if not self._sampled:  # return to the old window until it ends, with no budget left
            self._floor = reset - self._length if self._length else -inf
            self._reset, self._remaining = reset, 0
            self._sampled, self._trusted = True, False
            self._counted, self._seen = self._limit, 0
        self._set_end()

    def grant(self, now: float) -> list[Reservation]:
        """Grant queued requests in order while the budget lasts; refuse those whose next chance is too far away.

        Args:
            now: Current time.

        Returns:
            The tickets that left the queue, each `granted` or `refused`.
        """
        settled: list[Reservation] = []
        queue = self.queue
        while queue.waiting:
            room = self.available(now)
            if room.free <= 0:
                settled += queue.refuse(room, now)
                self.chance_at = now + queue.look(room, now)
                break
            settled += self.grant_unchecked(room.free, now)
        return settled

    def grant_unchecked(self, count: int, now: float) -> list[Reservation]:
        """Grant the first requests in the queue without checking the budget.

        Args:
            count: How many; fewer if fewer wait.
            now: Current time.
        """
        admitted: list[Reservation] = []
        if not self._limit and not self._charges.in_flight:
            self._charges.drop_before(now)  # the first reading will be about a request sent from now on
        for _ in range(min(count, self.queue.waiting)):
            ticket = self.queue.pop()
            ticket.state = "granted"
            ticket.sent = now
            ticket.until = now + TRANSIT
            self._charges.add(ticket)
            admitted.append(ticket)
        self._sent += len(admitted)
        self._granted = now
        if self._block.since < inf:
            self._block.admit(now)
        return admitted

    def cancel(self, ticket: Reservation) -> None:
        """Withdraw a queued ticket, or a granted one whose request was never sent; ignore any other."""
        if ticket.state == "queued":
            self.queue.leave(ticket)
        elif ticket.state == "granted":
            ticket.state = "done"
            self._block.take_back(ticket.sent)
            if self._charges.remove(ticket) and ticket.sent >= self._entered_at:
                self._sent -= 1

    def fail(self, ticket: Reservation, now: float) -> None:
        """Record that no response came; the request may have been counted, so it stays charged."""
        if ticket.state == "granted":
            self._block.end_probe(ticket.sent)
            self._end(ticket, now + GRACE)

    def observe(self, ticket: Reservation, reading: Reading, now: float) -> None:
        """Learn from a response.

        Args:
            ticket: The request's ticket.
            reading: What the response headers report.
            now: When the response came, or later.
        """
        block = self._block
        fresh = ticket.sent > block.since  # granted since the block began
        if block.probing:
            block.end_probe(ticket.sent)
        if fresh and reading.is_refusal:
            block.confirm()
        hollow = not reading.remaining and reading.is_last and self._is_hollow(reading, fresh=fresh)
        if hollow or not reading.is_consistent(now - ticket.sent):
            self._observe_bare(ticket, reading, now, fresh=fresh)
        else:
            self._observe_budget(ticket, reading, now, fresh=fresh)
        if now < self._blocked or (self._limit and self._remaining <= self._charges.size):
            self.available(now)  # so that a block begins at once, even if no request waits

    def _is_hollow(self, reading: Reading, *, fresh: bool) -> bool:
        """Return True if a response reports an exhausted window in which requests were served all the same."""
        if fresh and reading.reset == self._reset:
            self._hollow = reading.reset
        return reading.reset == self._hollow

    def _observe_budget(self, ticket: Reservation, reading: Reading, now: float, *, fresh: bool) -> None:
        """Learn from a response with a consistent budget."""
        self._bare = 0
        if self._off:
            self._off = False
            self._forget()
        limited = reading.is_refusal
        self._pause.end(ticket.sent)
        clock_was_set = self._clock.synchronise(reading.date, ticket.sent, now)
        if fresh:
            self._replace_news(reading)
        other_limit = self._limit not in (0, reading.limit)
        if limited and other_limit:
            self._observe_other_limit(ticket, reading, now)
            return
        doubtful = not (fresh or limited) and self._blocked > now
        ours = self._charges.remove(ticket)
        ticket.state = "done"
        if limited and reading.retry_after is not None:
            self._block_until(now + reading.retry_after)
        earlier = self._reset is not None and reading.reset < self._reset
        if (clock_was_set and reading.reset != self._reset) or (other_limit and earlier):
            self._leave_window()
        elif earlier and self._refutes(reading, now):
            self._refute_window()
        sampled = self._sampled
        if self._place(ticket, reading, now):
            self._count(ticket, reading, counts=ours and not limited, limited=limited)
        elif limited and sampled and ticket.sent >= self._entered_at:
            # It was sent in the current window and refused because of another one.
            self._pause.strike(ticket.sent, None, self._length, now)
        if doubtful:
            self._lift_doubtfully()

    def _replace_news(self, reading: Reading) -> None:
        """Drop the report that began a block: a request sent since has been answered."""
        self._blocked = -inf
        if not reading.is_refusal:
            self._unblock()
        elif reading.reset != self._reset:
            self._leave_window()

    def _unblock(self) -> None:
        """Lift the block: a request sent since it began was served."""
        self._blocked = -inf
        self._block.lift()
        self._refute_window()

    def _lift_doubtfully(self) -> None:
        """Lift the block because of a request in flight when it began; the next request goes at once, alone."""
        self._blocked = self._granted = -inf
        self._block.lift()
        self.distrust_window()

    def _refutes(self, reading: Reading, now: float) -> bool:
        """Return True if a response shows an earlier window still open, so the current one cannot have begun (B3)."""
        is_far = self._reset is not None and self._reset - reading.reset > LONGEST_OWN_WAIT
        return is_far and reading.reset > now + self._clock.high(now)

    def _refute_window(self) -> None:
        """Treat the next reading as the first one, and forget what other clients seemed to spend."""
        self._leave_window()
        self._counted, self._seen = self._limit, 0

    def _place(self, ticket: Reservation, reading: Reading, now: float) -> bool:
        """Enter the window of a response if it is a new one; return False if it is an old one."""
        if reading.reset <= self._floor:
            if reading.reset == self._floor and ticket.sent >= self._entered_at:
                self._late_edge(ticket, reading.reset, now)
            return False
        if self._sampled and self._reset is not None:
            if reading.reset < self._reset:
                return False
            if reading.reset > self._reset:
                self._open(self._reset, reading.reset, now)
        return True

    def _count(self, ticket: Reservation, reading: Reading, *, counts: bool, limited: bool) -> None:
        """Record what a response reports about the current window."""
        if not self._sampled:
            if self._newest is not None and reading.reset > self._newest:
                self._length = min(self._length or LONGEST_WAIT, reading.reset - self._newest)
            self._newest = self._reset = reading.reset
            self._sampled, self._trusted = True, self._length is not None
            self._remaining = reading.limit
        if reading.limit != self._limit:
            self._limit = reading.limit
            self._others, self._seen = 0.0, 0  # they were measured with another budget
        remaining = 0 if limited else reading.remaining
        if remaining < self._remaining:
            self._remaining = remaining
        if ticket.sent > self._base:
            self._base = ticket.sent
        # Those that can no longer count in this window (I3); only here and in `_open` does `_base` grow. A lost one may
        # not be counted; `_others` is then too low.
        self._counted += counts + self._charges.drop_before(self._base)
        seen = self._limit - self._remaining - self._charges.size - self._counted
        if seen > self._seen:
            self._seen = seen
        self._set_end()
        self.last_reported = self._limit, self._remaining, reading.reset

    def _observe_other_limit(self, ticket: Reservation, reading: Reading, now: float) -> None:
        """Learn that another budget is exhausted, such as the day's: wait until it is renewed."""
        self._end(ticket, now)
        self._block_until(
            max(self._clock.surely(reading.reset + self._reset_margin), now + (reading.retry_after or 0.0))
        )
        self._trusted = False  # by then the windows must be learned again, with one request
        self._set_end()
        self.last_reported = reading.limit, 0, reading.reset

    def _observe_bare(self, ticket: Reservation, reading: Reading, now: float, *, fresh: bool) -> None:
        """Learn from a response without a consistent budget: it has been counted by now, in some window."""
        self._end(ticket, now)
        if reading.is_refusal:
            if not self._block.is_on:
                self._pause.strike(ticket.sent, reading.retry_after, self._length, now)
            return
        if reading.status >= SERVER_ERROR:
            return
        self._pause.end(ticket.sent)
        if reading.status < CLIENT_ERROR:
            if fresh:
                self._unblock()
            elif self._blocked > now:
                self._lift_doubtfully()
        if not self._off:
            self._bare += 1
            if not self._limit or self._bare >= BARE_RUN:
                self._forget()
                self._off = True
                self._charges.clear_uncounted()

    def _end(self, ticket: Reservation, counted_by: float) -> None:
        """Keep a request charged that ended without a reading."""
        if self._charges.remove(ticket) and not self._off:
            self._charges.add_uncounted(counted_by)
        ticket.state = "done"

    def _block_until(self, until: float) -> None:
        self._blocked = max(self._blocked, until)
