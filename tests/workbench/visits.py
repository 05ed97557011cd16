"""Open pages of the Workbench, and know them all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from enprompta import UNSET, AsyncEnprompta
from enprompta.exchanges import ExchangeLog
from enprompta.workbench.session import Session

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from enprompta import Enprompta

PATHS = (
    *("/", "/requests", "/prompts", "/templates", "/workflows", "/executions", "/webhooks", "/teams"),
    "/traces",
    *("/keys", "/faults", "/explorer"),
)


def visit(page: Page, origin: str, path: str) -> None:
    """Open a page, and wait until its content is there."""
    page.goto(origin + path)
    page.locator("main h1").first.wait_for()
    page.locator("main .loading").first.wait_for(state="detached")


def all_paths(client: Enprompta) -> list[str]:
    """List the address of every page, with one prompt, workflow, team and trace, which is recorded."""
    prompt = next(iter(client.prompts.list()))
    workflow = next(iter(client.workflows.list()))
    team = next(iter(client.teams.list()))
    long = "t" * 300
    trace_id = client.traces.record(
        provider="openai", model="gpt-4o", input=long, output=long, session_id=long[:90]
    ).trace_id
    parent: Any = UNSET
    for depth in range(12):
        name, status = f"{depth} {long[:150]}", "ERROR" if depth == 11 else "RUNNING"
        parent = client.traces.create_span(
            trace_id, name=name, span_type="TOOL", parent_span_id=parent, status=status, error_message=long
        ).span_id
    return [*PATHS, f"/traces/{trace_id}", f"/prompts/{prompt.id}", f"/workflows/{workflow.id}", f"/teams/{team.id}"]


def section(page: Page, name: str) -> Any:
    """Find a card by its heading."""
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=name, exact=True))


def found(pattern: str, text: str) -> str:
    """Find the first group of a pattern."""
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def live() -> Session:
    """Make a session on the live service, which is never called."""
    client = AsyncEnprompta(api_key="ep_live_x1234567", base_url="https://localhost:9/api/v1", max_retries=0)
    return Session(client, ExchangeLog())
