"""The Workbench works in a real browser, with nothing fetched from elsewhere."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

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


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A fresh emulator."""
    with Emulator() as one:
        yield one


def root(emulator: Emulator) -> str:
    """The address of the emulator itself, above the API."""
    return emulator.url.removesuffix("/api/v1")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page of a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(tmp_path, executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page()
        browser.close()


@pytest.mark.slow
def test_a_call_is_tried_in_the_browser(emulator: Emulator, page: Page) -> None:
    """The page loads from this emulator alone; its key is filled in, another can be, and GET /prompts is answered."""
    key = emulator.keys.enterprise
    made = httpx.post(
        f"{emulator.url}/prompts",
        headers={"Authorization": f"Bearer {key}"},
        json={"title": "Seen in the browser", "content": "Hello"},
    )
    assert made.status_code == 201
    hosts: set[str] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{root(emulator)}/workbench")
    listing = page.locator(".opblock", has=page.locator("[data-path='/api/v1/prompts']")).first
    listing.wait_for()

    page.locator("button.authorize").first.click()
    dialog = page.locator(".dialog-ux")
    bearer = dialog.locator(".auth-container").filter(has_text="apiKey").first
    bearer.get_by_role("button", name="Remove authorization").click()  # the team account's key was filled in
    bearer.locator("input").fill(key)
    bearer.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()

    listing.locator(".opblock-summary-control").click()
    listing.locator("button.execute").click()
    answer = listing.locator(".live-responses-table")
    answer.wait_for()
    assert "200" in answer.locator("tbody td.response-col_status").first.inner_text()
    assert "Seen in the browser" in answer.inner_text()
    assert complaints == []
    assert hosts == {urlsplit(emulator.url).netloc}


def test_document_names_this_emulator_alone(emulator: Emulator) -> None:
    """The document of the page sends every call to the emulator that serves it."""
    document = httpx.get(f"{root(emulator)}/workbench/openapi.json").json()
    assert [server["url"] for server in document["servers"]] == [root(emulator)]
    assert document["openapi"].startswith("3.1")


def test_nothing_is_filled_in_that_need_not_be(emulator: Emulator) -> None:
    """A parameter that may be left out brings no example: an idempotency key that is used twice would be a 409."""
    document = httpx.get(f"{root(emulator)}/workbench/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    everywhere = [document["components"]["parameters"].values(), *[it.get("parameters", []) for it in operations]]
    optional = [it for group in everywhere for it in group if "name" in it and not it.get("required")]
    assert "Idempotency-Key" in [parameter["name"] for parameter in optional]
    assert [parameter["name"] for parameter in optional if "example" in parameter] == []


def test_pages_cost_no_request(emulator: Emulator) -> None:
    """Loading the Workbench uses up no request budget, and asks for no key."""
    answer = httpx.get(f"{root(emulator)}/workbench")
    assert answer.status_code == 200
    assert "x-ratelimit-limit" not in answer.headers


@pytest.mark.parametrize("path", ["", "/openapi.json", "/assets/workbench.js", "/assets/none.js", "/none"])
def test_pages_cannot_be_framed_or_scripted(emulator: Emulator, path: str) -> None:
    """Everything under the page refuses frames, foreign and inline scripts, and guesses about its type."""
    headers = httpx.get(f"{root(emulator)}/workbench{path}").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_has_nothing_inline(emulator: Emulator) -> None:
    """The page's scripts and styles are files of this emulator: its policy refuses all others."""
    page = httpx.get(f"{root(emulator)}/workbench").text
    assert re.findall(r"<script(?! src=\"/workbench/assets/[\w.-]+\"></script>)|<style| on\w+=| style=", page) == []


def test_unknown_asset_is_a_404(emulator: Emulator) -> None:
    """Only the files of the page are served, whatever the path says."""
    for name in ("nothing.js", "..%2F__init__.py"):
        assert httpx.get(f"{root(emulator)}/workbench/assets/{name}").status_code == 404
