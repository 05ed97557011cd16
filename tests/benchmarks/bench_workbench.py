"""Measure the Workbench: its start, the list of 10,000 requests in a browser, and the memory of its log.

`python -m tests.benchmarks.bench_workbench`; it needs the extra `workbench`, Playwright and Chromium. The filter's time
includes the 0.1 s for which the page waits after a key.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from enprompta import AsyncEnprompta
from enprompta.exchanges import ExchangeLog
from enprompta.workbench.server import Server
from enprompta.workbench.session import Session
from tests.benchmarks.bench_memory import resident
from tests.benchmarks.measure import Figure
from tests.workbench.conftest import CHROMIUM, QUIET, serve
from tests.workbench.pauses import filtering, many, scrolling

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS = 5
FILTERS = (
    ("Status", "4xx", "^1,000 of"),
    ("Status", "", "^10,000 "),
    ("Text", "pmt_9990", "^1 of"),
    ("Text", "", "^10,000 "),
    ("Path", "pmt_99", "^111 of"),
    ("Path", "", "^10,000 "),
    ("Text", "nothing like it", "^0 of"),
)


def starting() -> Iterator[Figure]:
    """Time from the command to the link, with an emulator and its sample data; the first start is cold."""
    command = [str(Path(sys.executable).with_name("enprompta")), "workbench", "--no-open", "--emulator", "--port", "0"]
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ENPROMPTA_CONFIG_DIR": folder, "PYTHONPYCACHEPREFIX": f"{folder}/cache"}
        for _ in range(STARTS):
            began = time.perf_counter()
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert any(re.search("open it", line) for line in process.stdout)
                times.append(time.perf_counter() - began)
                process.terminate()
    yield Figure("start without any compiled module, to the link", times[0], "s", budget=8.0)
    yield Figure("start, to the link", statistics.median(times[1:]), "s", budget=4.0)


def listing() -> Iterator[Figure]:
    """Scroll and filter 10,000 requests, and add another 100,000."""
    log = ExchangeLog()
    client = AsyncEnprompta(api_key="ep_live_x1234567", base_url="https://localhost:9/api/v1")
    server = Server(Session(client, log), port=0)
    stop = serve(server)
    for one in many():
        log.add(one)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.addresses.url)
        page.wait_for_url(f"{server.origin}/")
        page.goto(f"{server.origin}/requests")
        page.get_by_text(re.compile("^10,000 ")).wait_for()
        page.wait_for_timeout(1000)
        scrolled = scrolling(page)
        filtered = [filtering(page, *one) for one in FILTERS]
        yield Figure("10,000 requests: until a place is shown, at most", max(one.ms for one in scrolled), "ms", 200)
        yield Figure("  longest frame while scrolling", max(one.longest_frame for one in scrolled), "ms", 200)
        yield Figure("  until a filter is applied, at most", max(one.ms for one in filtered), "ms", 200)
        yield Figure("  longest frame while filtering", max(one.longest_frame for one in filtered), "ms", 200)
        before = resident()
        for one in many(100_000):
            log.add(one)
        yield Figure("another 100,000 requests leave", (resident() - before) / 2**20, "MB", budget=8.0)
        browser.close()
    stop()


def main() -> None:
    """Print every figure."""
    for figures in (starting, listing):
        for figure in figures():
            figure.show()


if __name__ == "__main__":
    main()
