"""The clients of a worker process: one for each run, for all of its partitions, however they come.

Partitions come to a process one by one, each with the settings of its client. One client for all of them keeps the
connections open from one to the next, and fetches an access token once.
"""

from __future__ import annotations

import atexit
import os
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from enprompta.batch.row_calls import Variables
    from enprompta.batch.sync_run import BatchRun
    from enprompta.limiters.interface import Limiter

RowT = TypeVar("RowT")
_KEPT = 4
"""Clients to keep open: runs that are worked on in turns."""


class BulkPrompts(Protocol):
    """`client.prompts`, as far as a worker uses it."""

    def execute_many(
        self,
        prompt_id: str,
        /,
        rows: Iterable[RowT],
        *,
        variables: Variables[RowT] = None,
        **options: Any,  # noqa: ANN401 (a protocol can't name a method's typed options)
    ) -> BatchRun[RowT]:
        """Describe a run over rows."""
        ...


@runtime_checkable
class WorkerClient(Protocol):
    """The blocking client, as far as a worker uses it."""

    @property
    def prompts(self) -> BulkPrompts:
        """The methods on prompts."""
        ...

    @property
    def limiter(self) -> Limiter | None:
        """The limiter that paces requests."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(slots=True)
class _Lent:
    client: WorkerClient
    users: int = 0


class ClientPool:
    """Lends clients by name, and closes those that nobody has asked for lately."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lent: OrderedDict[str, _Lent] = OrderedDict()
        self._watched = False

    @contextmanager
    def borrow(self, name: str, make: Callable[[], WorkerClient]) -> Generator[WorkerClient]:
        """Lend a client, to any number of threads at once.

        Args:
            name: Which one.
            make: Makes it when it is not there.
        """
        with self._lock:
            self._watch()
            lent = self._lent.get(name)
            if lent is None:
                lent = self._lent[name] = _Lent(make())
            self._lent.move_to_end(name)
            lent.users += 1
        try:
            yield lent.client
        finally:
            with self._lock:
                lent.users -= 1
            self.close(_KEPT)

    def close(self, keep: int = 0) -> None:
        """Close the clients that nobody uses.

        Args:
            keep: How many to leave open, those that were asked for last.
        """
        with self._lock:
            idle = [name for name, lent in self._lent.items() if lent.users == 0]
            surplus = [self._lent.pop(name) for name in idle[: max(0, len(self._lent) - keep)]]
        for lent in surplus:
            lent.client.close()

    def _watch(self) -> None:
        if not self._watched:
            self._watched = True
            atexit.register(self.close)
            if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
                os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        """Forget all, in a child after a fork: who was using them is not here, and may have held the lock."""
        self._lock = Lock()
        self._lent = OrderedDict()


client_pool = ClientPool()
"""Those of this process."""
