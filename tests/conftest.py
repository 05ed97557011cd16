"""Which tests run, and the surroundings they run in: no settings from outside, Ctrl-C as in a foreground program."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING

import hypothesis
import pytest

from enprompta._http import direct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

hypothesis.settings.register_profile("enprompta", deadline=None)  # a loaded machine is slow, not wrong
hypothesis.settings.load_profile("enprompta")

_MEASURE = "COVERAGE_PROCESS_CONFIG"
_measure: str | None = None

_WHOLE_MODULE = re.compile(r"^(pytestmark = .*|    )pytest\.mark\.step\(", re.MULTILINE)
_INSTALL = 'pip install -e ".[dev]" -c tests/constraints.txt'

# Tests marked `step(NAME)` need tools or minutes that a first run should not take; `.ci/run` runs them as steps.
# No step is named like a folder at the top, which pytest would take `--step NAME` for.
STEPS = {
    "types": "what mypy, pyright and pyrefly make of the public types",
    "pages": "the documentation site",
    "package": "the built wheel in an empty environment (needs a package index)",
    "blocks": "the examples, and every block of the documentation but README's",
    "plugin": "test suites of other projects that use the pytest fixtures",
    "conformance": "schemathesis against the emulator",
    "spec_tools": "other tools with the document: Prism, linters, generators (needs tests/spec_tools/install)",
    "backends": "each fault of the wire over aiohttp and httpx2",
    "clocks": "frozen clocks and gevent",
    "cluster": "bulk runs on Dask, runs that are killed",
    "tracing": "tracing: cost, ends of processes, real libraries, Arize Phoenix (needs tests/tracing/install-phoenix)",
    "workbench": "the Workbench in a browser (needs chromium)",
    "mcp": "the MCP server as a process, its conformance suite and inspector (tests/mcp/install-tools)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--step`, which chooses steps in place of the tests that run by default."""
    parser.addoption(
        "--step",
        action="append",
        default=[],
        choices=[*STEPS, "all"],
        help="run the tests of this step only (repeatable; `all` runs every step)",
    )


def _chosen(config: pytest.Config) -> set[str]:
    steps: list[str] = config.getoption("--step")
    return set(STEPS) if "all" in steps else set(steps)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse steps in an environment without their tools."""
    if _chosen(config) and find_spec("mypy") is None:
        raise pytest.UsageError(f"steps need more packages: {_INSTALL}")


def _named(config: pytest.Config) -> bool:
    """Return True if the command line names tests or folders: all their tests run then."""
    return config.args_source is pytest.Config.ArgsSource.ARGS


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import modules without a test that is to run: they take time, and packages that are not installed."""
    chosen = _chosen(config)
    if not collection_path.name.startswith("test_") or (_named(config) and not chosen):
        return None
    text = collection_path.read_text("utf-8")
    if chosen:
        return None if any(f'mark.step("{name}")' in text for name in chosen) else True
    return True if _WHOLE_MODULE.search(text) else None


def _step_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("step")
    return "" if marker is None else str(marker.args[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the chosen steps; without `--step`, those of no step, and all that the command line names."""
    unknown = {_step_of(item) for item in items} - {"", *STEPS}
    assert not unknown, f"conftest.py does not list the steps {unknown}"
    chosen = _chosen(config)
    if not chosen and _named(config):
        return
    left_out = [item for item in items if _step_of(item) not in (chosen or {""})]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _step_of(item) in (chosen or {""})]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what this run leaves out, and how to get it."""
    lines: list[str] = []
    if not _chosen(config) and not _named(config):
        lines.append(f"not in this run (add --step NAME, or --step all, after {_INSTALL}):")
        lines += [f"  {name:<12} {text}" for name, text in STEPS.items()]
    lines += [
        f"tests that need {tool} are skipped: {cure}"
        for tool, is_there, cure in (
            ("redis-server", shutil.which("redis-server"), "apt install redis-server"),
            ("node", shutil.which("node"), "install Node.js 20 or later"),
            ("chromium", shutil.which("chromium"), "apt install chromium"),
            ("a local model", find_spec("llama_cpp"), 'pip install -e ".[local-model]"'),
        )
        if not is_there
    ]
    return lines


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a lambda by its argument in the id of a test, instead of `<lambda>`."""
    return argname if getattr(val, "__name__", "") == "<lambda>" else None


def pytest_xdist_auto_num_workers() -> int:
    """Use two processes for each core with `-n auto`, because many tests wait for sockets and clocks."""
    return max(4, (os.cpu_count() or 2) * 2)


def pytest_collection_finish() -> None:
    """Get ready for the tests.

    The garbage collector passes over what has been loaded: tests that ask it to collect wait a tenth as long. And the
    processes that tests start are not measured for coverage, which would double their time, unless a test asks for it.
    """
    global _measure  # noqa: PLW0603 (what the process was started with is the process's)
    _measure = os.environ.pop(_MEASURE, _measure)
    gc.collect()
    gc.freeze()


@pytest.fixture
def measured_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the coverage of the processes that a test starts, where coverage is measured at all."""
    if _measure is not None:
        monkeypatch.setenv(_MEASURE, _measure)


@pytest.fixture
def without_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let own clients send as in a program that does not import httpx; the tests themselves import it."""
    monkeypatch.setattr(direct, "loaded_httpx", lambda: None)


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Take away what a developer's shell may say to the client, or to httpx about proxies."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ENPROMPTA_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` in every test, and hold each test to leave it so.

    Shells ignore SIGINT in a command that ends in `&`, and so does all that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the test left another handler of SIGINT"
