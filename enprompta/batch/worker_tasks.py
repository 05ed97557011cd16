"""Tasks for the workers of a run on asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from typing_extensions import Self


class PlainTasks:
    """A task group without cancel scopes; its tasks must not fail.

    anyio puts a scope around each task, and looks at it several times for each request.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start_soon(self, work: Callable[[], Coroutine[object, object, None]], /) -> None:
        """Start a task."""
        self._tasks.add(asyncio.get_running_loop().create_task(work()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        """Wait for the tasks; cancel them if the block was cancelled, or this wait is."""
        try:
            if error is None and self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*self._tasks, return_exceptions=True)
