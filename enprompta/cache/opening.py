"""Open the cache of a client, with its folder of snapshots and its way to work in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enprompta.cache.background_runners import Tasks, Threads
from enprompta.cache.live_cache import LiveCache
from enprompta.cache.snapshots import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike


def open_cache(
    folder: str | PathLike[str] | None, account: str, secrets: Callable[[], Sequence[str]], *, is_async: bool
) -> LiveCache:
    """Open a cache.

    Args:
        folder: The folder of snapshots; None for none.
        account: The base URL and the identity of the credentials.
        secrets: Returns the secrets of the client; the first one signs the snapshots.
        is_async: True to work in tasks of the event loop, False to work in threads.
    """
    disk = None if folder is None else Disk(Path(folder).expanduser(), account, secrets()[0])
    return LiveCache(Tasks() if is_async else Threads(), disk)
