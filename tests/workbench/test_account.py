"""Home, executions and usage, and teams."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from enprompta import APIStatusError
from enprompta.workbench.pages.executions import to_csv
from tests.workbench.visits import section, visit

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")


def test_home_shows_limits_usage_errors_and_first_steps(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The gauges and charts show the account, an error of a program appears live, and the examples are complete."""
    visit(page, workbench.origin, "/")
    expect(page.locator(".stat").first).to_contain_text("Team")
    expect(page.get_by_role("img", name=re.compile("Executions by day: .* 6"))).to_be_visible()
    expect(page.get_by_text("No request has failed.")).to_be_visible()
    with pytest.raises(APIStatusError):
        client.prompts.create(title="", content="")
    errors = section(page, "Last errors")
    expect(errors.locator("tbody tr")).to_contain_text("400")
    errors.locator("tbody a").click()
    page.wait_for_url(re.compile(r"/requests\?id="))

    visit(page, workbench.origin, "/")
    for language, word in (
        ("Async Python", "AsyncEnprompta"),
        ("curl", "Authorization: Bearer"),
        ("Python", "with Enp"),
    ):
        page.get_by_role("button", name=language, exact=True).click()
        expect(page.get_by_role("region", name=f"{language} example")).to_contain_text(word)
    example = page.get_by_role("region", name="Python example").inner_text()
    scope: dict[str, object] = {}
    exec(compile(example, "example", "exec"), scope)  # what a reader copies must run
    assert scope["execution"].output == "Hello Ada"  # type: ignore[attr-defined]


@pytest.mark.parametrize("account", ["pro", "free"])
def test_home_of_other_plans(page: Page, workbench: Workbench, account: str) -> None:
    """A plan with credits shows those that are left; a plan without API access shows the API's refusal."""
    page.get_by_label("Account").select_option(account)
    if account == "pro":
        expect(page.get_by_role("meter", name="Credits left")).to_have_attribute("aria-valuenow", "100")
    else:
        expect(page.get_by_role("alert")).to_contain_text("PermissionDeniedError")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_contain_text("403")
    page.get_by_label("Account").select_option("team")
    expect(page.locator(".stat").first).to_contain_text("Team")


def test_executions_are_charted_and_exported(
    page: Page, workbench: Workbench, client: Enprompta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Totals by day, prompt and model, a table that filters, and CSV files of both."""
    visit(page, workbench.origin, "/executions")
    totals = section(page, "Totals")
    expect(totals.get_by_role("img", name=re.compile("Executions by day"))).to_be_visible()
    page.get_by_role("button", name="Cost", exact=True).click()
    expect(totals.get_by_role("img", name=re.compile(r"Cost by day: .*\$"))).to_be_visible()
    page.get_by_role("button", name="By prompt").click()
    expect(totals.locator(".bars-row")).to_have_count(3)
    page.get_by_role("button", name="By model").click()
    expect(totals.locator(".bars-row").first).to_contain_text("$")
    page.get_by_label("Period").select_option("7")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the totals as CSV").click()
    download.value.save_as(tmp_path / "totals.csv")
    rows = list(csv.DictReader((tmp_path / "totals.csv").read_text().splitlines()))
    assert {row["key"] for row in rows} == {"gpt-4o-mini", "claude-3-5-haiku-latest", "gemini-2.0-flash"}

    table = section(page, "Executions")
    expect(table.locator("tbody tr").first).to_be_visible()
    page.get_by_label("Provider").fill("google")
    expect(table.locator("tbody tr").filter(has_text="openai")).to_have_count(0)
    page.get_by_label("Provider").fill("nobody")
    expect(page.get_by_role("heading", name="No executions", exact=True)).to_be_visible()
    page.get_by_label("Provider").fill("")
    expect(table.locator("tbody tr").filter(has_text="openai").first).to_be_visible()
    monkeypatch.setattr("enprompta.workbench.pages.executions._MAX_EXPORTED", 20)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the executions as CSV").click()
    download.value.save_as(tmp_path / "executions.csv")
    assert len(list(csv.DictReader((tmp_path / "executions.csv").read_text().splitlines()))) == 20
    monkeypatch.undo()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the executions as CSV").click()
    download.value.save_as(tmp_path / "executions.csv")
    assert len(list(csv.DictReader((tmp_path / "executions.csv").read_text().splitlines()))) > 20


def test_a_spreadsheet_runs_no_formula() -> None:
    """Text that begins like a formula gets an apostrophe; numbers stay numbers."""
    assert to_csv(["a", "b"], [('=HYPERLINK("x")', -1.5)]) == 'a,b\r\n"\'=HYPERLINK(""x"")",-1.5\r\n'


def test_a_team_is_made_and_its_members_managed(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """A team is created, a person invited, given another role and removed; the team is renamed and deleted."""
    visit(page, workbench.origin, "/teams")
    page.get_by_role("button", name="New team").click()
    page.get_by_label("Name").fill("<i>Docs</i>")
    page.get_by_role("button", name="Save team").click()
    page.wait_for_url(re.compile("/teams/tem_"))
    expect(page.get_by_role("heading", level=1)).to_have_text("<i>Docs</i>")
    members = section(page, "Members")
    expect(members.locator("tbody tr")).to_contain_text("Owner")

    page.get_by_role("button", name="Invite").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email").fill("not an address")
    dialog.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("alert")).to_contain_text("email")
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    dialog.get_by_label("Email").fill("ada@example.com")
    dialog.get_by_label("Role").select_option("VIEWER")
    dialog.get_by_role("button", name="Invite").click()
    expect(members.locator("tbody tr")).to_have_count(2)
    role = page.get_by_label("Role of ada@example.com")
    expect(role).to_have_value("VIEWER")
    role.select_option("ADMIN")
    expect(page.get_by_text("ada@example.com is now admin")).to_be_visible()
    workbench.emulator.faults.add("/teams/*/members/*", status=403, times=1)
    role.select_option("MEMBER")
    expect(page.get_by_role("alert").filter(has_text="403")).to_be_visible()
    expect(role).to_have_value("ADMIN")
    page.get_by_role("button", name="Remove ada@example.com").click()
    page.get_by_role("button", name="Remove member").click()
    expect(members.locator("tbody tr")).to_have_count(1)

    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Name").fill("Docs")
    page.get_by_role("button", name="Save team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Docs")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete team").click()
    page.wait_for_url(f"{workbench.origin}/teams")
    expect(page.get_by_role("region", name="Teams")).not_to_contain_text("Docs")
