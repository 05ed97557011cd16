"""Make the pictures of the Workbench from the real thing, on an emulator with sample data.

`python docs/tools/workbench_pictures.py` writes those of the documentation to `docs/assets/`. With a folder as the
argument, it writes every page there: light, dark, and as on a phone. It needs the packages of the extra `dev`, and
Chromium.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import struct
import sys
import threading
import zlib
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
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


_COLORS, _BUCKET = 256, 12
_DECODE = """async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const bytes = context.getImageData(0, 0, image.width, image.height).data;
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return [image.width, image.height, btoa(text)];
}"""
LIGHT, DARK, PHONE = Look("light", 1280, 800), Look("dark", 1280, 800), Look("light", 390, 844)
DOCUMENTED = (
    ("home", LIGHT),
    ("prompt", DARK),
    ("workflow", LIGHT),
    ("requests", LIGHT),
    ("trace", LIGHT),
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
    """Do what a program does, besides the sample data, and name the pages."""
    client.webhooks.create(name="Release notes", url="http://127.0.0.1:8000/", events=["prompt.executed"])
    prompts = {one.title: one for one in client.prompts.list()}
    translate, reply = prompts["Translate"], prompts["Reply to a support ticket"]
    for language in ("French", "German", "Polish"):
        client.prompts.execute(translate.id, variables={"language": language, "text": "Good morning"})
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
    names = ("requests", "prompts", "templates", "workflows", "executions", "traces", "webhooks", "teams")
    return {
        "home": "/",
        **{name: f"/{name}" for name in (*names, "keys", "faults", "explorer")},
        "prompt": f"/prompts/{prompts['Summarize an article'].id}",
        "workflow": f"/workflows/{workflow.id}",
        "trace": f"/traces/{next(iter(client.traces.list())).id}",
        "team": f"/teams/{next(iter(client.teams.list())).id}",
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
    to.write_bytes(small_png(page, page.screenshot()))
    context.close()


def small_png(page: Page, png: bytes) -> bytes:
    """Reduce a picture to the 256 colors that it needs most, which divides its size by two."""
    width, height, data = page.evaluate(_DECODE, base64.b64encode(png).decode("ascii"))
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, 4)[:, :3]
    colors, places, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    buckets = np.unique(colors[order] // _BUCKET, axis=0, return_index=True)[1]  # the most frequent of each
    kept = colors[order[np.sort(buckets)[:_COLORS]]]
    nearest = [int(((kept.astype(int) - color) ** 2).sum(axis=1).argmin()) for color in colors.astype(int)]
    indices = np.array(nearest, np.uint8)[places].reshape(height, width)
    lines = np.insert(indices, 0, 0, axis=1).tobytes()  # each line begins with its filter, which is none
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", kept.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


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
