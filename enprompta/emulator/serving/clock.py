"""A clock that can be moved and stopped while the emulator serves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_LATEST = 253_402_300_799.0  # the end of the year 9999, the last that dates can have


class EmulatorClock:
    """The emulator's time: that of a source, moved by an offset, or standing still.

    Args:
        source: Returns Unix seconds.
    """

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source
        self._offset = 0.0
        self._stopped_at: float | None = None

    def __call__(self) -> float:
        """Return the current time in Unix seconds."""
        return self._source() + self._offset if self._stopped_at is None else self._stopped_at

    @property
    def offset(self) -> float:
        """Seconds by which the clock is ahead of its source."""
        return self() - self._source()

    @property
    def is_stopped(self) -> bool:
        """True while the clock stands still."""
        return self._stopped_at is not None

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back by a negative number.

        Raises:
            ConfigurationError: The time would be before 1970 or after 9999.
        """
        moved = self() + seconds
        if not (math.isfinite(moved) and 0 <= moved <= _LATEST):
            raise ConfigurationError("The clock must stay between the years 1970 and 9999")
        if self._stopped_at is None:
            self._offset += seconds
        else:
            self._stopped_at = moved

    def stop(self) -> None:
        """Stop the clock at the current time."""
        self._stopped_at = self()

    def resume(self) -> None:
        """Let a stopped clock run again, from the time at which it stands."""
        if self._stopped_at is not None:
            self._offset = self._stopped_at - self._source()
            self._stopped_at = None

    def reset(self) -> None:
        """Return to the time of the source."""
        self._offset, self._stopped_at = 0.0, None
