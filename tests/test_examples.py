"""Every example runs as a user would run it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from enprompta.emulator import Emulator

pytestmark = pytest.mark.step("blocks")

HERE = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(HERE.glob("*.py"))
WITH_A_KEY = ["quickstart", "async_quickstart", "bulk_csv", "workflow"]  # the others bring their own emulator always
SLOW = {"bulk_dask", "celery_tasks"}  # start worker processes
LONGER = (pytest.mark.slow,)


def run(name: str, **environment: str) -> str:
    """Run one example with no settings but those given, a warning being an error; give what it printed.

    Where it is run, it leaves nothing behind.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENPROMPTA_")}
    command = [sys.executable, "-W", "error", str(HERE / f"{name}.py")]
    with tempfile.TemporaryDirectory() as here:
        done = subprocess.run(
            command, cwd=here, env={**clean, **environment}, capture_output=True, text=True, timeout=100, check=False
        )
        assert os.listdir(here) == []  # noqa: PTH208 (names will do)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def names() -> list[Any]:
    """Every example that is a script."""
    return [
        pytest.param(example.stem, marks=LONGER if example.stem in SLOW else ())
        for example in EXAMPLES
        if example.stem not in SHOWN
    ]


# What a reader is promised, and would miss if it were not there.
SHOWN: dict[str, list[str]] = {
    "bulk_csv": ["2 rows executed, 0 taken from the checkpoint, of 5", "3 rows executed, 2 taken from the checkpoint"],
    "celery_tasks": ["Good day, Bob.", "3 tasks, 2 executions charged"],
    "fastapi_service": ["One line about tea.", "a forged webhook: 401", "spent, from the webhook: {'exe_"],
    "mcp_server": [
        "release-note takes ['feature', 'audience']",
        "executed: {",
        "refused: The budget of this MCP server",
    ],
    "prompt_life_cycle": ["refused: version 2 is newer than 1", "executions: 1", "this is a fallback"],
    "provider_messages": ['"A joke about {topic}, as {{', "Hi {{there}}", '"type": "image"'],
    "rollouts": ["moved: {'production to canary': 74}", "requests: 2"],
    "template_checks": ["2:1 {{#if offer}} stays in the text", "1:24 {{topic has one closing brace"],
    "typed_outputs": ["4 stars: warm, quiet", "misfit at stars", "2 credits, 2 executions", "row 1: OutputError"],
    "oauth2": ["8 threads, token requests: 1", "lacks the scope prompts:write", "token requests: 2", "wrong secret"],
    "opentelemetry_spans": [
        "attempt                        503",
        "/execute       201",
        "'gen_ai.request.model': 'small'",
    ],
    "quickstart": ["Write a release note about faster search for administrators."],
    "tracing_agent": ["with redacted values: 3", "shipped to <email> [('agent', 'SUCCESS')", "('look_up', 'ERROR')"],
    "tracing_fastapi": ["session tea prompt True", "session coffee prompt True"],
    "tracing_rag": ["spans sent: 4 dropped: 0", "chat-1 -> Two minutes."],
    "workflow": ["draft: completed", "For Who reads about tea?, write: Outline a post about tea."],
}


@pytest.mark.parametrize("name", names())
def test_runs_without_a_key(name: str) -> None:
    """Without a key an example brings its own emulator, and ends well without a warning."""
    assert run(name)


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONGER if name in SLOW else ()) for name in sorted(SHOWN)])
def test_shows_what_it_is_about(name: str) -> None:
    """Without a key an example brings its own emulator, prints what it is there to show, and no warning."""
    printed = run(name)
    assert [line for line in SHOWN[name] if line not in printed] == []


@pytest.mark.parametrize("name", WITH_A_KEY)
def test_runs_with_a_key(name: str) -> None:
    """With a key an example talks to the API that the settings name, and leaves nothing behind."""
    with Emulator() as emulator:
        printed = run(name, ENPROMPTA_API_KEY=emulator.keys.team, ENPROMPTA_BASE_URL=emulator.url)
        from enprompta import Enprompta

        with Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
            assert client.executions.list().data != []
            assert client.prompts.list().data == []
            assert client.workflows.list().data == []
    assert "emulator" not in printed


EXECUTE = """
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
# By a file of the system, not by ports, which others could listen at.
NotebookClient(notebook, km=AsyncKernelManager(kernel_name="python3", transport="ipc"), timeout=60).execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("nbclient"), reason="nbclient is not installed")
def test_notebook_runs(tmp_path: Path) -> None:
    """Every cell of the notebook runs in a fresh kernel, and shows in the same forms what the stored one shows."""
    stored, fresh = HERE / "notebook.ipynb", tmp_path / "notebook.ipynb"
    # In a separate process: the kernel's client leaves sockets to the garbage collector.
    command = [sys.executable, "-c", EXECUTE, str(stored), str(fresh)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert forms(fresh) == forms(stored)
    assert "Describe Lisbon in 5 words." in fresh.read_text(encoding="utf-8")


def forms(notebook: Path) -> list[list[tuple[str, list[str]]]]:
    """List the types of each cell's outputs, and their formats; ids and times always differ."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        [(output["output_type"], sorted(output.get("data", {}))) for output in cell.get("outputs", [])]
        for cell in cells
    ]
