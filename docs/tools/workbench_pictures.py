"""Make the pictures of the Workbench from the real thing, on an emulator with sample data.

`python docs/tools/workbench_pictures.py` writes those of the documentation to `docs/assets/`. With a folder as the
argument, it writes every page there: light, dark, and as on a phone. It needs the packages of the extra `dev`, and
Chromium.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from playwright.sync_api import sync_playwright

from enprompta import Enprompta, NotFoundError
from enprompta.emulator import Emulator, EmulatorControl
from enprompta.workbench.server import Server
from enprompta.workbench.session import Session, emulator_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ASSETS = Path(__file__).resolve().parents[1] / "assets"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SETTLE = 700  # milliseconds until a page has its data, and nothing moves


class Look(NamedTuple):
    """How a picture is taken."""

    scheme: Any
    width: int
    height: int


LIGHT, DARK, PHONE = Look("light", 1280, 800), Look("dark", 1280, 800), Look("light", 390, 844)
DOCUMENTED = (
    ("home", LIGHT),
    ("prompt", DARK),
    ("workflow", LIGHT),
    ("requests", LIGHT),
    ("home", PHONE),
)


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Accept everything."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "handled"}')

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def running() -> Iterator[tuple[str, dict[str, str], Enprompta]]:
    """Serve a Workbench; returns its link, the path of each page, and a program's client."""
    with Emulator() as emulator, HTTPServer(("127.0.0.1", 8000), _Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        asyncio.run(_seed(emulator))
        with Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
            paths = _use(client)
            control = EmulatorControl(emulator.origin, emulator.control_token)
            server = Server(Session(emulator_client(emulator.origin), emulator.exchanges, control=control), port=0)
            ready = threading.Event()
            serving = server.serve(lambda _: ready.set(), handle_signals=False)
            thread = threading.Thread(target=asyncio.run, args=(serving,))
            thread.start()
            ready.wait()
            yield server.addresses.url, paths, client
            server.stop()
            thread.join()


async def _seed(emulator: Emulator) -> None:
    async with EmulatorControl(emulator.origin, emulator.control_token) as control:
        await control.seed()


def _use(client: Enprompta) -> dict[str, str]:
    """Do what a program does in a day, and name the pages."""
    client.webhooks.create(name="Costs", url="http://127.0.0.1:8000/", events=["prompt.executed", "workflow.completed"])
    translate = next(iter(client.prompts.list(search="Translate")))
    for language in ("French", "German", "Polish"):
        client.prompts.execute(translate.id, variables={"language": language, "text": "Good morning"})
    reply = next(iter(client.prompts.list(search="Reply")))
    step = {"prompt_id": translate.id, "provider": "openai", "model": "gpt-4o-mini"}
    text = "{{steps.draft.output}}"
    workflow = client.workflows.create(
        name="Reply in two languages",
        description="Drafts a reply, translates it twice, and joins the results.",
        steps=[
            {"id": "draft", "prompt_id": reply.id, "variables": {"ticket": "{{input.ticket}}"}},
            {**step, "id": "french", "variables": {"language": "French", "text": text}},
            {**step, "id": "german", "variables": {"language": "German", "text": text}},
            {
                **step,
                "id": "summary",
                "variables": {"language": "English", "text": "{{steps.french.output}} {{steps.german.output}}"},
            },
        ],
    )
    client.workflows.execute_and_wait(workflow.id, input={"ticket": "My parcel has not arrived."})
    with suppress(NotFoundError):
        client.prompts.get("pmt_deleted")
    team = next(iter(client.teams.list()))
    article = next(iter(client.prompts.list(search="Summarize")))
    names = ("requests", "prompts", "templates", "workflows", "executions", "webhooks", "teams")
    return {
        "home": "/",
        **{name: f"/{name}" for name in (*names, "keys", "faults", "explorer")},
        "prompt": f"/prompts/{article.id}",
        "workflow": f"/workflows/{workflow.id}",
        "team": f"/teams/{team.id}",
    }


def picture(browser: Browser, url: str, path: str, look: Look, *, to: Path) -> None:
    """Take one picture."""
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height}, color_scheme=look.scheme, locale="en-US"
    )
    page = context.new_page()
    page.goto(url)
    page.locator("main h1").first.wait_for()
    page.goto(url.partition("/?")[0] + path)
    page.locator("main h1").first.wait_for()
    page.wait_for_timeout(SETTLE)
    act(page)
    page.screenshot(path=to)
    context.close()


def act(page: Page) -> None:
    """Fill in what makes a page worth a look."""
    if page.get_by_label("article", exact=True).count():
        page.get_by_label("article", exact=True).fill("Tea is the most popular drink in the world after water.")
        page.wait_for_timeout(SETTLE)
    elif page.locator(".graph").count():
        page.locator("table .button-quiet").first.click()
        page.wait_for_timeout(SETTLE)


def main() -> int:
    """Take the pictures."""
    if CHROMIUM is None:
        print("This needs Chromium: apt install chromium")
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with running() as (url, paths, _), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        if folder is None:
            for name, look in DOCUMENTED:
                suffix = "-phone" if look is PHONE else ""
                picture(browser, url, paths[name], look, to=ASSETS / f"workbench-{name}{suffix}.png")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            for name, path in paths.items():
                for kind, look in (("light", LIGHT), ("dark", DARK), ("phone", PHONE)):
                    picture(browser, url, path, look, to=folder / f"{name}-{kind}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
