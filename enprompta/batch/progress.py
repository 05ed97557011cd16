"""Count the results of a run, and measure its rate. Pure: the clock is an argument."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from enprompta.batch.results import BatchResult, Progress, executions_of

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOW = 60.0  # seconds that the rate is averaged over: one window of the API's rate limit
_SAMPLES = 60
_REPORT_EVERY = 0.1  # seconds


class Meter:
    """Counts results.

    Args:
        total: Number of rows; None if unknown.
        now: The current time, in monotonic seconds.
    """

    def __init__(self, total: int | None, now: float) -> None:
        self.total = total
        self.done: int = 0
        self.failed: int = 0
        self.restored: int = 0
        self.tokens: int = 0
        self.credits: int = 0
        self.cost: float = 0.0
        self._began = now
        self._samples: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_SAMPLES + 1)

    def count(self, result: BatchResult[Any], credits: int) -> None:
        """Count a row that has ended."""
        if result.error is None:
            self.done += 1
        else:
            self.failed += 1
        self.restored += result.restored
        self.credits += credits
        for execution in executions_of(result.execution):
            self.tokens += execution.tokens or 0
            self.cost += execution.cost or 0.0

    def read(self, now: float, *, in_flight: int, waiting: float) -> Progress:
        """Return the progress of the run."""
        ended = self.done + self.failed
        rate = self._rate(now, ended - self.restored)
        left = None if self.total is None else max(0, self.total - ended)
        return Progress(
            done=self.done,
            failed=self.failed,
            restored=self.restored,
            in_flight=in_flight,
            total=self.total,
            rate=rate,
            tokens=self.tokens,
            cost=self.cost,
            credits=self.credits,
            elapsed=now - self._began,
            eta=0.0 if left == 0 else left / rate if left and rate else None,
            waiting=waiting,
        )

    def _rate(self, now: float, executed: int) -> float:
        samples = self._samples
        if now - samples[-1][0] >= _WINDOW / _SAMPLES:
            samples.append((now, executed))
        while len(samples) > 1 and now - samples[1][0] >= _WINDOW:
            samples.popleft()
        then, before = samples[0]
        return (executed - before) / (now - then) if now > then else 0.0


class Reporter:
    """Reports progress to callbacks, at a limited rate.

    Args:
        callbacks: Functions of a `Progress`.
    """

    def __init__(self, callbacks: list[Callable[[Progress], object]]) -> None:
        self._callbacks = callbacks
        self._next = 0.0

    def due(self, now: float) -> bool:
        """Return True if it is time to report."""
        return bool(self._callbacks) and now >= self._next

    def report(self, progress: Progress, now: float) -> None:
        """Call every callback."""
        self._next = now + _REPORT_EVERY
        for callback in self._callbacks:
            try:
                callback(progress)
            except (StopIteration, StopAsyncIteration) as error:  # the caller's loop would end without an error
                raise RuntimeError(f"on_progress raised {type(error).__name__}") from error
