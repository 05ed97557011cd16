"""The policy of pacing: when may the next request go, so that the server never answers 429 and no budget is left over.

Everything here is pure. The clock comes in as `now`, in seconds of a monotonic clock; nothing sleeps, locks or does
I/O. The server allows LIMIT requests in a fixed window that ends at `Reset`, and tells what is left with every answer.

The rules that keep this right, whatever the order and the delay of requests and answers, are in `rules.py`.
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
    from enprompta.limiters.rate_limit_headers import Reading
    from enprompta.limiters.wait_queue import Reservation

__all__ = ["Pacer"]


class Pacer:
    """One account of one budget: who waits, what is in flight, what is left.

    A request's life is `reserve`, `grant`, then one of `observe` (any answer), `fail` (no answer) and `cancel` (never
    sent). Who sleeps, and until when, is the caller's business: `chance_at` tells when `grant` is worth another try.
    """

    __slots__ = (
        *("_bare", "_base", "_block", "_blocked", "_charges", "_clock", "_counted", "_ends", "_floor", "_granted"),
        *("_hollow", "_length", "_limit", "_newest", "_off", "_others", "_pause", "_remaining", "_reset", "_rolled"),
        *("_sampled", "_seen", "_sent", "_slack", "_trusted", "chance_at", "line", "sharers", "told"),
    )

    def __init__(self) -> None:
        self.line: WaitQueue = WaitQueue()
        self.chance_at: float = inf
        """When `grant` is worth another call, while requests wait, as its last call knew it."""
        self.told: tuple[int, int, int] | None  # limit, remaining and reset as last reported; None before
        self.sharers: int = 1
        """How many programs, this one included, spend the budget without hearing of each other, each its equal share of
        a window; 1 when there is none that is known of."""
        self._charges = InFlightRequests()
        self.reset()

    def reset(self) -> None:
        """Forget everything that answers have reported; requests that wait or are in flight stay."""
        self.told = None
        self._clock = ServerClock()
        self._slack = 0.0  # seconds by which windows end later than told
        self._granted = -inf  # when the last request was let go
        self._blocked = -inf  # local time until which answers of 429 block the line
        self._block = Block()
        self._pause = Pause()
        self._hollow = -1  # the reset for which `Remaining: 0` was refuted: a request was served all the same
        self._off = False  # the server tells no budget: no pacing
        self._bare = 0  # answers in a row that told none
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the budget, as at the start."""
        self._limit = 0
        self._length: float | None = None  # seconds of a window: the least distance of two resets
        self._others = 0.0  # requests a window that others are believed to spend
        self._seen = 0  # of these, seen in this window
        self._leave_window()

    def _leave_window(self) -> None:
        """Take the next reading as the first one ever, in all but the limit and the length of a window."""
        self._floor = -inf  # the window's begin, or an earlier time; server's clock
        self._reset: float | None = None  # its end; None while unknown
        self._newest: float | None = None  # the latest reset told
        self._remaining = self._limit  # the least that was told for this window
        self._base = -inf  # local time from which _remaining is exact, or an earlier time (I3)
        self._sampled = False  # an answer has told of this window
        self._trusted = False  # its end rests on the distance of two resets
        self._sent = 0  # let go in this window
        self._counted = 0  # answered in this window, and counted by the server
        self._rolled = -inf  # local time at which this window was entered
        self._ends = inf  # local time at which it is surely over (I2)

    @property
    def under_way(self) -> list[Reservation]:
        """The requests that were let go and have not ended."""
        return self._charges.under_way

    # What may go.

    def available(self, now: float) -> Room:
        """Return how many requests may go now, and what to wait for when none may.

        Args:
            now: The present.
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
        """Return True if a wait is longer than this program can account for itself (B2)."""
        if wait <= LONG:
            return False
        if now < self._blocked or wait > LONGEST_OWN_WAIT:
            return True
        return self.sharers == 1 and self._seen > 0 and self._remaining == 0

    def _ordinary_room(self, now: float) -> tuple[int, float]:
        """Return how many may go if all that was reported is true; or 0, and the seconds until one may."""
        if now < self._blocked:
            return 0, self._blocked - now
        if self._off:
            return maxsize, 0.0
        if self._limit:
            if now >= self._ends:
                self._roll(now)
            return self._room_in_window(now)
        return self._probe(now, PROBE_EVERY) if self._charges.in_flight else (1, 0.0)

    def _room_in_window(self, now: float) -> tuple[int, float]:
        left = self._remaining - self._charged()
        if self.sharers > 1:
            left = min(left, (self._limit // self.sharers or 1) - self._sent)
        if self._reset is None and left <= 0:
            return self._probe(now, TRANSIT)  # all of it may have gone into this window, and nothing tells its end
        others = self._others if self.sharers == 1 else 0.0  # else they are the sharers, and have their share
        if left > 0 and not self._sampled and (others or not self._trusted):
            opening = max(1, int(self._limit - 2 * others)) if self._trusted else 1
            if self._sent >= opening:
                return self._probe(now, PROBE_EVERY)
            left = min(left, opening - self._sent)
        elif left > 0 and others > self._seen and self._length is not None:
            return self._share(left, now)
        return (left, 0.0) if left > 0 else (0, self._ends - now)

    def _probe(self, now: float, every: float) -> tuple[int, float]:
        """Let one go when the last one was let go long enough ago."""
        wait = self._granted + every - now
        return (1, 0.0) if wait <= 0 else (0, min(wait, self._ends - now))

    def _share(self, left: int, now: float) -> tuple[int, float]:
        """Hold back what others usually spend, in proportion to the time that is left to them."""
        pace = (self._others - self._seen) / (self._length or inf)  # theirs, a second
        free = left - ceil(pace * (self._ends - now))
        if free > 0:
            return free, 0.0
        return 0, max(self._ends - (left - 1) / pace - now, 0.0) + TICK

    def _charged(self) -> int:
        """Count the requests that can still use up this window, after dropping those that no longer can (I3)."""
        self._counted += self._charges.drop_before(self._base)  # a lost one perhaps was not; then others are underrated
        return len(self._charges)

    def distrust_window(self) -> None:
        """Take what was told of this window as old, because others have spent since: ask anew, with one request."""
        self._sampled = self._trusted = False

    # Windows.

    def _roll(self, now: float) -> None:
        """Enter the latest window that has surely begun."""
        reset = self._reset or 0.0
        if self._length is None:
            self._open(reset, None, now)
            return
        passed = now + self._clock.low(now) - self._slack - reset
        floor = reset + max(passed, 0.0) // self._length * self._length
        self._open(floor, floor + self._length, now)

    def _open(self, floor: float, reset: float | None, now: float) -> None:
        """Begin a window with the whole budget; what is in flight stays charged (I1).

        Args:
            floor: Its begin, or an earlier time, by the server's clock.
            reset: Its end; None when it cannot be told.
            now: The present.
        """
        others = max(self._seen, DECAY * self._others)
        self._others = others if others >= 0.5 else 0.0  # noqa: PLR2004 (less than half a request is nobody)
        self._floor, self._reset, self._remaining = floor, reset, self._limit
        self._base = floor - self._clock.high(now)  # the earliest local time at which it can have begun
        self._charges.drop_before(self._base)
        self._sampled = False
        self._trusted = self._trusted and reset is not None
        self._seen = self._sent = self._counted = 0
        self._rolled = now
        self._set_end()

    def _set_end(self) -> None:
        self._ends = inf if self._reset is None else self._clock.surely(self._reset + self._slack)

    def _late_edge(self, ticket: Reservation, reset: int, now: float) -> None:
        """Learn that a window ended later than told: an answer to a request of the new one still shows the old one."""
        lateness = ticket.sent + self._clock.low(now) - reset + 0.1
        self._slack = min(LATEST_EDGE, max(lateness, 2 * self._slack))
        if not self._sampled:  # go back to the old window, for the moments it has left, with nothing to spend in them
            self._floor = reset - self._length if self._length else -inf
            self._reset, self._remaining = reset, 0
            self._sampled, self._trusted = True, False
            self._counted, self._seen = self._limit, 0
        self._set_end()

    # A request's life.

    def reserve(self, ticket: Reservation | None, max_wait: float, now: float) -> Reservation:
        """Join the line; see `Line.join`."""
        return self.line.join(ticket, max_wait, now)

    def grant(self, now: float) -> list[Reservation]:
        """Let go whom the budget allows, in their order; refuse those to whom the next chance is too far away.

        Args:
            now: The present.

        Returns:
            The tickets that are no longer in the line, each `granted` or `refused`.
        """
        settled: list[Reservation] = []
        line = self.line
        while line:
            room = self.available(now)
            if room.free <= 0:
                settled += line.refuse(room, now)
                self.chance_at = now + line.look(room, now)
                break
            settled += self.grant_unchecked(room.free, now)
        return settled

    def grant_unchecked(self, count: int, now: float) -> list[Reservation]:
        """Let go the first in the line without asking for room.

        Args:
            count: How many; fewer go when fewer wait.
            now: The present.
        """
        admitted: list[Reservation] = []
        if not self._limit and not self._charges.in_flight:
            self._charges.drop_before(now)  # whatever the first reading will say, it says of a request sent from now on
        for _ in range(min(count, len(self.line))):
            ticket = self.line.pop()
            ticket.state = "granted"
            ticket.sent = now
            ticket.until = now + TRANSIT
            self._charges.add(ticket)
            admitted.append(ticket)
        self._sent += len(admitted)
        self._granted = now
        self._block.admit(now)
        return admitted

    def cancel(self, ticket: Reservation) -> None:
        """Take back a ticket that waits, or that was granted and whose request never left; any other is left alone."""
        if ticket.state == "queued":
            self.line.leave(ticket)
        elif ticket.state == "granted":
            ticket.state = "done"
            self._block.take_back(ticket.sent)
            if self._charges.remove(ticket) and ticket.sent >= self._rolled:
                self._sent -= 1

    def fail(self, ticket: Reservation, now: float) -> None:
        """Note that no answer came; the request may have been counted, so it stays charged."""
        if ticket.state == "granted":
            self._block.end_probe(ticket.sent)
            self._end(ticket, now + GRACE)

    def observe(self, ticket: Reservation, reading: Reading, now: float) -> None:
        """Learn from an answer.

        Args:
            ticket: The request's.
            reading: What its headers say.
            now: When it came, or a later time.
        """
        fresh = self._block.is_fresh(ticket.sent)
        self._block.end_probe(ticket.sent)
        if fresh and reading.is_refusal:
            self._block.confirm()
        hollow = reading.is_last and self._is_hollow(reading, fresh=fresh)
        if hollow or not reading.is_consistent(now - ticket.sent):
            self._observe_bare(ticket, reading, now, fresh=fresh)
        else:
            self._observe_budget(ticket, reading, now, fresh=fresh)
        if now < self._blocked or (self._limit and self._remaining <= len(self._charges)):
            self.available(now)  # so that a block begins when it becomes known, whether requests wait or not

    def _is_hollow(self, reading: Reading, *, fresh: bool) -> bool:
        """Return True if nothing is left of a window, as an answer claims, but requests are served in it."""
        if fresh and reading.reset == self._reset:
            self._hollow = reading.reset
        return reading.reset == self._hollow

    def _observe_budget(self, ticket: Reservation, reading: Reading, now: float, *, fresh: bool) -> None:
        """Learn from an answer that reports a consistent budget."""
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
            self._count(ticket, reading, counts=ours and not limited)
        elif limited and sampled and ticket.sent >= self._rolled:
            # It was sent in the present window, and refused because of another one.
            self._pause.strike(ticket.sent, None, self._length, now)
        if doubtful:
            self._lift_doubtfully()

    def _replace_news(self, reading: Reading) -> None:
        """Drop the bad news that began a block: a request that was sent since has been answered."""
        self._blocked = -inf
        if not reading.is_refusal:
            self._unblock()
        elif reading.reset != self._reset:
            self._leave_window()

    def _unblock(self) -> None:
        """Lift the block: a request was served that was sent since it began."""
        self._blocked = -inf
        self._block.lift()
        self._refute_window()

    def _lift_doubtfully(self) -> None:
        """Lift the block because of an answer in flight when it began; the next request goes at once, alone."""
        self._blocked = self._granted = -inf
        self._block.lift()
        self.distrust_window()

    def _refutes(self, reading: Reading, now: float) -> bool:
        """Return True if a window that an answer shows to be open cannot be followed by the present one yet (B3)."""
        if self._reset is None or self._reset - reading.reset <= LONGEST_OWN_WAIT:
            return False
        return reading.reset > now + self._clock.high(now)

    def _refute_window(self) -> None:
        """Take the next reading as the first one; what was reported of other spenders is not believed either."""
        self._leave_window()
        self._counted, self._seen = self._limit, 0

    def _place(self, ticket: Reservation, reading: Reading, now: float) -> bool:
        """Find out which window an answer tells of, entering it if it is a new one; False when it is an old one."""
        if reading.reset <= self._floor:
            if reading.reset == self._floor and ticket.sent >= self._rolled:
                self._late_edge(ticket, reading.reset, now)
            return False
        if self._sampled and self._reset is not None:
            if reading.reset < self._reset:
                return False
            if reading.reset > self._reset:
                self._open(self._reset, reading.reset, now)
        return True

    def _count(self, ticket: Reservation, reading: Reading, *, counts: bool) -> None:
        """Take over what an answer tells of the present window."""
        limited = reading.is_refusal
        if not self._sampled:
            if self._newest is not None and reading.reset > self._newest:
                self._length = min(self._length or LONGEST_WAIT, reading.reset - self._newest)
            self._newest = self._reset = reading.reset
            self._sampled, self._trusted = True, self._length is not None
            self._remaining = reading.limit
        if reading.limit != self._limit:
            self._limit = reading.limit
            self._others, self._seen = 0.0, 0  # they were measured against another budget
        self._remaining = min(self._remaining, 0 if limited else reading.remaining)
        self._base = max(self._base, ticket.sent)
        self._counted += counts
        self._seen = max(self._seen, self._limit - self._remaining - self._charged() - self._counted)
        self._set_end()
        self.told = self._limit, self._remaining, reading.reset

    def _observe_other_limit(self, ticket: Reservation, reading: Reading, now: float) -> None:
        """Learn that another budget than the window's is used up, such as the day's: wait until it is refilled."""
        self._end(ticket, now)
        self._block_until(max(self._clock.surely(reading.reset + self._slack), now + (reading.retry_after or 0.0)))
        self._trusted = False  # what the windows do by then is found out with one request
        self._set_end()
        self.told = reading.limit, 0, reading.reset

    def _observe_bare(self, ticket: Reservation, reading: Reading, now: float, *, fresh: bool) -> None:
        """Learn from an answer without a consistent budget: it was counted by now, in whatever window."""
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
        """Keep a request charged that has ended without a reading."""
        if self._charges.remove(ticket) and not self._off:
            self._charges.add_uncounted(counted_by)
        ticket.state = "done"

    def _block_until(self, until: float) -> None:
        self._blocked = max(self._blocked, until)
