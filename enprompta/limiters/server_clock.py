"""What is known of the server's clock: an interval, never a point."""

from __future__ import annotations

from math import inf

__all__ = ["DRIFT", "STEP", "ServerClock"]

DRIFT = 5e-4
"""How much two clocks can come apart: seconds a second."""
STEP = 1.0
"""Seconds by which two answers must contradict each other to say that a clock was set."""


class ServerClock:
    """The server's clock less the local one, as bounds that every answer narrows and time widens.

    `Date` is cut to whole seconds, and was written at some moment between sending and receiving: an answer dated D to
    a request sent at s and received at r says `D - r <= server - local < D + 1 - s`, and nothing more.
    """

    __slots__ = ("_high", "_low", "_synced")

    def __init__(self) -> None:
        self._low = -inf
        self._high = inf
        self._synced = 0.0  # local time at which the bounds were right; since then they have come apart

    def synchronise(self, date: float, sent: float, now: float) -> bool:
        """Narrow the bounds by one answer.

        Args:
            date: Its `Date`, by the server's clock.
            sent: When its request was let go, or earlier.
            now: When it came, or later.

        Returns:
            True when it contradicts the earlier ones so much that a clock must have been set; then it stands alone.
        """
        least, most = date - now, date + 1 - sent
        low, high = max(self.low(now), least), min(self.high(now), most)
        self._synced = now
        if low <= high:
            self._low, self._high = low, high
            return False
        self._low, self._high = least, most
        return low - high > STEP

    def low(self, now: float) -> float:
        """Tell the least that the server's clock can be ahead."""
        return self._low - DRIFT * (now - self._synced)

    def high(self, now: float) -> float:
        """Tell the most that the server's clock can be ahead."""
        return self._high + DRIFT * (now - self._synced)

    def surely(self, server_time: float) -> float:
        """Tell the local time at which the server's clock has reached a time, even if it is the slowest it can be."""
        return (server_time - self._low - DRIFT * self._synced) / (1 - DRIFT)  # t + low(t) = server_time, for t
