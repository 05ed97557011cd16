"""Programs of other processes and languages, seen in the browser: `--url` and `--relay`."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.workbench.service import KEY, live_service, node_posts
from tests.workbench.visits import found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = [
    pytest.mark.step("workbench"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]


@contextmanager
def opened(browser: Browser, printed: str) -> Iterator[Page]:
    """Open the link that a Workbench has printed, and its page of requests."""
    link = found(r"open it +(\S+)", printed)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(link)
    origin = link.partition("/?")[0]
    page.wait_for_url(f"{origin}/")
    page.goto(f"{origin}/requests")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    yield page
    context.close()


def test_the_emulator_of_another_process_is_followed(browser: Browser, start: Any) -> None:
    """--url shows what Node sends to the emulator, without a reload; Clear empties the log of both."""
    _, printed = start("emulator", "--port", "0")
    base_url = found(r"ENPROMPTA_BASE_URL=(\S+)", printed)
    token = found(r"ENPROMPTA_CONTROL_TOKEN=(\S+)", printed)
    _, printed = start("workbench", "--no-open", "--port", "0", "--url", base_url, "--token", token)
    with opened(browser, printed) as page:
        assert node_posts(base_url, "ep_test_team") == "201 true\n"
        row = page.locator(".requests-row")
        expect(row).to_have_count(1)
        for text in ("POST", "/api/v1/prompts", "201", "node"):
            expect(row).to_contain_text(text)
        row.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator(".fact").filter(has_text=re.compile("^Seen by"))).to_contain_text("the emulator")
        expect(dialog.get_by_role("region", name="Request body")).to_contain_text('"title": "From node"')
        for closed in dialog.locator("summary").all():
            closed.click()
        assert "Bearer ep_" not in page.content()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()


def test_the_relay_shows_a_program_of_another_language(browser: Browser, start: Any, tmp_path: Path) -> None:
    """--relay forwards Node's request over HTTPS, and the page shows request and response, but not the key."""
    certificate = tmp_path / "cert.pem"
    with live_service(certificate) as (base_url, seen):
        _, printed = start(
            *("workbench", "--no-open", "--port", "0", "--relay"),
            ENPROMPTA_API_KEY=KEY,
            ENPROMPTA_BASE_URL=base_url,
            SSL_CERT_FILE=str(certificate),
        )
        relay = found(r"ENPROMPTA_BASE_URL=(\S+)", printed)
        with opened(browser, printed) as page:
            expect(page.locator(".mode")).to_contain_text("Live")
            expect(page.get_by_role("region", name="Code")).to_contain_text(f"export ENPROMPTA_BASE_URL={relay}")
            assert node_posts(relay) == "200 true\n"
            sent = [headers["authorization"] for method, _, headers, _ in seen if method == "POST"]
            assert sent == [f"Bearer {KEY}"]
            row = page.locator(".requests-row")
            expect(row).to_have_count(1)
            expect(row).to_contain_text("node")
            row.click()
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("region", name="Request body")).to_contain_text('"title": "From node"')
            expect(dialog.get_by_role("region", name="Response body")).to_contain_text('"status": "healthy"')
            expect(dialog.locator(".fact").filter(has_text="Request id")).to_contain_text("req_tls")
            expect(dialog.locator(".fact").filter(has_text=re.compile("^Seen by"))).to_contain_text("the relay")
            for closed in dialog.locator("summary").all():
                closed.click()
            assert KEY not in page.content()
