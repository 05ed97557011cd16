"""A strict server on a real socket, and minimal clients that call it through an account.

`StrictServer` runs in a thread, or by itself: `python -m tests.limiters.wire '{"limit": 50}'` prints its port, and its
counts when its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from math import floor
from random import Random
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

REQUEST = b"GET /api/v1/prompts HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 %b\r\nDate: %b\r\nX-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: %d\r\n"
    b"Content-Length: 0\r\n\r\n"
)


_BUDGET = b"Date: DATE\r\nX-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: RESET\r\n"
LIES = {
    name: b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % head.rstrip()
    for name, head in {
        "nothing remains for a day": b"200 OK\r\n" + _BUDGET % 50,
        "the day is used up": b"429 Too Many Requests\r\nRetry-After: 86400\r\n" + _BUDGET % 10_000,
        "a firewall": b"429 Too Many Requests\r\nRetry-After: 3600",
        "nothing": b"429 Too Many Requests",
        "it comes twice": b"429 Too Many Requests\r\n" + _BUDGET % 50 + _BUDGET % 60,
    }.items()
}


@dataclass
class Rules:
    """The limits that the server enforces."""

    limit: int = 50
    window: int = 1
    skew: float = 0.0
    """Seconds its clock is ahead."""
    jitter: float = 0.0
    """Greatest delay in seconds of a request, and of its response."""
    others: int = 0
    """Requests that another client spends in each window, at random moments."""
    at_once: bool = False
    """True if the others spend theirs at the start of each window instead."""
    seed: int = 1
    lie: str = ""
    """How the first request is answered: a name in `LIES`, or empty for the truth."""


@dataclass
class Tally:
    """Counts of the server, by window."""

    served: Counter[int] = field(default_factory=Counter[int])
    taken: Counter[int] = field(default_factory=Counter[int])
    """By others."""
    refused: int = 0

    def use(self, limit: int) -> list[float]:
        """Return the share used of each full window's budget, except the first and the last."""
        first, last = min(self.served), max(self.served)
        return [(self.served[index] + self.taken[index]) / limit for index in range(first + 1, last)]


class StrictServer:
    """Answers 429 to every request beyond a fixed window by its clock."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tally = Tally()
        self.port = 0
        self._random = Random(rules.seed)
        self._theirs: dict[int, list[float]] = {}
        self._ready = Event()
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._serve, daemon=True)
        self._connections: set[asyncio.Transport] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    @property
    def use(self) -> list[float]:
        """Return the share used of each full window's budget, except the first and the last."""
        return self.tally.use(self.rules.limit)

    def _serve(self) -> None:
        loop = self.loop
        server = loop.run_until_complete(
            loop.create_server(lambda: _Connection(self, self._connections), "127.0.0.1", 0, backlog=2000)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        loop.run_forever()
        server.close()
        for connection in self._connections:
            connection.abort()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def delay(self) -> float:
        """Return the next travel time."""
        return self._random.uniform(0, self.rules.jitter)

    def answer(self) -> bytes:
        """Count a request and return the response."""
        rules, tally = self.rules, self.tally
        clock = time.time() + rules.skew
        if rules.lie:
            lie, rules.lie = LIES[rules.lie], ""
            return lie.replace(b"DATE", formatdate(clock, usegmt=True).encode()).replace(
                b"RESET", b"%d" % (clock + 86_400)
            )
        index = floor(clock / rules.window)
        if rules.others:
            self._spend(index, clock)
        if tally.served[index] + tally.taken[index] >= rules.limit:
            tally.refused += 1
            status = b"429 Too Many Requests"
        else:
            tally.served[index] += 1
            status = b"200 OK"
        return ANSWER % (
            status,
            formatdate(clock, usegmt=True).encode(),
            rules.limit,
            rules.limit - tally.served[index] - tally.taken[index],
            (index + 1) * rules.window,
        )

    def _spend(self, index: int, clock: float) -> None:
        """Let other clients spend their share up to now."""
        if index not in self._theirs:
            spread = 0.0 if self.rules.at_once else 1.0
            moments = [index + spread * self._random.random() for _ in range(self.rules.others)]
            self._theirs = {index: sorted(moment * self.rules.window for moment in moments)}
        theirs = self._theirs[index]
        while theirs and theirs[0] <= clock:
            theirs.pop(0)
            if self.tally.served[index] + self.tally.taken[index] < self.rules.limit:
                self.tally.taken[index] += 1


class _Connection(asyncio.Protocol):
    def __init__(self, server: StrictServer, connections: set[asyncio.Transport]) -> None:
        self._server = server
        self._connections = connections
        self._loop = server.loop
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            _, _, self._data = self._data.partition(b"\r\n\r\n")
            if self._server.rules.jitter:
                self._loop.call_later(self._server.delay(), self._count)
            else:
                self._transport.write(self._server.answer())

    def _count(self) -> None:
        self._loop.call_later(self._server.delay(), self._transport.write, self._server.answer())


def parse(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Split a response head into its status and raw header pairs."""
    first, *lines = head.split(b"\r\n")
    pairs = [line.split(b": ", 1) for line in lines if line]
    return int(first.split(b" ", 2)[1]), [(name, value) for name, value in pairs]


@dataclass
class Report:
    """Results of a client's calls."""

    ok: int = 0
    answered_429: int = 0
    failed: int = 0


class BlockingClient:
    """Calls from threads, each with its connection."""

    def __init__(self, account: Any, port: int, report: Report) -> None:
        self._account = account
        self._port = port
        self._report = report

    @contextlib.contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection

    def calls(self, count: int) -> None:
        """Make calls one after the other, each until it gets another status than 429."""
        with self._connection() as connection:
            for _ in range(count):
                ticket = None
                status = 429
                while status == 429:
                    ticket = self._account.acquire(ticket, max_wait=65.0)
                    connection.sendall(REQUEST)
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += connection.recv(4096)
                    status, headers = parse(head)
                    self._account.observe(ticket, status, headers)
                    self._report.answered_429 += status == 429
                self._report.ok += 1

    def in_threads(self, threads: int, calls: int) -> None:
        """Make calls in this many threads, a share in each."""
        workers = [Thread(target=self.calls, args=(calls // threads,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


class AsyncioClient:
    """Calls from asyncio tasks over reused connections."""

    def __init__(self, account: Any, port: int, report: Report) -> None:
        self._account = account
        self._port = port
        self._report = report
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def call(self) -> None:
        """Make a call until it gets another status than 429."""
        ticket = None
        status = 429
        while status == 429:
            ticket = await self._account.acquire_async(ticket, max_wait=65.0)
            streams = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            streams[1].write(REQUEST)
            status, headers = parse(await streams[0].readuntil(b"\r\n\r\n"))
            self._account.observe(ticket, status, headers)
            self._idle.append(streams)
            self._report.answered_429 += status == 429
        self._report.ok += 1

    async def in_tasks(self, count: int) -> None:
        """Make calls, each in its own task."""
        await asyncio.gather(*(self.call() for _ in range(count)))
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


class TrioClient:
    """Calls from trio tasks over reused connections."""

    def __init__(self, account: Any, port: int, report: Report) -> None:
        self._account = account
        self._port = port
        self._report = report
        self._idle: list[Any] = []

    async def call(self) -> None:
        """Make a call until it gets another status than 429."""
        import trio

        ticket = None
        status = 429
        while status == 429:
            ticket = await self._account.acquire_async(ticket, max_wait=65.0)
            stream = self._idle.pop() if self._idle else await trio.open_tcp_stream("127.0.0.1", self._port)
            await stream.send_all(REQUEST)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await stream.receive_some()
            status, headers = parse(head)
            self._account.observe(ticket, status, headers)
            self._idle.append(stream)
            self._report.answered_429 += status == 429
        self._report.ok += 1

    async def in_tasks(self, count: int) -> None:
        """Make calls, each in its own task."""
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(self.call)
        for stream in self._idle:
            await stream.aclose()


def main() -> None:
    """Serve until the input ends."""
    with StrictServer(Rules(**json.loads(sys.argv[1]))) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()
        tally = vars(server.tally)
    sys.stdout.write(json.dumps(tally) + "\n")


if __name__ == "__main__":
    main()
