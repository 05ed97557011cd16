"""The Workbench on an emulator with sample data, and a page of a headless Chromium that has opened its link."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("nicegui", reason="the extra workbench is not installed")

from enprompta import Enprompta
from enprompta.emulator import Emulator, EmulatorControl
from enprompta.workbench.server import Addresses, Server
from enprompta.workbench.session import Session, emulator_client

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


FIRST = {f"test_{name}.py" for name in ("control_pages", "prompts", "traces", "webhooks", "workflows")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run half of the browser's modules first: the others are at the end, so two of xdist's workers share them."""
    items.sort(key=lambda item: item.path.parent != HERE or item.path.name not in FIRST)


@dataclass
class Workbench:
    """A running Workbench and its emulator."""

    server: Server
    session: Session
    emulator: Emulator
    addresses: Addresses

    @property
    def origin(self) -> str:
        """Scheme, host and port of the Workbench."""
        return self.server.origin

    def control(self, use: Callable[[EmulatorControl], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine function with a control client of the emulator."""

        async def main() -> Any:
            async with EmulatorControl(self.emulator.origin, self.emulator.control_token) as one:
                return await use(one)

        with ThreadPoolExecutor(1) as pool:  # Playwright runs an event loop in the main thread
            return pool.submit(asyncio.run, main()).result()


def serve(server: Server) -> Callable[[], None]:
    """Serve on a thread; return a function that stops the server."""
    ready: Future[Addresses] = Future()

    def run() -> None:
        try:
            asyncio.run(server.serve(ready.set_result, handle_signals=False))
        except BaseException as error:  # the test that waits gets it
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.result(60)

    def stop() -> None:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()

    return stop


@pytest.fixture(scope="session")
def running() -> Iterator[Workbench]:
    """One Workbench for all tests: NiceGUI can be started once in a process."""
    with Emulator(rate_limits=False, webhook_backoff=(0.01, 0.01)) as emulator:
        control = EmulatorControl(emulator.origin, emulator.control_token)
        session = Session(emulator_client(emulator.origin), emulator.exchanges, control=control)
        server = Server(session, port=0)
        stop = serve(server)
        yield Workbench(server, session, emulator, server.addresses)
        stop()


@pytest.fixture
def workbench(running: Workbench) -> Workbench:
    """The Workbench, with an emulator that has sample data and an empty log."""

    async def prepare(one: EmulatorControl) -> None:
        await one.reset()
        await one.seed()

    running.control(prepare)
    running.emulator.exchanges.clear()
    return running


@pytest.fixture
def client(workbench: Workbench) -> Iterator[Enprompta]:
    """A program's client of the team account."""
    key, url = workbench.emulator.keys.team, workbench.emulator.url
    with Enprompta(api_key=key, base_url=url, max_retries=0) as one:
        yield one


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start the command line; return the process and what it prints until it waits."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
        environ = {**os.environ, "ENPROMPTA_CONFIG_DIR": str(tmp_path), **variables}
        command = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=tmp_path
        )
        processes.append(process)
        printed = ""
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if line.startswith("Press Ctrl-C"):
                break
        return process, printed

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; it ends with its module, because no later test could use `asyncio.run` before that."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    playwright.expect.set_options(timeout=30_000)  # for a loaded machine
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield one
        one.close()


@pytest.fixture
def page(workbench: Workbench, browser: Browser) -> Iterator[Page]:
    """A page that has opened the link; it must stay on this machine and complain about nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(30_000)  # for a loaded machine
    one = context.new_page()
    leaves: list[str] = []
    complaints: list[str] = []
    own = urlsplit(workbench.origin).netloc

    def check(url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != own:
            leaves.append(url)

    one.on("request", lambda request: check(request.url))
    one.on("websocket", lambda socket: check(socket.url))
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    one.goto(workbench.addresses.url)
    one.wait_for_url(f"{workbench.origin}/")
    yield one
    context.close()
    assert leaves == []
    assert complaints == []
