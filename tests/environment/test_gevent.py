"""gevent may patch Python late, after a client was created, or only a part of it."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone

import pytest

from enprompta._common.clock import real_time
from tests.faults.server import FaultServer, Peer, answer

pytest.importorskip("gevent")
pytestmark = pytest.mark.step("clocks")

PROGRAM = """
import faulthandler, sys
from enprompta import Enprompta

url, when, patch, credential = sys.argv[1:]
faulthandler.dump_traceback_later(20, exit=True)
credentials = {"client_id": "id", "client_secret": "secret"} if credential == "secret" else {"api_key": "ep_gevent"}
client = Enprompta(**credentials, base_url=url) if when == "client" else None
from gevent import monkey
eval("monkey." + patch)
import gevent

client = client or Enprompta(**credentials, base_url=url)
ticks = []

def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)

gevent.spawn(tick)
jobs = [gevent.spawn(client.prompts.get, "p1") for _ in range(6)]
gevent.joinall(jobs, timeout=15)
assert all(job.successful() for job in jobs), [job.exception for job in jobs]
assert len(ticks) > 20, len(ticks)
"""


@pytest.mark.parametrize(
    ("when", "patch", "credential"),
    [
        ("import", "patch_all()", "key"),
        ("client", "patch_all()", "secret"),
        ("import", "patch_all(thread=False)", "secret"),
        ("client", "patch_all(thread=False)", "key"),
        ("import", "patch_socket()", "key"),
        ("client", "patch_socket()", "secret"),
    ],
)
def test_paced_calls_let_other_greenlets_run(when: str, patch: str, credential: str, server: FaultServer) -> None:
    """Greenlets that wait for the budget or a token wake each other, and the others run meanwhile."""
    budget = {"left": 2, "reset": int(real_time()) + 1}

    def limited(peer: Peer) -> None:
        if peer.read().path.endswith("/token"):
            server.stopping.wait(0.2)
            peer.send(answer(200, b'{"access_token": "t", "token_type": "bearer", "expires_in": 3600}'))
            return
        now = real_time()
        if now >= budget["reset"]:
            budget.update(left=2, reset=int(now) + 1)
        status, budget["left"] = (200, budget["left"] - 1) if budget["left"] else (429, 0)
        date = datetime.fromtimestamp(now, timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = [("X-RateLimit-Limit", "2"), ("X-RateLimit-Remaining", str(budget["left"])), ("Date", date)]
        body = b'{"data": {"id": "p1", "title": "T", "content": "C"}}'
        peer.send(answer(status, body, [*headers, ("X-RateLimit-Reset", str(budget["reset"]))]))

    server.play(then=limited)
    command = [sys.executable, "-c", PROGRAM, server.base_url, when, patch, credential]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(server.received) >= 6


BUSY = """
import faulthandler, sys
from gevent import monkey
monkey.patch_all(thread=False)
import gevent
from enprompta import Enprompta
from enprompta._http.senders import connection_pool

faulthandler.dump_traceback_later(20, exit=True)
connection_pool.MAX_CONNECTIONS = 2
client = Enprompta(api_key="ep_gevent", base_url=sys.argv[1], limiter=None)
jobs = [gevent.spawn(client.prompts.get, "p1") for _ in range(6)]
gevent.joinall(jobs, timeout=15)
assert all(job.successful() for job in jobs), [job.exception for job in jobs]
"""


def test_waiting_for_a_free_connection(server: FaultServer) -> None:
    """The greenlets that use the connections run meanwhile."""

    def slow(peer: Peer) -> None:
        peer.read()
        server.stopping.wait(0.1)
        peer.send(answer(200, b'{"data": {"id": "p1", "title": "T", "content": "C"}}'))

    server.play(then=slow)
    done = subprocess.run(
        [sys.executable, "-c", BUSY, server.base_url], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert server.connections <= 2
