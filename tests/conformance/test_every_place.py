"""Every method of a client is in each place where users look for it; a failure names the place to edit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from enprompta.cli.app import app
from tests.conformance.table import COMPOSED, EXTRAS, TABLE

ROOT = Path(__file__).resolve().parents[2]
METHODS = [method for method in (*(row.method for row in TABLE), *EXTRAS, *COMPOSED) if method != "run"]
RENAMED_COMMANDS = {
    "prompts.get_live": "prompts live",
    "workflows.list_executions": "workflows runs",
    "workflows.get_execution": "workflows run",
    "workflows.cancel_execution": "workflows cancel",
    "workflows.execute_and_wait": "workflows execute --wait",
    "workflows.wait": "workflows execute --wait",
    "teams.list_members": "teams members",
    "webhooks.list_deliveries": "webhooks deliveries",
    "webhooks.retry_delivery": "webhooks retry",
    "webhooks.enable": "webhooks update --enable",
    "webhooks.disable": "webhooks update --disable",
    "traces.spans": "traces get",
    "usage.get": "usage",
    "health": "doctor",
}
WITHOUT_COMMAND = {
    *("prompts.preload", "prompts.invalidate", "prompts.on_event"),  # they act on the cache of a program
    *("traces.record", "traces.create_span", "traces.analytics"),  # for programs
}
PAGES = {"health": "usage"}
OTHER_TESTS = {  # tested where their parts are: bulk runs and the cache
    "prompts.execute_many": "tests/batch",
    "prompts.preload": "tests/cache",
    "prompts.invalidate": "tests/cache",
    "prompts.on_event": "tests/cache",
}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return every command by its words."""
    command = command or get_command(app)
    found = {" ".join(path): command}
    for name, each in getattr(command, "commands", {}).items():
        found |= commands(each, (*path, name))
    return found


@pytest.mark.parametrize("method", [method for method in METHODS if method not in WITHOUT_COMMAND])
def test_it_has_a_command(method: str) -> None:
    """The command line can do what the client can do."""
    expected = RENAMED_COMMANDS.get(method, method.replace(".", " ").replace("_", "-"))
    words, _, option = expected.partition(" --")
    command = commands().get(words)
    options = [name for each in command.params for name in (*each.opts, *each.secondary_opts)] if command else []
    assert command is not None and (not option or f"--{option}" in options), (  # noqa: PT018 (one message)
        f"{method} has no command: write `enprompta {expected}` in enprompta/cli/commands/{words.split()[0]}.py, or "
        f"name its command in RENAMED_COMMANDS of {Path(__file__).name}"
    )


@pytest.mark.parametrize("words", [words for words, it in commands().items() if not hasattr(it, "commands")])
def test_its_command_is_in_the_documentation(words: str) -> None:
    """The page of the command line lists each command, in the row of its group."""
    group, _, name = words.rpartition(" ")
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    text = "".join(re.findall(rf"^\| `{group}` \|.*$", page, re.MULTILINE)) if group else page
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", text), (
        f"name `{name}` in the row of `{group}` in docs/cli.md" if group else f"name `enprompta {name}` in docs/cli.md"
    )


@pytest.mark.parametrize("method", METHODS)
def test_it_is_in_the_documentation(method: str) -> None:
    """The guide of a resource has a table row for each of its methods."""
    resource, _, name = method.rpartition(".")
    page = ROOT / "docs" / f"{PAGES.get(method, resource)}.md"
    rows = "".join(re.findall(r"^\|.*$", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert re.search(rf"[`.]{name}\(", rows), f"add a row for `{name}(…)` to a table of {page.relative_to(ROOT)}"


@pytest.mark.parametrize("method", METHODS)
def test_it_has_a_behaviour_row(method: str) -> None:
    """A test runs each method on both clients and every HTTP library, against a scripted server."""
    folder = ROOT / OTHER_TESTS.get(method, "tests/behaviour")
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    assert re.search(rf"\.{re.escape(method)}\b", text), (
        f"no test calls {method}: add a row with its request to test_calls.py in {folder.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("method", METHODS)
def test_it_is_in_the_changelog(method: str) -> None:
    """The changelog names each method in the version that added it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"`(?:client\.)?{re.escape(method)}(?:\(\))?`", text), (
        f"name `{method}` in the top section of CHANGELOG.md, under Added"
    )
