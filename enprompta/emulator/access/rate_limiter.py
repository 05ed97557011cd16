"""Rate limits: fixed windows of a minute and a day, aligned to the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta.emulator.errors import RATE_LIMITED, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database

_UNLIMITED = 1_000_000  # reported when limits are off: more than any client has in flight


@dataclass(frozen=True, slots=True)
class Window:
    """The state of a request budget."""

    limit: int
    remaining: int
    end: float
    """Unix seconds."""

    def headers(self) -> dict[str, str]:
        """Return the three `X-RateLimit` headers; the reset is rounded up, so that it is never too early."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.end)),
        }


class RateLimiter:
    """Counts requests and refuses those over the limit, if enabled; a refused request is not counted.

    Requests of each day are counted in the database, to survive a restart.

    Raises:
        ConfigurationError: A window is not longer than 0 seconds.
    """

    def __init__(self, database: Database, *, window: float, day: float, enabled: bool) -> None:
        self._database = database
        self._enabled = enabled
        self.set_windows(window, day)

    @property
    def windows(self) -> tuple[float, float]:
        """Lengths of the per-minute and the per-day window, in seconds."""
        return self._window, self._day

    def set_windows(self, window: float, day: float) -> None:
        """Change the lengths of the windows; raise a `ConfigurationError` if one is not longer than 0 seconds."""
        if not (0 < window < math.inf and 0 < day < math.inf):
            raise ConfigurationError("The rate limit windows must be longer than 0 seconds")
        self._window = window
        self._day = day
        self.forget()

    def forget(self) -> None:
        """Start counting again; the requests of the day are read from the database."""
        self._minutes: dict[str, tuple[float, int]] = {}  # account id -> start of the window, requests in it
        self._days: dict[str, tuple[float, int]] = {}  # the same for the day: a cache of the database's counts

    def count(self, account: Account, now: float) -> Window:
        """Count one request and return the per-minute window; raise a 429 if either window is used up."""
        minute, day = self._minute(account, now), self.day(account, now)
        if self._enabled:
            if day.remaining <= 0:
                raise _refusal(day, now, "day")
            if minute.remaining <= 0:
                raise _refusal(minute, now, "minute")
        sql = (
            "INSERT INTO request_days (account_id, start, requests) VALUES (?, ?, 1) "
            "ON CONFLICT (account_id, start) DO UPDATE SET requests = requests + 1"
        )
        self._database.run(sql, account.id, int(self._days[account.id][0]))
        for counts in (self._minutes, self._days):
            start, requests = counts[account.id]
            counts[account.id] = (start, requests + 1)
        return self.minute(account, now)

    def minute(self, account: Account, now: float) -> Window:
        """Return the per-minute window without counting a request."""
        if not self._enabled:
            return Window(_UNLIMITED, _UNLIMITED, _start(now, self._window) + self._window)
        return self._minute(account, now)

    def _minute(self, account: Account, now: float) -> Window:
        start = _start(now, self._window)
        known = self._minutes.get(account.id)
        if known is None or known[0] != start:
            known = self._minutes[account.id] = (start, 0)
        limit = account.tier.per_minute
        return Window(limit, max(0, limit - known[1]), start + self._window)

    def day(self, account: Account, now: float) -> Window:
        """Return the per-day window without counting a request."""
        start = _start(now, self._day)
        known = self._days.get(account.id)
        if known is None or known[0] != start:
            sql = "SELECT requests FROM request_days WHERE account_id = ? AND start = ?"
            known = self._days[account.id] = (start, self._database.scalar(sql, account.id, int(start)))
        limit = account.tier.per_day
        return Window(limit, max(0, limit - known[1]), start + self._day)


class RateLimitError(ApiError):
    """A 429, with the window that is used up."""

    def __init__(self, window: Window, message: str, retry_after: int) -> None:
        super().__init__(RATE_LIMITED, message, headers={"Retry-After": str(retry_after)})
        self.window = window


def _refusal(window: Window, now: float, name: str) -> RateLimitError:
    retry_after = max(1, math.ceil(window.end - now))
    message = f"Rate limit exceeded: {window.limit} requests per {name}; try again in {retry_after} seconds"
    return RateLimitError(window, message, retry_after)


def _start(now: float, length: float) -> float:
    return math.floor(now / length) * length
