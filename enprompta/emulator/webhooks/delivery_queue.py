"""Publish events, and send their deliveries from the server's event loop, so that no handler waits for a receiver.

Slow or hostile receivers cannot block the others: each attempt has a deadline, concurrent attempts are limited per host
and in total, and hosts take turns. Memory holds the ids of queued deliveries; their state is in the database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from enprompta._version import __version__
from enprompta.emulator.database import new_id
from enprompta.emulator.stores import deliveries, webhooks
from enprompta.emulator.webhooks.untrusted_post import RemoteReceiverError, post_untrusted
from enprompta.errors import ConfigurationError
from enprompta.webhooks.signature import SIGNATURE_HEADER, sign

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

logger: logging.Logger = logging.getLogger("enprompta.emulator")

BACKOFF = tuple(min(2.0**number, 3600.0) for number in range(24))
"""Seconds between attempts: doubling from 1 second to an hour, 25 attempts in half a day."""
TIMEOUT = 10.0
_MAX_CONCURRENT = 128
_MAX_CONCURRENT_PER_HOST = 8
_SUCCESS = range(200, 300)
_NEVER = object()
TEST_EVENT = "webhook.test"


class DeliveryQueue:
    """Sends deliveries and retries them until they are accepted or out of attempts.

    Args:
        database: Where deliveries are stored.
        clock: Returns Unix seconds, for the time of an attempt. Backoff always uses real time.
        backoff: Seconds to wait after each failed attempt; after the last one, the delivery fails.
        timeout: Seconds that an attempt may take, from the name lookup to the end of the response headers.
        remote: False to send to receivers on this machine only; other deliveries fail at once.

    Raises:
        ConfigurationError: The timeout or the backoff is invalid.
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
            raise ConfigurationError("webhook_backoff must be finite seconds, each 0 or more")
        self._database = database
        self._clock = clock
        self._backoff = tuple(backoff)
        self._timeout = timeout
        self._remote = remote
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hosts: OrderedDict[str, _Host] = (
            OrderedDict()
        )  # hosts with queued deliveries or attempts; the first is next
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: dict[
            str, asyncio.TimerHandle | None
        ] = {}  # delivery id -> timer of its retry; None while queued or sending

    def start(self) -> None:
        """Queue the unfinished deliveries of the last run; call it on the server's event loop."""
        self._loop = asyncio.get_running_loop()
        for row in deliveries.unfinished(self._database):
            self.send(row["id"], row["url"])

    async def stop(self) -> None:
        """Stop sending; interrupted attempts are repeated after the next start."""
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
        """Queue a delivery.

        Nothing is sent before the caller next awaits, so that a delivery whose transaction is rolled back is not sent.
        """
        if self._loop is None:  # not running: the next start finds the delivery in the database
            return
        timer = self._next.get(delivery_id)
        if timer is not None:
            timer.cancel()
        self._next[delivery_id] = None
        host = urlsplit(url).netloc.rpartition("@")[2].lower()
        self._hosts.setdefault(host, _Host()).queue.append(delivery_id)
        self._fill()

    def is_in_progress(self, delivery_id: str) -> bool:
        """Return True if a delivery is being sent or queued; False while it waits for a retry."""
        return self._next.get(delivery_id, _NEVER) is None

    def _fill(self) -> None:
        """Start attempts up to the limits, one host after another."""
        passed_over = 0
        while len(self._tasks) < _MAX_CONCURRENT and passed_over < len(self._hosts):
            name, host = next(iter(self._hosts.items()))
            self._hosts.move_to_end(name)
            if not host.queue or host.sending >= _MAX_CONCURRENT_PER_HOST:
                passed_over += 1
                continue
            passed_over = 0
            self._start_attempt(name, host, host.queue.popleft())

    def _start_attempt(self, name: str, host: _Host, delivery_id: str) -> None:
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
            if row is None:  # deleted, or rolled back
                self._next.pop(delivery_id, None)
            elif not row["is_active"]:
                self._next.pop(delivery_id, None)
                deliveries.fail(self._database, delivery_id)
            else:
                await self._send(row)
        except RemoteReceiverError as refused:
            self._next.pop(delivery_id, None)
            deliveries.fail(self._database, delivery_id)
            logger.warning(
                "webhook delivery %s was not sent: %s is not this machine; to send it, start the emulator with "
                "--allow-remote-webhooks (in Python, allow_remote_webhooks=True)",
                *(delivery_id, refused),
            )
        except Exception:
            self._next.pop(delivery_id, None)
            logger.exception("webhook delivery %s failed; it is retried when the emulator starts again", delivery_id)

    async def _send(self, row: sqlite3.Row) -> None:
        """Make one attempt and record it; the receiver's response is recorded once it has been read."""
        at, started, headers = time.time(), time.monotonic(), _headers(row)
        sending = post_untrusted(row["url"], headers, row["body"], timeout=self._timeout, remote=self._remote)
        async with sending as answer:
            latency = round((time.monotonic() - started) * 1000)
            self._record(row, answer.status, latency)
        attempt = deliveries.DeliveryAttempt(
            row["id"], row["attempts"] + 1, at, headers[SIGNATURE_HEADER], answer.status, latency, bytes(answer.start)
        )
        deliveries.record_attempt(self._database, attempt)

    def _record(self, row: sqlite3.Row, answered: int | None, latency: int) -> None:
        retries: int = row["attempts"] - row["earlier_attempts"]
        if answered in _SUCCESS:
            status = deliveries.DELIVERED
        else:
            status = deliveries.RETRYING if retries < len(self._backoff) else deliveries.FAILED
        now = self._clock()
        deliveries.record(self._database, row, status=status, response_status=answered, latency=latency, now=now)
        self._next.pop(row["id"], None)
        if status == deliveries.RETRYING and self._loop is not None:
            timer = self._loop.call_later(self._backoff[retries], self.send, row["id"], row["url"])
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
    """A receiver's host and port: its queued deliveries, and the number of current attempts."""

    def __init__(self) -> None:
        self.queue: deque[str] = deque()
        self.sending = 0


@dataclass(frozen=True, slots=True)
class EventPublisher:
    """Creates a delivery of each event for every webhook that is subscribed to it, and queues it."""

    database: Database
    clock: Callable[[], float]
    """Returns Unix seconds."""
    queue: DeliveryQueue

    def publish(self, account: Account, event: str, data: JSONObject) -> None:
        """Send an event, one of `webhooks.EVENTS`, to an account's webhooks.

        Call it inside the transaction that records the change, so that both are committed or neither is. Nothing is
        sent before the handler next awaits, and the caller does not wait for receivers.
        """
        subscribed = webhooks.subscribed(self.database, account, event)
        if not subscribed:
            return
        event_id, now = new_id("evt"), self.clock()
        with self.database.transaction():
            for webhook in subscribed:
                self._deliver(webhook, event_id, event, data, now)

    def publish_test(self, webhook: sqlite3.Row) -> sqlite3.Row:
        """Send a test event to one webhook, whatever its subscriptions, and return the delivery."""
        event_id, now = new_id("evt"), self.clock()
        data: JSONObject = {"webhook_id": webhook["id"], "message": "This is a test event"}
        return self._deliver(webhook, event_id, TEST_EVENT, data, now)

    def _deliver(self, webhook: sqlite3.Row, event_id: str, event: str, data: JSONObject, now: float) -> sqlite3.Row:
        row = deliveries.create(self.database, webhook["id"], event_id=event_id, event_type=event, data=data, now=now)
        self.queue.send(row["id"], webhook["url"])
        return row
