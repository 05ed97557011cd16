"""Webhooks: subscriptions, and the inbox of deliveries to a real receiver."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.workbench.visits import section, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")

EVENTS = ["prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"]
ANSWER = b"<script>document.title='owned'</script>"


class Receiver(HTTPServer):
    """A receiver that keeps what it gets, and answers with HTML."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with Receiver() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_webhooks(client: Enprompta) -> None:
    """Delete the sample webhook, so that a test sees only its own."""
    for one in client.webhooks.list():
        client.webhooks.delete(one.id)


def test_deliveries_appear_with_attempts_and_answers(
    page: Page, workbench: Workbench, client: Enprompta, receiver: Receiver
) -> None:
    """A webhook is made, its secret shown once; deliveries appear live, are resent, and show the receiver's answer."""
    visit(page, workbench.origin, "/webhooks")
    page.get_by_role("button", name="New webhook").first.click()
    dialog = page.get_by_role("dialog", name="New webhook")
    dialog.get_by_label("Name").fill("Costs")
    dialog.get_by_label("URL").fill(receiver.url)
    dialog.get_by_label("workflow.failed").uncheck()
    dialog.get_by_role("button", name="Save webhook").click()
    created = page.get_by_role("dialog", name="The webhook was created")
    secret = created.get_by_role("region", name="Secret").inner_text()
    assert secret.startswith("whsec_")
    created.get_by_role("button", name="Copy secret").click()
    expect(page.get_by_text("Copied")).to_have_css("color", "rgb(26, 31, 43)")  # on white
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.keyboard.press("Escape")
    expect(created).to_have_count(0)

    prompt = next(iter(client.prompts.list(search="Translate")))
    client.prompts.execute(prompt.id, variables={"language": "French", "text": "Hello"})
    inbox = section(page, "Deliveries")
    row = inbox.locator("tbody tr").filter(has_text="prompt.executed")
    expect(row).to_contain_text("DELIVERED")
    row.get_by_role("button").click()
    opened = page.get_by_role("dialog", name="prompt.executed")
    expect(opened.get_by_text("signature valid")).to_be_visible()
    expect(opened.get_by_role("region", name=re.compile("Response of the receiver"))).to_contain_text("<script>")
    expect(opened.get_by_role("region", name="Payload")).to_contain_text('"event": "prompt.executed"')
    receiver.status = 500
    opened.get_by_role("button", name="Resend").click()
    expect(row).to_contain_text("FAILED")
    assert receiver.events[0] == receiver.events[1]
    row.get_by_role("button").click()
    expect(opened.get_by_text("status 500").first).to_be_visible()
    page.keyboard.press("Escape")
    inbox.get_by_role("button", name="Delivered").click()
    expect(inbox.get_by_role("heading", name="No deliveries")).to_be_visible()


def test_events_are_triggered_and_webhooks_changed(
    page: Page, workbench: Workbench, client: Enprompta, receiver: Receiver
) -> None:
    """All five events are triggered; a webhook is tested, paused, edited, its secret rotated, and deleted."""
    webhook = client.webhooks.create(name="<b>CI</b>", url=receiver.url, events=EVENTS)
    visit(page, workbench.origin, "/webhooks")
    for event in EVENTS:
        page.get_by_role("button", name="Trigger event").click()
        page.get_by_role("dialog").get_by_label("Event").select_option(event)
        page.get_by_role("button", name="Trigger", exact=True).click()
        expect(section(page, "Deliveries").locator("tbody tr").filter(has_text=event)).to_contain_text("DELIVERED")
    assert sorted(one["event"] for one in receiver.events) == sorted(EVENTS)
    page.get_by_role("button", name="Trigger event").click()
    page.get_by_label("Data, as JSON").fill("{")
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="not valid JSON")).to_be_visible()
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Send a test event to <b>CI</b>").click()
    expect(section(page, "Deliveries").locator("tbody tr")).to_have_count(6)
    page.get_by_role("button", name="Pause <b>CI</b>").click()
    expect(section(page, "Subscriptions")).to_contain_text("paused")
    page.get_by_role("button", name="Resume <b>CI</b>").click()
    expect(section(page, "Subscriptions")).to_contain_text("active")
    page.get_by_role("button", name="Edit <b>CI</b>").click()
    page.get_by_label("Name").fill("CI")
    page.get_by_role("button", name="Save webhook").click()
    page.get_by_role("button", name="Rotate the secret of CI").click()
    page.get_by_role("button", name="Rotate secret").click()
    rotated = page.get_by_role("dialog", name="The secret was replaced")
    assert rotated.get_by_role("region", name="Secret").inner_text() != webhook.secret
    rotated.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Delete CI").click()
    page.get_by_role("button", name="Delete webhook").click()
    expect(page.get_by_role("heading", name="No webhooks yet")).to_be_visible()
