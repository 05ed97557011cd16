"""The clients of a worker process: one for each run, shared by its partitions.

Partitions arrive at a process one by one, each with the settings of its client. A shared client keeps the connections
open between partitions, and fetches an access token once.
"""

from __future__ import annotations

import atexit
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import Protocol, runtime_checkable

from enprompta._common.forks import run_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from enprompta.limiters.interface import Limiter

RowT = TypeVar("RowT")
_MAX_IDLE = 4
"""Idle clients to keep open, for runs whose partitions alternate."""


@runtime_checkable
class WorkerClient(Protocol):
    """The blocking client, as far as a worker uses it."""

    @property
    def prompts(self) -> Any:  # noqa: ANN401 (type checkers do not match a descriptor with a protocol)
        """The methods on prompts; a worker uses `execute_many`."""
        ...

    @property
    def limiter(self) -> Limiter | None:
        """The limiter that paces requests."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(slots=True)
class _PooledClient:
    client: WorkerClient
    users: int = 0


class ClientPool:
    """Shares clients by name, and closes those that were not used lately."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: OrderedDict[str, _PooledClient] = OrderedDict()
        self._registered = False

    @contextmanager
    def borrow(self, name: str, make: Callable[[], WorkerClient]) -> Generator[WorkerClient]:
        """Borrow a client; any number of threads may share it.

        Args:
            name: The client's name.
            make: Creates the client if there is none of this name.
        """
        with self._lock:
            self._register()
            pooled = self._entries.get(name)
            if pooled is None:
                pooled = self._entries[name] = _PooledClient(make())
            self._entries.move_to_end(name)
            pooled.users += 1
        try:
            yield pooled.client
        finally:
            with self._lock:
                pooled.users -= 1
            self.close(_MAX_IDLE)

    def close(self, keep: int = 0) -> None:
        """Close the clients that are not in use.

        Args:
            keep: The number of clients to leave open, the most recently used ones.
        """
        with self._lock:
            idle = [name for name, pooled in self._entries.items() if pooled.users == 0]
            surplus = [self._entries.pop(name) for name in idle[: max(0, len(self._entries) - keep)]]
        for pooled in surplus:
            pooled.client.close()

    def _register(self) -> None:
        if not self._registered:
            self._registered = True
            atexit.register(self.close)
            run_in_child(self._after_fork)

    def _after_fork(self) -> None:
        """Forget all clients, in a child after a fork: their threads are not here, and one may have held the lock."""
        self._lock = Lock()
        self._entries = OrderedDict()


client_pool: ClientPool = ClientPool()
"""The clients of this process."""
