"""Clients in other processes: after a fork during calls, and passed to workers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import AsyncEnprompta, Enprompta
from enprompta._http.drivers import _after_fork
from tests.faults.server import PROMPT, FaultServer, Peer, answer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# The parent forks repeatedly while its threads make calls and hold locks. Each child makes calls with the parent's
# clients, a view and new clients, then exits without cleanup.
FORKS = """
import asyncio, os, signal, sys, threading
from enprompta import AsyncEnprompta, Enprompta

url, = sys.argv[1:]
client = Enprompta(api_key="ep_test_fork", base_url=url)
asynchronous = AsyncEnprompta(api_key="ep_test_fork", base_url=url)
view = client.with_options(timeout=20)
client.prompts.get("p1")
asyncio.run(asynchronous.prompts.get("p1"))
stop = threading.Event()

def work():
    while not stop.is_set():
        client.prompts.get("p1")

async def work_async():
    while not stop.is_set():
        await asyncio.gather(*[asynchronous.prompts.get("p1") for _ in range(3)])

threads = [threading.Thread(target=work) for _ in range(4)]
threads.append(threading.Thread(target=lambda: asyncio.run(work_async())))
for thread in threads:
    thread.start()

def child():
    signal.alarm(20)
    with Enprompta(api_key="ep_test_fork", base_url=url) as own:
        for one in (client, view, own):
            assert one.prompts.get("p1").id == "p1"
    for one in (asynchronous, AsyncEnprompta(api_key="ep_test_other", base_url=url)):
        assert asyncio.run(one.prompts.get("p1")).id == "p1"

for _ in range(12):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert client.prompts.get("p1").id == "p1"
stop.set()
for thread in threads:
    thread.join()
client.close()
asyncio.run(asynchronous.aclose())
print("done")
"""

# The thread that fetches the token is not in the child, which must not wait for it.
TOKEN = """
import os, signal, sys, threading, time
from enprompta import Enprompta

url, = sys.argv[1:]
client = Enprompta(client_id="me", client_secret="hunter2hunter2", base_url=url, limiter=None)
thread = threading.Thread(target=client.prompts.get, args=("p1",))
thread.start()
time.sleep(0.5)
assert client._auth._pending
pid = os.fork()
if pid == 0:
    code = 1
    try:
        signal.alarm(20)
        assert client.prompts.get("p1").id == "p1"
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(pid, 0)
assert status == 0, status
thread.join()
client.close()
print("done")
"""

# A child that ends like any program, with everything torn down, has nothing to complain of.
ENDS = """
import asyncio, os, sys
from enprompta import AsyncEnprompta, Enprompta

url, = sys.argv[1:]
asynchronous = AsyncEnprompta(api_key="ep_test_fork", base_url=url)
asyncio.run(asynchronous.prompts.get("p1"))
with Enprompta(api_key="ep_test_fork", base_url=url) as client:
    client.prompts.get("p1")
    pid = os.fork()
    client.prompts.get("p1")
    if pid:
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
        client.prompts.get("p1")
asyncio.run(asynchronous.prompts.get("p1"))
print("done")
"""

OWN = """
import os, sys
import httpx
from enprompta import Enprompta

url, = sys.argv[1:]
with httpx.Client() as http, Enprompta(api_key="ep_test_fork", base_url=url, http_client=http) as client:
    client.prompts.get("p1")
    pid = os.fork()
    client.prompts.get("p1")
    if pid:
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
        client.prompts.get("p1")
print("done")
"""

WORKERS = """
import asyncio, concurrent.futures, multiprocessing, sys

def fetch(client, prompt_id):
    with client:
        return client.prompts.get(prompt_id).id, client.rate_limit.limit

def fetch_async(client, prompt_id):
    async def run():
        async with client:
            return (await client.prompts.get(prompt_id)).id, client.rate_limit.limit
    return asyncio.run(run())

if __name__ == "__main__":
    from enprompta import AsyncEnprompta, Enprompta
    method, url = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
        with Enprompta(api_key="ep_test_workers", base_url=url) as client:
            client.prompts.get("p1")
            futures = [workers.submit(fetch, client, "p1") for _ in range(3)]
            view = client.with_options(timeout=9)
            futures.append(workers.submit(fetch, view, "p1"))
            other = AsyncEnprompta(client_id="me", client_secret="hunter2hunter2", base_url=url)
            futures += [workers.submit(fetch_async, other, "p1") for _ in range(2)]
            print([future.result() for future in futures] == [("p1", 60)] * 6)
"""


def plenty(peer: Peer) -> None:
    """Answer with a large budget, and issue tokens."""
    if peer.read().path.endswith("/oauth/token"):
        peer.send(answer(200, b'{"access_token": "hunter3hunter3", "expires_in": 3600}'))
    else:
        reset = str(int(time.time()) + 60)
        limits = [("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "59"), ("X-RateLimit-Reset", reset)]
        peer.send(answer(200, PROMPT, [*limits, ("Date", formatdate(usegmt=True))]))


def test_what_a_child_does_first(server: FaultServer) -> None:
    """Used clients get new connections and drop the old ones unclosed; unused and closed ones stay."""
    options: Any = {"base_url": server.base_url, "limiter": None}
    with Enprompta(api_key="ep_test_fork", **options) as client, Enprompta(api_key="ep_test_fork") as closed:
        client.prompts.get("p1")
        closed.close()
        asynchronous = AsyncEnprompta(client_id="me", client_secret="hunter2hunter2", **options)
        server.play(then=plenty)
        before: tuple[Any, ...] = ()

        def senders() -> tuple[Any, ...]:
            loop = asyncio.get_running_loop()
            return client._transport._sender, closed._transport._sender, asynchronous._transport._sender_on(loop)

        async def use() -> None:
            await asynchronous.prompts.get("p1")
            nonlocal before
            before = senders()
            _after_fork()
            after = senders()
            assert [one is other for one, other in zip(before, after, strict=True)] == [False, True, False]
            await asynchronous.prompts.get("p1")
            await asynchronous.aclose()

        asyncio.run(use())
        client.prompts.get("p1")
        before[0].close()
    server.wait_for_connections(0)


def test_forks_during_calls(server: FaultServer, program: Callable[..., str]) -> None:
    """Children can use clients and a budget that threads were using; the parent continues."""
    assert program(FORKS, server.base_url) == "done\n"


def test_a_fork_while_a_token_is_fetched(server: FaultServer, program: Callable[..., str]) -> None:
    """The child fetches its own token; the parent's fetch completes too."""
    child_is_served = threading.Event()

    def token(peer: Peer) -> None:
        peer.read()
        assert child_is_served.wait(20)
        peer.send(answer(200, json.dumps({"access_token": "for-the-parent"}).encode()))

    def for_child(peer: Peer) -> None:
        plenty(peer)
        child_is_served.set()

    server.play(token, plenty, for_child, then=plenty)
    assert program(TOKEN, server.base_url) == "done\n"
    sent = [one.headers.get("authorization") for one in server.received]
    assert sent == [None, None, "Bearer hunter3hunter3", "Bearer for-the-parent"]


def test_a_child_that_ends_in_good_order(server: FaultServer, program: Callable[..., str]) -> None:
    """Leaving the parent's client blocks in the child warns about nothing and does not affect the parent."""
    assert program(ENDS, server.base_url) == "done\n" * 2
    server.wait_for_connections(0)


def test_the_callers_http_client_after_a_fork(server: FaultServer, program: Callable[..., str]) -> None:
    """The client is not created again, but opens its own connections in the child."""
    assert program(OWN, server.base_url) == "done\n" * 2
    assert server.connections == 2


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_are_given_a_client(server: FaultServer, program: Callable[..., str], method: str) -> None:
    """A client, a view and an async client with OAuth2 can be passed to worker processes of any start method."""
    if method == "fork" and sys.version_info >= (3, 12):
        pytest.skip("a pool of workers has threads, and this Python advises against forking beside them")
    server.play(then=plenty)
    assert program(WORKERS, method, server.base_url) == "True\n"
    assert {one.headers.get("authorization") for one in server.received} == {
        None, "Bearer ep_test_workers", "Bearer hunter3hunter3",
    }  # fmt: skip
