"""Keys, Faults and the API explorer, in a real browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta import AuthenticationError, Enprompta
from enprompta.workbench.operations import operations

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")


def test_keys_are_generated_used_and_revoked(page: Page, workbench: Workbench) -> None:
    """A generated key is shown once and works; after it is revoked it gets a 401."""
    page.goto(f"{workbench.origin}/keys")
    page.get_by_role("button", name="Generate a key").click()
    dialog = page.get_by_role("dialog").last
    dialog.get_by_role("textbox", name="Name").fill("<b>Nightly</b>")
    dialog.get_by_role("button", name="Generate").click()
    shown = page.get_by_role("region", name="API key", exact=True)
    shown.wait_for()
    key = shown.inner_text().strip()
    page.keyboard.press("Escape")
    with Enprompta(api_key=key, base_url=workbench.emulator.url, max_retries=0) as program:
        program.prompts.list()
        row = page.get_by_role("row").filter(has_text="<b>Nightly</b>")
        page.wait_for_function("document.querySelectorAll('.dialog').length === 0")
        assert key not in page.content()
        row.get_by_role("button", name="Rename").click()
        page.get_by_role("textbox", name="Name").fill("Weekly")
        page.get_by_role("dialog").get_by_role("button", name="Rename").click()
        row = page.get_by_role("row").filter(has_text="Weekly")
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        row.get_by_text("revoked").wait_for()
        with pytest.raises(AuthenticationError):
            program.prompts.list()


def test_oauth_clients_and_plans_are_changed(page: Page, workbench: Workbench) -> None:
    """A client is made with chosen scopes, changed and deleted; an account moves to another plan."""
    page.goto(f"{workbench.origin}/keys")
    page.get_by_role("button", name="New client").click()
    dialog = page.get_by_role("dialog").last
    dialog.get_by_label("prompts:read").check()
    dialog.get_by_role("button", name="Create").click()
    secret = page.get_by_role("region", name="Client secret", exact=True)
    secret.wait_for()
    credentials = {"client_secret": secret.inner_text().strip()}
    client_id = page.get_by_role("region", name="Client id", exact=True).inner_text().strip()
    page.keyboard.press("Escape")
    url = workbench.emulator.url
    with Enprompta(client_id=client_id, **credentials, base_url=url) as program:
        program.prompts.list()
    expect(page.get_by_role("row").filter(has_text="ep_client_pro")).to_contain_text("all")
    row = page.get_by_role("row").filter(has_text=client_id)
    row.get_by_text("prompts:read").wait_for()
    row.get_by_role("button", name="Scopes").click()
    page.get_by_role("dialog").get_by_label("teams:read").check()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    row.get_by_text("prompts:read, teams:read").wait_for()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    row.wait_for(state="detached")
    page.get_by_label("Plan of Pro User").select_option("enterprise")
    page.get_by_text("Pro User is on the enterprise plan now").wait_for()
    with Enprompta(api_key=workbench.emulator.keys.pro, base_url=url) as pro:
        assert pro.usage.get().plan == "enterprise"


def test_faults_are_added_and_removed(page: Page, workbench: Workbench) -> None:
    """Each kind of fault is added from the form, affects requests, and is removed."""
    page.goto(f"{workbench.origin}/faults")
    headers = {"Authorization": f"Bearer {workbench.emulator.keys.team}"}
    for kind in ("status", "latency", "drip", "before", "after"):
        page.get_by_label("Effect").select_option(kind)
        page.get_by_label("Path").fill("/teams")
        if kind in {"latency", "drip"}:
            page.get_by_label({"latency": "Delay", "drip": "Pause"}[kind], exact=True).fill("0.01")
        expect(page.get_by_label("Retry-After")).to_have_count(1 if kind == "status" else 0)
        page.get_by_role("button", name="Add fault").click()
        page.get_by_role("row").filter(has_text="/teams").first.wait_for()
        try:
            status = httpx.get(f"{workbench.emulator.url}/teams", headers=headers).status_code
        except httpx.TransportError:
            status = 0
        assert status == {"status": 503, "before": 0, "after": 0}.get(kind, 200)
        page.get_by_role("row").filter(has_text="1 of 1").first.wait_for()
        page.get_by_role("button", name="Remove all").click()
        page.get_by_text("No faults").wait_for()
    page.get_by_label("Effect").select_option("status")
    for wrong in ("many", "inf"):
        page.get_by_label("Status", exact=True).fill(wrong)
        page.get_by_role("button", name="Add fault").click()
        page.get_by_text(f"Status: '{wrong}' is not a number").wait_for()
    page.get_by_label("Status", exact=True).fill("429")
    page.get_by_label("Retry-After").fill("1")
    page.get_by_label("Method").select_option("POST")
    page.get_by_label("Times").fill("")
    page.get_by_role("button", name="Add fault").click()
    row = page.get_by_role("row").filter(has_text="status 429")
    row.get_by_role("button", name="Remove").click()
    page.get_by_text("No faults").wait_for()


def test_clock_and_data_are_changed(page: Page, workbench: Workbench, client: Enprompta, tmp_path: Path) -> None:
    """The clock moves and stops; data is exported, reset, imported and seeded."""
    emulator = workbench.emulator
    page.goto(f"{workbench.origin}/faults")
    page.get_by_label("Move by").select_option("86400")
    page.get_by_role("button", name="Move forward").click()
    page.get_by_text("86,400 s").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_label("Minute window").fill("30")
    page.get_by_role("button", name="Set windows").click()
    page.locator(".fact").filter(has_text="Minute window").get_by_text("30 s", exact=True).wait_for()
    page.get_by_label("Minute window").fill("60")
    page.get_by_role("button", name="Set windows").click()
    expect(page.locator(".fact").filter(has_text="Minute window")).to_contain_text("60 s")
    page.get_by_role("button", name="Back to real time").click()
    page.locator(".fact").filter(has_text="Ahead of real time").get_by_text("0 s", exact=True).wait_for()
    assert abs(emulator.clock.offset) < 1

    titles = {prompt.title for prompt in client.prompts.list()}
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / "export.json"
    download.value.save_as(path)
    assert json.loads(path.read_text())["format"] == "enprompta-emulator-1"
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset").click()
    page.get_by_text("The emulator is empty").wait_for()
    assert client.prompts.list().data == []
    page.get_by_role("button", name="Import").click()
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Data imported").wait_for()
    assert {prompt.title for prompt in client.prompts.list()} == titles
    page.get_by_role("button", name="Import").click()
    page.locator("input[type=file]").set_input_files({"name": "a.json", "mimeType": "application/json", "buffer": b"{"})
    page.get_by_text("The file is not JSON").wait_for()
    page.get_by_role("button", name="Import").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "a.json", "mimeType": "application/json", "buffer": b"[]"}
    )
    page.get_by_role("alert").filter(has_text="object").wait_for()
    page.get_by_role("button", name="Add sample data").click()
    page.get_by_text("Sample data added").wait_for()
    assert client.prompts.list().pagination.total_count == 2 * len(titles)


def test_operations_are_searched(page: Page, workbench: Workbench) -> None:
    """The list of operations shows the chosen one, and narrows as a person types."""
    page.goto(f"{workbench.origin}/explorer?operation=oauth.token")
    menu = page.get_by_role("navigation", name="Operations")
    current = menu.locator("[aria-current]")
    expect(current).to_be_in_viewport()
    expect(page.get_by_role("heading", name="API explorer")).to_be_in_viewport()
    page.keyboard.press("/")
    page.keyboard.type("rotate")
    expect(menu.get_by_role("link")).to_have_count(1)
    menu.get_by_label("Search").fill("nothing like it")
    expect(menu).to_contain_text("No operation matches")
    menu.get_by_label("Search").fill("rotate")
    menu.get_by_role("link").click()
    page.wait_for_url(f"{workbench.origin}/explorer?operation=webhooks.rotate_secret")


def test_every_prefilled_operation_succeeds(page: Page, workbench: Workbench) -> None:
    """Each operation of the document is sent as it is filled in, and the response is a success."""
    failed: dict[str, str] = {}
    for operation in operations():
        page.goto(f"{workbench.origin}/explorer?operation={operation.id}")
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator(".row-line .badge").wait_for()
        status = page.locator(".row-line .badge").inner_text()
        if status not in {"200", "201", "202", "204"}:
            failed[operation.id] = f"{status} {page.get_by_role('region', name='Response body').inner_text()}"
    assert failed == {}
