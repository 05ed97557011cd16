"""Every page: accessible in light and dark, usable on a phone and by keyboard, and on a live account too."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import AsyncEnprompta
from enprompta.workbench.session import Session, begin
from tests.workbench.visits import all_paths, section, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
FINDINGS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`)"""


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: tests/workbench/install-tools")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(page: Page, workbench: Workbench, client: Enprompta, scheme: Any) -> None:
    """axe-core finds nothing serious on any page, in light and dark, nor in a dialog and a notice."""
    client.webhooks.create(name="CI", url="http://127.0.0.1:9/", events=["prompt.executed"])
    prompt = next(iter(client.prompts.list(search="Translate")))
    client.prompts.execute(prompt.id, variables={"language": "French", "text": "Hello"})
    page.emulate_media(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for path in all_paths(client):
        visit(page, workbench.origin, path)
        page.wait_for_function("window.axe === undefined")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found[path] = page.evaluate(FINDINGS)
    visit(page, workbench.origin, "/prompts")
    page.get_by_role("button", name="New prompt").click()
    page.get_by_role("dialog").get_by_role("button", name="Create prompt").click()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("title: Must not be empty")
    expect(notice).to_have_css("background-color", {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 31, 40)"}[scheme])
    page.wait_for_timeout(600)  # both fade in, and their colors with them
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found["dialog and notice"] = page.evaluate(FINDINGS)
    assert {path: one for path, one in found.items() if one} == {}


def test_nothing_is_wider_than_a_phone(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """At 390 pixels no page scrolls sideways, whatever its content, and the menu opens and closes."""
    client.prompts.create(title="W" * 180, content="x" * 400, tags=["y" * 40])
    client.webhooks.create(name="z" * 90, url=f"http://127.0.0.1:9/{'u' * 300}", events=["prompt.executed"])
    page.set_viewport_size({"width": 390, "height": 844})
    for path in all_paths(client):
        visit(page, workbench.origin, path)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    menu = page.get_by_role("button", name="Menu")
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(menu).to_have_attribute("aria-expanded", "false")
    menu.click()
    page.get_by_role("link", name="Teams", exact=True).click()
    page.wait_for_url(f"{workbench.origin}/teams")


def test_the_keyboard_is_enough(page: Page, workbench: Workbench) -> None:
    """The first stop skips to the content, focus is visible, keys find the search, and Escape closes a dialog."""
    visit(page, workbench.origin, "/prompts")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    create = page.get_by_role("button", name="New prompt")
    expect(create).to_be_focused()
    assert create.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New prompt")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("a/b")  # a shortcut is text where text is typed
    expect(page.get_by_label("Search")).to_have_value("a/b")


def test_the_theme_is_kept(page: Page, workbench: Workbench) -> None:
    """The theme follows the system until the user chooses one, which later visits keep."""
    root = page.locator("html")
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).to_have_attribute("data-theme", "light")
    visit(page, workbench.origin, "/teams")
    expect(root).to_have_attribute("data-theme", "light")


def test_an_error_of_a_page_is_shown_in_its_own_words(page: Page, workbench: Workbench) -> None:
    """An unknown id shows the SDK's error in place of the content; a failed refresh can be tried again."""
    visit(page, workbench.origin, "/prompts/pmt_unknown")
    expect(page.get_by_role("alert")).to_contain_text("NotFoundError")
    with page.expect_navigation():
        page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("404")
    workbench.emulator.faults.add("/prompts", status=418, times=1)
    visit(page, workbench.origin, "/prompts")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Prompts")).to_be_visible()


@pytest.fixture
def live(workbench: Workbench) -> Iterator[Session]:
    """A session as on the live service: without a control interface."""
    client = AsyncEnprompta(api_key=workbench.emulator.keys.team, base_url=workbench.emulator.url)
    session = Session(client, workbench.emulator.exchanges)
    end = begin(session)
    yield session
    end()
    with ThreadPoolExecutor(1) as pool:  # Playwright runs an event loop in the main thread
        pool.submit(asyncio.run, session.aclose()).result()


@pytest.mark.usefixtures("live")
def test_pages_of_a_live_account(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """Without an emulator, pages show what the API returns, and say what needs an emulator."""
    webhook = client.webhooks.create(name="CI", url="http://127.0.0.1:9/", events=["prompt.executed"])
    prompt = next(iter(client.prompts.list(search="Summarize")))
    client.prompts.execute(prompt.id, variables={"article": "Tea"})
    for path in all_paths(client):
        visit(page, workbench.origin, path)
        expect(page.locator(".mode")).to_contain_text("Live")
        expect(page.get_by_role("alert")).to_have_count(0)
    visit(page, workbench.origin, "/")
    expect(page.get_by_text("Set ENPROMPTA_API_KEY to a key")).to_be_visible()
    page.get_by_role("button", name="curl").click()
    expect(page.get_by_role("region", name="curl example")).to_contain_text("$ENPROMPTA_API_KEY")
    visit(page, workbench.origin, "/keys")
    expect(page.get_by_role("heading", name="This page needs the emulator")).to_be_visible()

    visit(page, workbench.origin, f"/prompts/{prompt.id}")
    versions = section(page, "Versions")
    expect(versions.get_by_role("region", name="Difference").locator(".diff-add").last).to_contain_text("Keep names")
    workbench.emulator.set_label(prompt.id, "production", 2)
    visit(page, workbench.origin, f"/prompts/{prompt.id}")
    expect(versions.get_by_text("production")).to_be_visible()
    expect(versions.get_by_role("region", name="Difference")).to_have_count(0)
    workbench.emulator.faults.add("/api/sdk/prompts/*", status=404, times=1)
    visit(page, workbench.origin, f"/prompts/{prompt.id}")
    expect(versions.get_by_text("v2")).to_be_visible()

    visit(page, workbench.origin, "/webhooks")
    inbox = section(page, "Deliveries")
    inbox.locator("tbody button").first.click()
    expect(page.get_by_role("dialog").get_by_text("the last response had status none")).to_be_visible()
    assert next(iter(client.webhooks.list_deliveries(webhook.id))).event_type == "prompt.executed"
