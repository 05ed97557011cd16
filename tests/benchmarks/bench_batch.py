"""How many rows a second `execute_many` reaches, beside calling `execute` by hand.

Run it as a program: `python tests/benchmarks/bench_batch.py [ROWS]`. The server is a separate process that answers
every request at once with the same bytes, so that the client is the bottleneck. Rounds of all cases are interleaved,
every second one in reverse order, so that a busy machine slows all of them; ratios are the median over the rounds. On
an idle machine the ratios of processor time and of rows a second agree; on a busy machine, use that of processor time.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enprompta import AsyncEnprompta, Enprompta

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

AT_ONCE = 64
ROUNDS = 12
BODY = json.dumps(
    {"success": True, "data": {"id": "exe_1", "promptId": "p", "status": "completed", "output": "x" * 200}}
    | {"tokens": 50, "cost": 0.001, "latency": 12, "provider": "echo", "model": "echo-1", "variables": {"n": "1"}}
).encode()
ANSWER = (
    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nx-request-id: req_1\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Echo(asyncio.Protocol):
    """Answers each request as soon as its body is there."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(ANSWER)


def serve(told: Connection) -> None:
    """Serve until the process is ended."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def rows(number: int) -> list[dict[str, str]]:
    """Make rows."""
    return [{"n": str(i)} for i in range(number)]


async def gather(client: AsyncEnprompta, number: int) -> None:
    """Call `execute` for each row, in a bare gather of as many tasks as may be at work."""
    left = iter(rows(number))

    async def work() -> None:
        for row in left:
            await client.prompts.execute("p", variables=row)

    await asyncio.gather(*[work() for _ in range(AT_ONCE)])


async def many(client: AsyncEnprompta, number: int, **options: Any) -> None:
    """Do the same by `execute_many`."""
    async for result in client.prompts.execute_many("p", rows(number), concurrency=AT_ONCE, **options):
        assert result.error is None


def threads(client: Enprompta, number: int) -> None:
    """Call `execute` for each row in a pool of threads."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda row: client.prompts.execute("p", variables=row), rows(number)):
            pass


def many_threads(client: Enprompta, number: int) -> None:
    """Do the same by `execute_many`."""
    for result in client.prompts.execute_many("p", rows(number), concurrency=AT_ONCE):
        assert result.error is None


def timed(do: Callable[[], object], number: int) -> tuple[float, float]:
    """Measure the rows a second, and the rows a second of this process's processor time."""
    started, worked = time.perf_counter(), time.process_time()
    do()
    return number / (time.perf_counter() - started), number / (time.process_time() - worked)


def measure(url: str, number: int) -> None:
    """Print a line a case."""

    def run(coroutine_of: Callable[[AsyncEnprompta], Any]) -> Callable[[], object]:
        async def main() -> None:
            async with AsyncEnprompta(api_key="ep_x", base_url=url, limiter=None) as client:
                await gather(client, AT_ONCE)  # the connections are there
                await coroutine_of(client)

        return lambda: asyncio.run(main())

    with (
        tempfile.TemporaryDirectory() as folder,
        Enprompta(api_key="ep_x", base_url=url, limiter=None) as client,
    ):
        files = (Path(folder) / f"{i}.db" for i in range(1_000))
        cases: dict[str, tuple[str, Callable[[], object]]] = {
            "gather": ("gather", run(lambda client: gather(client, number))),
            "many": ("gather", run(lambda client: many(client, number))),
            "ordered": ("gather", run(lambda client: many(client, number, ordered=True))),
            "checkpoint": ("gather", run(lambda client: many(client, number, checkpoint=next(files)))),
            "threads": ("threads", lambda: threads(client, number)),
            "many, threads": ("threads", lambda: many_threads(client, number)),
        }
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for turn in range(ROUNDS):
            for name in list(cases)[:: -1 if turn % 2 else 1]:
                rates[name].append(timed(cases[name][1], number))
    for name, (reference, _) in cases.items():
        pairs = list(zip(rates[name], rates[reference], strict=True))
        wall, work = (statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))
        rate = statistics.median(rate for rate, _ in rates[name])
        line = f"{name:<14} {rate:7.0f} rows/s  {wall:5.2f} of {reference} ({work:.2f} by processor time)\n"
        sys.stdout.write(line)


def main() -> None:
    """Start the server, measure, end it."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        measure(f"http://127.0.0.1:{here.recv()}/api/v1", number)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
