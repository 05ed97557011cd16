"""gevent may patch Python after the package was imported or a client created."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone

import pytest

from enprompta._common.clock import real_time
from tests.faults.server import FaultServer, Peer, answer

pytest.importorskip("gevent")

PROGRAM = """
import faulthandler, sys
from enprompta import Enprompta

url, when = sys.argv[1:]
faulthandler.dump_traceback_later(20, exit=True)
client = Enprompta(api_key="ep_gevent", base_url=url) if when == "client" else None
from gevent import monkey
monkey.patch_all()
import gevent

client = client or Enprompta(api_key="ep_gevent", base_url=url)
ticks = []

def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)

gevent.spawn(tick)
client.prompts.get("p1")
jobs = [gevent.spawn(client.prompts.get, "p1") for _ in range(5)]
gevent.joinall(jobs, timeout=15)
assert all(job.successful() for job in jobs), [job.exception for job in jobs]
assert len(ticks) > 20, len(ticks)
"""


@pytest.mark.parametrize("when", ["import", "client"])
def test_paced_calls_let_other_greenlets_run(when: str, server: FaultServer) -> None:
    """Greenlets that wait for the budget wake each other, and the others run meanwhile."""
    budget = {"left": 2, "reset": int(real_time()) + 1}

    def limited(peer: Peer) -> None:
        peer.read()
        now = real_time()
        if now >= budget["reset"]:
            budget.update(left=2, reset=int(now) + 1)
        status, budget["left"] = (200, budget["left"] - 1) if budget["left"] else (429, 0)
        date = datetime.fromtimestamp(now, timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = [("X-RateLimit-Limit", "2"), ("X-RateLimit-Remaining", str(budget["left"])), ("Date", date)]
        body = b'{"data": {"id": "p1", "title": "T", "content": "C"}}'
        peer.send(answer(status, body, [*headers, ("X-RateLimit-Reset", str(budget["reset"]))]))

    server.play(then=limited)
    command = [sys.executable, "-c", PROGRAM, server.base_url, when]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(server.received) >= 6
