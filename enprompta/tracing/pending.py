"""Batches that wait to be sent, and callers that wait for the export thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.tracing.spool import SpooledBatch


@dataclass(slots=True, eq=False)
class Outgoing:
    """An encoded batch that has not been sent yet."""

    count: int
    body: bytes | None
    """None if it must be read from the spool."""
    spooled: SpooledBatch | None = None
    is_resent: bool = False


@dataclass(slots=True, eq=False)
class FlushRequest:
    """A caller that waits until everything has been sent."""

    ends: float
    """In monotonic seconds."""
    done: SimpleQueue[bool] = field(default_factory=SimpleQueue[bool])
    grace: float = 0.0
    """Seconds after the last accepted batch during which to continue; 0 for a fixed end."""
    latest: float = 0.0
    """End of all extensions, in monotonic seconds."""


TURN = FlushRequest(inf)
"""A turn of the thread by itself: sends what is due."""
