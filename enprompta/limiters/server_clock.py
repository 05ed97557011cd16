"""The server's clock, known as an interval and never as a point."""

from __future__ import annotations

from math import inf

__all__ = ["DRIFT", "STEP", "ServerClock"]

DRIFT = 5e-4
"""Drift between two clocks, at most: seconds per second."""
STEP = 1.0
"""Seconds by which two responses must contradict each other to show that a clock was adjusted."""


class ServerClock:
    """The server's clock minus the local one, as bounds that each response narrows and time widens.

    `Date` is truncated to whole seconds and written between sending and receiving. So a response dated D, to a request
    sent at s and received at r, means `D - r <= server - local < D + 1 - s`.
    """

    __slots__ = ("_high", "_low", "_synced")

    def __init__(self) -> None:
        self._low = -inf
        self._high = inf
        self._synced = 0.0  # local time at which the bounds were exact; they widen from then on

    def synchronise(self, date: float, sent: float, now: float) -> bool:
        """Narrow the bounds by one response.

        Args:
            date: Its `Date`, by the server's clock.
            sent: When its request was granted, or earlier.
            now: When the response came, or later.

        Returns:
            True if it contradicts the earlier ones so much that a clock was adjusted; then only this one counts.
        """
        least, most = date - now, date + 1 - sent
        drift = DRIFT * (now - self._synced)
        low, high = self._low - drift, self._high + drift
        if least > low:
            low = least
        if most < high:
            high = most
        self._synced = now
        if low <= high:
            self._low, self._high = low, high
            return False
        self._low, self._high = least, most
        return low - high > STEP

    def low(self, now: float) -> float:
        """Return the least by which the server's clock is ahead."""
        return self._low - DRIFT * (now - self._synced)

    def high(self, now: float) -> float:
        """Return the most by which the server's clock is ahead."""
        return self._high + DRIFT * (now - self._synced)

    def surely(self, server_time: float) -> float:
        """Return the local time at which the server's clock has reached a time for certain."""
        return (server_time - self._low - DRIFT * self._synced) / (1 - DRIFT)  # t + low(t) = server_time, for t
