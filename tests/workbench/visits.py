"""Open pages of the Workbench, and know them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from enprompta import Enprompta

PATHS = (
    *("/", "/requests", "/prompts", "/templates", "/workflows", "/executions", "/webhooks", "/teams"),
    *("/keys", "/faults", "/explorer"),
)


def visit(page: Page, origin: str, path: str) -> None:
    """Open a page, and wait until its content is there."""
    page.goto(origin + path)
    page.locator("main h1").first.wait_for()
    page.locator("main .loading").first.wait_for(state="detached")


def all_paths(client: Enprompta) -> list[str]:
    """List the address of every page, with one prompt, workflow and team."""
    prompt = next(iter(client.prompts.list()))
    workflow = next(iter(client.workflows.list()))
    team = next(iter(client.teams.list()))
    return [*PATHS, f"/prompts/{prompt.id}", f"/workflows/{workflow.id}", f"/teams/{team.id}"]


def section(page: Page, name: str) -> Any:
    """Find a card by its heading."""
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=name, exact=True))
