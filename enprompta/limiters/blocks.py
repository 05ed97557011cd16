"""Blocks and pauses: how the line behaves while it has been refused, and how it finds out that it no longer is; pure.

A block is a wait of more than `LONG`, as a server reports it: the day's budget is used up, say. It is a claim until a
probe confirms it. A pause is a matter of seconds, after a 429 that reports no budget, as a firewall sends it.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from enprompta.limiters.rules import LONG, LONGEST_PAUSE, NEXT_PROBE, PAUSE, SOON

__all__ = ["Block", "Pause", "Room"]


class Room(NamedTuple):
    """How many requests may go now, and what to wait for when none may. All times are in seconds from now."""

    free: int
    """How many may go."""
    wait: float = 0.0
    """Time until the reported end of the wait; what a refused caller is told."""
    chance: float = 0.0
    """Time until a request can go or an answer can change things; callers' `max_wait` is compared with it."""
    age: float = 0.0
    """For how long waiting has counted towards `max_wait` already, at most; 0 where each chance counts for itself."""
    look: float = 0.0
    """Time until asking again is worthwhile."""


class Block:
    """A wait of more than `LONG`, and the probes that test it."""

    __slots__ = ("confirmed", "held", "probed", "probing", "since")

    def __init__(self) -> None:
        self.since: float = inf  # when it began; inf while there is none
        self.held: float = inf  # since when no request but probes has gone; one block may follow another
        self.confirmed: bool = False  # a probe was answered 429
        self.probed: float = -inf  # when the last probe was let go; also tells its answer from others
        self.probing: bool = False  # its answer has not come yet

    @property
    def is_on(self) -> bool:
        """True while the line is blocked."""
        return self.since < inf

    def is_fresh(self, sent: float) -> bool:
        """Return True if a request was let go since the block began."""
        return sent > self.since

    def begin(self, now: float) -> None:
        """Block the line; nothing is confirmed yet."""
        self.since = now
        self.held = min(self.held, now)
        self.confirmed = self.probing = False

    def lift(self) -> None:
        """End the block. The time of the last probe stays known, should another block follow."""
        self.since = inf
        self.confirmed = self.probing = False

    def clear(self) -> None:
        """End the block, as requests can go."""
        self.lift()
        self.held = inf

    def confirm(self) -> None:
        """Note that a request sent since the block began was refused."""
        self.confirmed = True

    def room(self, wait: float, now: float) -> Room:
        """Return 1 when a probe is due; else what to wait for.

        Args:
            wait: Seconds until the block ends, as reported.
            now: The present.
        """
        due = max(self.since + LONG, self.probed + NEXT_PROBE) - now
        if due <= 0:
            return Room(1)
        look = min(due, wait)
        chance = wait if self.confirmed else SOON if self.probing else look
        return Room(0, wait, chance, now - self.held, look)

    def admit(self, now: float) -> None:
        """Note that a request was let go: during a block it is the probe."""
        if self.is_on:
            self.probed = now
            self.probing = True

    def end_probe(self, sent: float) -> None:
        """Note that a request has ended, which may be the probe."""
        if sent == self.probed:
            self.probing = False

    def take_back(self, sent: float) -> None:
        """Note that a request was never sent; if it was the probe, the next one goes at once."""
        if sent == self.probed and self.probing:
            self.probing = False
            self.probed = -inf


class Pause:
    """The seconds after a 429 that reports no budget."""

    __slots__ = ("strikes", "struck", "until")

    def __init__(self) -> None:
        self.strikes: int = 0  # how many in a row, each to a request let go after the pause of the one before
        self.struck: float = -inf  # when the first of them came
        self.until: float = -inf  # when the next request may go

    def strike(self, sent: float, retry_after: float | None, window: float | None, now: float) -> None:
        """Pause, or pause longer; a 429 to a request that was let go before the pause changes nothing.

        Args:
            sent: When the request was let go.
            retry_after: Seconds that the answer asks to wait; a shorter time than the first pause is believed.
            window: Length of a window in seconds; None while unknown.
            now: The present.
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
        """End the pause, if an answer is to a request that was let go after it."""
        if self.strikes and sent >= self.until:
            self.strikes = 0
            self.struck = self.until = -inf

    def room(self, granted: float, now: float) -> Room:
        """Return how many may go after a 429: none until the pause is over, then one at a time.

        Args:
            granted: When the last request was let go.
            now: The present.
        """
        wait = (self.until if granted < self.until else granted + PAUSE) - now
        return Room(1) if wait <= 0 else Room(0, wait, wait, now - self.struck, wait)
