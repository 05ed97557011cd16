"""The progress bar: cost, rate and time left, or the wait for the rate limit. Needs rich; loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError

try:
    from rich import progress as rich
    from rich.console import Console
except ImportError as _missing:
    _MESSAGE = 'progress=True needs the extra `cli`: pip install "enprompta[cli]"'
    raise ConfigurationError(_MESSAGE) from _missing

if TYPE_CHECKING:
    from enprompta.batch.results import Progress

_WAITING = 1.0  # seconds of waiting that are shown


class Bar:
    """Shows a run's progress.

    Args:
        console: The console to draw on; None for standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._bar = rich.Progress(
            rich.BarColumn(),  # shrinks when the text needs the space
            rich.TextColumn("{task.completed:.0f} {task.fields[text]}"),  # in one column, only its end is cut off
            console=console or Console(stderr=True),
            auto_refresh=False,  # updates are frequent enough, and this saves a thread
        )
        self._task = self._bar.add_task("", total=None, text="")
        self._bar.start()

    def update(self, progress: Progress) -> None:
        """Show the progress of the run."""
        ended = progress.done + progress.failed
        self._bar.update(self._task, completed=ended, total=progress.total, text=describe(progress), refresh=True)

    def close(self) -> None:
        """Stop drawing; the bar stays visible."""
        self._bar.stop()


def describe(progress: Progress) -> str:
    """Describe the progress in one line, to follow the number of rows."""
    parts = [] if progress.total is None else [f"of {progress.total}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    cost = f"{progress.cost:.4f} USD"
    if progress.waiting >= _WAITING:  # the rate and the time left are then out of date
        return " · ".join([*parts, cost, f"waiting for the rate limit ({progress.waiting:.0f} s)"])
    parts += [f"{progress.rate:.1f}/s", cost]
    if progress.eta is not None:
        minutes, seconds = divmod(round(progress.eta), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
    return " · ".join(parts)
