"""Sends deliveries from the server's own event loop, so that no handler waits for a receiver.

However many receivers hang, drip or flood: an attempt has a deadline, a host has a few attempts at a time and all
hosts together have some more, and hosts take turns. What waits is an id in memory; what counts is in the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from enprompta._version import __version__
from enprompta.emulator.stores import deliveries
from enprompta.emulator.webhooks.untrusted_post import RemoteReceiverError, post_untrusted
from enprompta.errors import ConfigurationError
from enprompta.webhooks.signature import SIGNATURE_HEADER, sign

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from enprompta.emulator.database import Database

logger: logging.Logger = logging.getLogger("enprompta.emulator")

BACKOFF = tuple(min(2.0**number, 3600.0) for number in range(24))
"""Seconds between attempts: doubling from 1 s to an hour, 25 attempts in half a day."""
TIMEOUT = 10.0
_AT_ONCE = 128
_AT_ONCE_TO_A_HOST = 8
_SUCCESS = range(200, 300)
_NEVER = object()


class DeliveryQueue:
    """Sends what is to be sent, again and again until it is accepted or given up.

    Args:
        database: Where deliveries are kept.
        clock: Tells when an attempt ended; waiting goes by real time, whatever this tells.
        backoff: Seconds to wait after each attempt that failed; when all are used up the delivery has failed.
        timeout: Seconds an attempt may take, from the name lookup to the end of the answer's head.
        remote: False to send to receivers on this machine only; a delivery to another has failed at once.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        *,
        backoff: Sequence[float],
        timeout: float,
        remote: bool = False,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError("webhook_timeout must be longer than 0 seconds")
        if not all(0 <= wait < float("inf") for wait in backoff):
            raise ConfigurationError("webhook_backoff must be seconds, none less than 0")
        self._database = database
        self._clock = clock
        self._backoff = tuple(backoff)
        self._timeout = timeout
        self._remote = remote
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hosts: OrderedDict[str, _Host] = OrderedDict()  # those with something to send; the first has its turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: dict[str, asyncio.TimerHandle | None] = {}  # delivery id -> its next attempt; None: now, or soon

    def start(self) -> None:
        """Take up at once what an earlier run of the emulator has left; called on the loop that will send."""
        self._loop = asyncio.get_running_loop()
        for row in deliveries.unfinished(self._database):
            self.send(row["id"], row["url"])

    async def stop(self) -> None:
        """Send nothing more; attempts under way are broken off, and made again by the next run."""
        self._loop = None
        self._hosts.clear()
        for timer in self._next.values():
            if timer is not None:
                timer.cancel()
        self._next.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, delivery_id: str, url: str) -> None:
        """Send a delivery as soon as it can be.

        Nothing happens before the caller next awaits: a delivery that its transaction takes back is not sent.
        """
        if self._loop is None:  # it has stopped, or not started: the next start finds it in the database
            return
        timer = self._next.get(delivery_id)
        if timer is not None:
            timer.cancel()
        self._next[delivery_id] = None
        self._hosts.setdefault(_host_of(url), _Host()).queue.append(delivery_id)
        self._fill()

    def is_under_way(self, delivery_id: str) -> bool:
        """Tell whether a delivery is being sent, or is in line to be: not whether it waits to be sent again."""
        return self._next.get(delivery_id, _NEVER) is None

    def _fill(self) -> None:
        """Start as many attempts as there is room for, the hosts taking turns."""
        passed_over = 0
        while len(self._tasks) < _AT_ONCE and passed_over < len(self._hosts):
            name, host = next(iter(self._hosts.items()))
            self._hosts.move_to_end(name)
            if not host.queue or host.sending >= _AT_ONCE_TO_A_HOST:
                passed_over += 1
                continue
            passed_over = 0
            self._begin(name, host, host.queue.popleft())

    def _begin(self, name: str, host: _Host, delivery_id: str) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            host.sending -= 1
            if not host.queue and not host.sending and self._hosts.get(name) is host:
                del self._hosts[name]
            self._fill()

        host.sending += 1
        task = asyncio.get_running_loop().create_task(self._attempt(delivery_id))
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _attempt(self, delivery_id: str) -> None:
        try:
            row = deliveries.to_send(self._database, delivery_id)
            if row is None:  # deleted, or never committed
                self._next.pop(delivery_id, None)
            elif not row["is_active"]:
                self._next.pop(delivery_id, None)
                deliveries.give_up(self._database, delivery_id)
            else:
                started = time.monotonic()
                sending = post_untrusted(
                    row["url"], _headers(row), row["body"], timeout=self._timeout, remote=self._remote
                )
                async with sending as answered:
                    self._record(row, answered, round((time.monotonic() - started) * 1000))
        except RemoteReceiverError as refused:
            self._next.pop(delivery_id, None)
            deliveries.give_up(self._database, delivery_id)
            logger.warning(
                "webhook delivery %s was not sent: %s is not this machine; start the emulator with "
                "--allow-remote-webhooks (in Python, allow_remote_webhooks=True) to send it",
                *(delivery_id, refused),
            )
        except Exception:
            self._next.pop(delivery_id, None)
            logger.exception("webhook delivery %s failed; it is taken up when the emulator starts again", delivery_id)

    def _record(self, row: sqlite3.Row, answered: int | None, latency: int) -> None:
        made: int = row["attempts"] - row["earlier_attempts"]
        if answered in _SUCCESS:
            status = deliveries.DELIVERED
        else:
            status = deliveries.RETRYING if made < len(self._backoff) else deliveries.FAILED
        now = self._clock()
        deliveries.record(self._database, row, status=status, response_status=answered, latency=latency, now=now)
        self._next.pop(row["id"], None)
        if status == deliveries.RETRYING and self._loop is not None:
            timer = self._loop.call_later(self._backoff[made], self.send, row["id"], row["url"])
            self._next[row["id"]] = timer


def _headers(row: sqlite3.Row) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": f"enprompta-emulator/{__version__}",
        SIGNATURE_HEADER: sign(row["body"], row["secret"]),
        "X-Enprompta-Event": row["event_type"],
        "X-Enprompta-Event-Id": row["event_id"],
        "X-Enprompta-Delivery-Id": row["id"],
    }


class _Host:
    """A receiver's host, or rather one of its ports: what waits for it, and how many attempts it is busy with."""

    def __init__(self) -> None:
        self.queue: deque[str] = deque()
        self.sending = 0


def _host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2].lower()
