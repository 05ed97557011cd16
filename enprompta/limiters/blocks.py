"""Blocks and pauses: how the queue behaves after a refusal, and how it learns that the refusal is over; pure.

A block is a wait of more than `LONG` that the server reports, for example when the day's budget is exhausted. It counts
as a claim until a probe confirms it. A pause takes seconds, after a 429 without a budget, such as a firewall's.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from enprompta.limiters.rules import LONG, LONGEST_PAUSE, NEXT_PROBE, PAUSE, SOON

__all__ = ["Block", "Pause", "Room"]


class Room(NamedTuple):
    """How many requests may go now, or how long to wait if none may. All times are in seconds from now."""

    free: int
    """Number of requests that may go."""
    wait: float = 0.0
    """Time until the reported end of the wait; refused callers get it."""
    chance: float = 0.0
    """Time until a request can go or a response can change things; compared with the callers' `max_wait`."""
    age: float = 0.0
    """Time that counts towards `max_wait` already, at most; 0 if each chance counts by itself."""
    look: float = 0.0
    """Time until the next useful check."""


class Block:
    """A wait of more than `LONG`, and the probes that test it."""

    __slots__ = ("confirmed", "held", "probed", "probing", "since")

    def __init__(self) -> None:
        self.since: float = inf  # when it began; inf if there is none
        self.held: float = inf  # since when only probes have gone; one block may follow another
        self.confirmed: bool = False  # a probe got 429
        self.probed: float = -inf  # when the last probe was granted; also identifies its response
        self.probing: bool = False  # its response has not come yet

    @property
    def is_on(self) -> bool:
        """True while the queue is blocked."""
        return self.since < inf

    def begin(self, now: float) -> None:
        """Block the queue; nothing is confirmed yet."""
        self.since = now
        self.held = min(self.held, now)
        self.confirmed = self.probing = False

    def lift(self) -> None:
        """End the block; keep the time of the last probe in case another block follows."""
        self.since = inf
        self.confirmed = self.probing = False

    def clear(self) -> None:
        """End the block because requests can go."""
        self.lift()
        self.held = inf

    def confirm(self) -> None:
        """Record that a request sent since the block began was refused."""
        self.confirmed = True

    def room(self, wait: float, now: float) -> Room:
        """Return room for one request if a probe is due, otherwise the wait.

        Args:
            wait: Seconds until the block ends, as reported.
            now: Current time.
        """
        due = max(self.since + LONG, self.probed + NEXT_PROBE) - now
        if due <= 0:
            return Room(1)
        look = min(due, wait)
        chance = wait if self.confirmed else SOON if self.probing else look
        return Room(0, wait, chance, now - self.held, look)

    def admit(self, now: float) -> None:
        """Record that a request was granted during the block: it is the probe."""
        self.probed = now
        self.probing = True

    def end_probe(self, sent: float) -> None:
        """Record that a request has ended, which may be the probe."""
        if sent == self.probed:
            self.probing = False

    def take_back(self, sent: float) -> None:
        """Record that a request was never sent; if it was the probe, the next one goes at once."""
        if sent == self.probed and self.probing:
            self.probing = False
            self.probed = -inf


class Pause:
    """The seconds after a 429 that reports no budget."""

    __slots__ = ("strikes", "struck", "until")

    def __init__(self) -> None:
        self.strikes: int = 0  # consecutive 429s, each to a request granted after the previous pause
        self.struck: float = -inf  # when the first one came
        self.until: float = -inf  # when the next request may go

    def strike(self, sent: float, retry_after: float | None, window: float | None, now: float) -> None:
        """Begin or extend the pause; a 429 to a request granted before the pause changes nothing.

        Args:
            sent: When the request was granted.
            retry_after: Seconds that the response asks to wait; used only if shorter than the first pause.
            window: Length of a window in seconds; None while unknown.
            now: Current time.
        """
        if sent < self.until:
            return
        if not self.strikes:
            self.struck = now
        self.strikes += 1
        longest = min(LONGEST_PAUSE, window or inf)
        if retry_after is not None and self.strikes == 1:
            longest = min(longest, retry_after)
        self.until = now + min(PAUSE * 2.0 ** min(self.strikes - 1, 10), longest)

    def end(self, sent: float) -> None:
        """End the pause if the response is to a request granted after it."""
        if self.strikes and sent >= self.until:
            self.strikes = 0
            self.struck = self.until = -inf

    def room(self, granted: float, now: float) -> Room:
        """Return the room after a 429: none until the pause is over, then one request at a time.

        Args:
            granted: When the last request was granted.
            now: Current time.
        """
        wait = (self.until if granted < self.until else granted + PAUSE) - now
        return Room(1) if wait <= 0 else Room(0, wait, wait, now - self.struck, wait)
