"""Prompts and templates: browse, edit, preview, run on models side by side, versions, history."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.workbench.visits import section, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from enprompta import Enprompta
    from tests.workbench.conftest import Workbench

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
pytestmark = pytest.mark.step("workbench")

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def test_prompts_are_found_and_created(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The list follows the search and the filters, appears live when a program creates one, and loads more pages."""
    visit(page, workbench.origin, "/prompts")
    table = page.get_by_role("region", name="Prompts")
    expect(table.locator("tbody tr")).to_have_count(3)
    client.prompts.create(title="From a program", content="Tea")
    expect(table.get_by_text("From a program")).to_be_visible()

    page.keyboard.press("/")
    page.keyboard.type("translate")
    expect(table.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search").fill("no such prompt")
    expect(page.get_by_role("heading", name="No prompt matches")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Category").fill("support")
    expect(table.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Category").fill("")
    page.get_by_label("Visibility").select_option("PUBLIC")
    expect(page.get_by_role("heading", name="No prompt matches")).to_be_visible()
    page.get_by_label("Visibility").select_option("")

    for number in range(60):
        client.prompts.create(title=f"Many {number}", content="Tea")
    expect(page.get_by_text("50 of 64 prompts")).to_be_visible()
    page.get_by_role("button", name="Load more").click()
    expect(table.locator("tbody tr")).to_have_count(64)

    page.get_by_role("button", name="New prompt").click()
    dialog = page.get_by_role("dialog", name="New prompt")
    dialog.get_by_role("button", name="Create prompt").click()
    expect(page.get_by_role("alert")).to_contain_text("title")  # the SDK's own text
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    dialog.get_by_label("Title").fill(HOSTILE)
    dialog.get_by_label("Content").fill(f"{HOSTILE} {{{{name}}}}")
    dialog.get_by_role("button", name="Create prompt").click()
    page.wait_for_url(re.compile("/prompts/pmt_"))
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.get_by_role("region", name="Preview")).to_contain_text("<script>")
    assert "owned" not in page.title().replace(HOSTILE, "")


def test_an_account_without_prompts_sees_what_to_do(page: Page, workbench: Workbench) -> None:
    """Another account is chosen in the header; where it has nothing, the page says what to do."""
    visit(page, workbench.origin, "/prompts")
    page.get_by_label("Account").select_option("pro")
    expect(page.get_by_role("heading", name="No prompts yet")).to_be_visible()
    for path, title in (
        ("/workflows", "No workflows yet"),
        ("/teams", "No teams yet"),
        ("/webhooks", "No webhooks yet"),
        ("/executions", "No executions in this period"),
    ):
        visit(page, workbench.origin, path)
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    visit(page, workbench.origin, "/workflows")
    page.get_by_role("button", name="New workflow").first.click()
    expect(page.get_by_label("Steps, as JSON")).to_have_value(re.compile("PROMPT_ID"))
    page.keyboard.press("Escape")
    page.get_by_label("Account").select_option("team")
    page.get_by_role("region", name="Workflows").get_by_role("link").first.click()
    expect(page.locator(".graph")).to_be_visible()
    page.get_by_label("Account").select_option("free")  # which does not have this workflow
    page.wait_for_url(f"{workbench.origin}/workflows")
    expect(page.get_by_role("alert")).to_contain_text("PermissionDeniedError")
    page.get_by_label("Account").select_option("team")
    expect(page.get_by_role("region", name="Workflows")).to_be_visible()


def test_a_prompt_is_edited_with_a_live_preview(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The preview follows every key and names what is missing; saving makes a version; versions are compared."""
    prompt = next(iter(client.prompts.list(search="Summarize")))
    visit(page, workbench.origin, f"/prompts/{prompt.id}")
    preview = page.get_by_role("region", name="Preview")
    expect(page.get_by_text("article: Required variable is missing")).to_be_visible()
    page.get_by_label("article", exact=True).fill(HOSTILE)
    expect(preview).to_contain_text(HOSTILE)
    expect(page.get_by_text("article: Required variable is missing")).to_have_count(0)
    page.get_by_label("sentences", exact=True).fill("many")
    expect(page.get_by_text("sentences: Must be a number, not 'many'")).to_be_visible()

    page.get_by_label("Content").fill("In {{sentences}} sentences: {{article}} for {{reader}}")
    expect(page.get_by_text("reader: Required variable is missing")).to_be_visible()
    expect(page.get_by_label("article", exact=True)).to_have_value(HOSTILE)  # kept while the form changes
    page.get_by_text("Variable declarations").click()
    reader = page.get_by_role("group", name="reader")
    reader.get_by_label("Type").select_option("select")
    reader.get_by_label("Options").fill("child, expert")
    reader.get_by_label("Default").fill("child")
    page.get_by_role("group", name="sentences").get_by_label("Default").fill("2.5")
    expect(page.get_by_label("sentences", exact=True)).to_have_attribute("placeholder", "Default: 2.5")
    expect(page.get_by_label("reader", exact=True)).to_have_value("")
    expect(preview).to_contain_text("for child")
    page.get_by_label("reader", exact=True).select_option("expert")
    expect(preview).to_contain_text("for expert")
    expect(page.get_by_text("Unsaved changes")).to_be_visible()

    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as version 3")).to_be_visible()
    saved = client.prompts.get(prompt.id)
    declared = {one.name: one for one in saved.variables}
    assert (declared["reader"].type, declared["reader"].options) == ("select", ["child", "expert"])
    assert declared["sentences"].default == 2.5
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing has changed.")).to_be_visible()
    page.get_by_label("Tags").fill("one, two")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("^Saved$"))).to_be_visible()

    versions = section(page, "Versions")
    difference = versions.get_by_role("region", name="Difference")
    expect(difference.locator(".diff-add")).to_have_text(["+ In {{sentences}} sentences: {{article}} for {{reader}}"])
    versions.get_by_label("With").select_option("2")
    expect(difference).to_contain_text("No difference")
    versions.get_by_label("Compare").select_option("1")
    expect(difference.locator(".diff-add").last).to_have_text("+ Keep names and numbers.")
    versions.get_by_label("Points at").select_option("3")
    versions.get_by_role("button", name="Move label").click()
    expect(page.get_by_text("production now points at version 3")).to_be_visible()
    live = client.prompts.get_live(saved.slug or "", ttl=0)
    assert live.version is not None
    assert str(live.version.number) == "3"


def test_a_prompt_runs_on_models_side_by_side(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """Missing values are named before anything is sent; each model gets a card; the runs are in the history."""
    prompt = client.prompts.create(
        title="Tea",
        content="Tea with {{what}}: {{hot}}",
        variables=[{"name": "what"}, {"name": "hot", "type": "boolean"}],
    )
    visit(page, workbench.origin, f"/prompts/{prompt.id}")
    expect(page.get_by_role("heading", name="Not executed yet")).to_be_visible()
    run = page.get_by_role("button", name="Run", exact=True)
    run.click()
    expect(page.get_by_role("alert")).to_contain_text("Missing variables: 'what', 'hot'")
    page.get_by_role("button", name="Close").click()

    page.get_by_label("what").fill(HOSTILE)
    page.get_by_label("hot").select_option("true")
    page.get_by_role("button", name="Add model").click()
    page.get_by_role("button", name="Add model").click()
    remove = page.get_by_role("button", name="Remove this model")
    expect(remove).to_have_count(3)
    remove.last.click()
    expect(remove).to_have_count(2)
    run.click()
    for name in ("openai / gpt-4o", "anthropic / claude-sonnet-4"):
        expect(section(page, name).get_by_role("region", name="Output")).to_have_text(f"Tea with {HOSTILE}: true")
    history = section(page, "History")
    expect(history.locator("tbody tr")).to_have_count(2)

    remove.last.click()
    expect(remove).to_have_count(1)
    remove.click()  # the last one stays
    page.get_by_label("Provider").fill("")
    page.get_by_label("Model", exact=True).fill("")
    page.get_by_label("Temperature").fill("warm")
    run.click()
    expect(page.get_by_role("alert").filter(has_text="Temperature: 'warm' is not a number")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Temperature").fill("7")
    run.click()
    expect(section(page, "Default model").get_by_role("alert")).to_contain_text("temperature")
    for label, value in (("Temperature", "0.5"), ("Max. tokens", "50"), ("Title", "Tea, saved by running")):
        page.get_by_label(label).fill(value)
    run.click()
    expect(section(page, "Default model").get_by_role("region", name="Output")).to_be_visible()
    assert client.prompts.get(prompt.id).title == "Tea, saved by running"

    expect(history.locator("tbody tr")).to_have_count(3)
    history.locator("tbody button").first.click()
    dialog = page.get_by_role("dialog", name="Execution")
    expect(dialog.get_by_role("region", name="Variables")).to_contain_text("<script>")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    delete = page.get_by_role("button", name="Delete", exact=True)
    delete.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    delete.click()
    page.get_by_role("button", name="Delete prompt").click()
    page.wait_for_url(f"{workbench.origin}/prompts")


def test_a_template_is_previewed_and_forked(page: Page, workbench: Workbench, client: Enprompta) -> None:
    """The gallery is searched, a template is previewed with values, and a fork becomes a prompt with its own title."""
    visit(page, workbench.origin, "/templates")
    page.get_by_label("Search").fill("nothing like this")
    expect(page.get_by_role("heading", name="No template matches")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Category").fill("support")
    expect(page.locator("article")).to_have_count(2)
    page.get_by_role("button", name="Preview Support reply").click()
    dialog = page.get_by_role("dialog", name="Support reply")
    dialog.get_by_label("company").fill("Acme & <b>Sons</b>")
    expect(dialog.get_by_role("region", name="Preview")).to_contain_text("Acme & <b>Sons</b>")
    dialog.get_by_label("Title of your prompt").fill("My reply")
    dialog.get_by_role("button", name="Fork").click()
    page.wait_for_url(re.compile("/prompts/pmt_"))
    expect(page.get_by_role("heading", level=1)).to_have_text("My reply")
    assert [one.title for one in client.prompts.list(search="My reply")] == ["My reply"]
