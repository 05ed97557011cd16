"""The four framework examples, started as programs, with deliveries of the emulator.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000 deliveries to each.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.emulator.webhooks import delivery_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.step("blocks")]  # many processes, or thousands of calls

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "webhooks"
DELIVERIES = 1_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 100
AT_ONCE = 50
UVICORN = ["uvicorn", "--port", "0", "--no-access-log"]
WAITRESS = ["waitress", "--listen", "127.0.0.1:0"]
SERVERS = {"fastapi_app": UVICORN, "starlette_app": UVICORN, "flask_app": WAITRESS, "django_app": WAITRESS}


class Application:
    """An example in a separate process, and its output."""

    def __init__(self, name: str, secret: str, folder: Path) -> None:
        command = [sys.executable, "-W", "error", "-m", *SERVERS[name], f"{name}:app"]
        environment = {**os.environ, "ENPROMPTA_WEBHOOK_SECRET": secret, "PYTHONPATH": str(EXAMPLES)}
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.printed: list[str] = []
        self.logged: list[str] = []
        found = None
        while found is None:
            line = self.process.stderr.readline()
            assert line, "it did not start"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
        self.url = f"{found[0]}/webhooks/enprompta"
        self._readers = [
            threading.Thread(target=lambda: self.printed.extend(self.process.stdout or ())),
            threading.Thread(target=lambda: self.logged.extend(self.process.stderr or ())),
        ]
        for reader in self._readers:
            reader.start()

    def handled(self) -> list[tuple[str, str]]:
        """Return the printed events with their executions; threads may interleave their lines."""
        return re.findall(r"(evt_\w+) (exe_\w+) ", "".join(self.printed))

    def stop(self) -> None:
        """Stop it and wait."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30)
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that delivers this many events to one host at once."""
    monkeypatch.setattr(delivery_queue, "_MAX_CONCURRENT_PER_HOST", AT_ONCE)
    with Emulator(rate_limits=False, webhook_timeout=60) as running:
        yield running


def connections(url: str) -> int:
    """Count the open connections to a local server."""
    port = f":{httpx.URL(url).port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[3] == "01" for row in rows)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="connections are counted with Linux's /proc")
@pytest.mark.parametrize("name", SERVERS)
def test_no_delivery_is_lost_or_refused(name: str, emulator: Emulator, tmp_path: Path) -> None:
    """Of many events, fifty at once, each arrives at the first attempt and is handled once; a forgery is refused."""
    with Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        webhook = client.webhooks.create(name="Example", url="http://127.0.0.1:9", events=["prompt.executed"])
        application = Application(name, str(webhook.secret), tmp_path)
        try:
            client.webhooks.update(webhook.id, url=application.url)
            prompt = client.prompts.create(title="Tea", content="Tea")
            application.process.send_signal(signal.SIGSTOP)  # so that deliveries pile up
            with ThreadPoolExecutor(8) as pool:
                executions = list(pool.map(lambda _: client.prompts.execute(prompt.id), range(DELIVERIES)))
            until(lambda: connections(application.url) == AT_ONCE)
            application.process.send_signal(signal.SIGCONT)
            until(lambda: len(application.handled()) >= DELIVERIES)
            until(lambda: connections(application.url) == 0)
            deliveries = list(client.webhooks.list_deliveries(webhook.id, limit=100))
            forged = httpx.post(application.url, json={"event": "prompt.executed"}, trust_env=False)
        finally:
            application.stop()
    assert forged.status_code == 401
    assert {(each.status, each.attempts, each.response_status) for each in deliveries} == {("DELIVERED", 1, 200)}
    assert sorted(event for event, _ in application.handled()) == sorted(each.event_id for each in deliveries)
    assert sorted(execution for _, execution in application.handled()) == sorted(each.id for each in executions)
    problems = [line for line in application.logged if re.search("error|exception|traceback", line, re.IGNORECASE)]
    assert problems == []
