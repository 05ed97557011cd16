"""The pytest plugin in other test suites, which run in separate pytest processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


STRICT = """
[pytest]
addopts = --strict-markers --strict-config -p no:cacheprovider
filterwarnings = error
"""
STRICT_ASYNCIO = f"{STRICT}asyncio_default_fixture_loop_scope = function\n"

OWN = "enprompta.testing.plugin"

pytestmark = [pytest.mark.slow, pytest.mark.step("plugin")]  # each test runs pytest in a separate process

USE = """
import asyncio
import pytest

async def use(client):
    prompt = await client.prompts.create(title="Tea", content="Tea")
    assert (await client.prompts.get(prompt.id)).title == "Tea"
"""


def run(folder: Path, test: str, *plugins: str, ini: str = STRICT) -> subprocess.CompletedProcess[str]:
    """Run a test file in a separate folder, with warnings as errors, and with some or all plugins."""
    (folder / "pytest.ini").write_text(ini)
    (folder / "test_it.py").write_text(test)
    arguments = [argument for plugin in plugins for argument in ("-p", plugin)]
    environment = {**os.environ, **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if OWN in plugins else {})}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def passes(folder: Path, test: str, *plugins: str, ini: str = STRICT, count: int) -> None:
    """Fail unless this many tests pass without logs or warnings."""
    done = run(folder, test, *plugins, ini=ini)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout
    assert "Captured log" not in done.stdout, done.stdout
    assert done.stderr == ""


def test_fixtures_are_there_without_a_word(tmp_path: Path) -> None:
    """The installed plugin needs no `conftest.py`; each test has an empty API, which `Enprompta()` finds."""
    test = """
import os
import pytest
from enprompta import Enprompta

@pytest.mark.parametrize("number", [1, 2])
def test_client(enprompta_client, number):
    assert len(enprompta_client.prompts.list().data) == 0
    enprompta_client.prompts.create(title="Tea", content="Tea")

def test_environment(enprompta_emulator, monkeypatch):
    with Enprompta() as client:
        assert client.base_url == enprompta_emulator.url
        client.prompts.create(title="Tea", content="Tea")
    monkeypatch.undo()
    assert os.environ["ENPROMPTA_BASE_URL"] == enprompta_emulator.url

def test_environment_is_put_back():
    assert "ENPROMPTA_BASE_URL" not in os.environ and "ENPROMPTA_API_KEY" not in os.environ

@pytest.mark.enprompta(limits={"team": (2, 10)})
def test_no_limits(enprompta_client):
    assert all(enprompta_client.teams.list() is not None for _ in range(5))
"""
    passes(tmp_path, test, "no:asyncio", count=5)


def test_proxies_and_credentials_of_a_shell_do_not_reach_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies and credentials in a developer's environment are ignored; other settings are kept."""
    for name, value in {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ENPROMPTA_API_KEY": "ep_real",
        "ENPROMPTA_CLIENT_ID": "real",
        "ENPROMPTA_CLIENT_SECRET": "real",
        "ENPROMPTA_BASE_URL": "https://enprompta.invalid",
        "ENPROMPTA_MAX_RETRIES": "0",
        "NO_PROXY": "example.com",
    }.items():
        monkeypatch.setenv(name, value)
    test = """
from enprompta import Enprompta
def test_it(enprompta_client):
    with Enprompta() as client:
        client.teams.list()
        assert client._settings.max_retries == 0
    enprompta_client.teams.list()
"""
    passes(tmp_path, test, OWN, count=1)


def test_the_marker_sets_the_emulator(tmp_path: Path) -> None:
    """Settings come from markers, the nearest last; an unknown setting is an error that names it."""
    test = """
import pytest
pytestmark = pytest.mark.enprompta(rate_limits=True, limits={"team": (7, 70)})

def test_module(enprompta_client):
    assert enprompta_client.with_raw_response.teams.list().rate_limit.limit == 7

@pytest.mark.enprompta(limits={"team": (8, 80)})
def test_nearest(enprompta_client):
    assert enprompta_client.with_raw_response.teams.list().rate_limit.limit == 8

@pytest.mark.enprompta(colour="red")
def test_unknown(enprompta_client): ...
"""
    done = run(tmp_path, test, OWN)
    assert "2 passed, 1 error" in done.stdout
    assert "'colour'" in done.stdout


def test_async_client_under_pytest_asyncio(tmp_path: Path) -> None:
    """With a loop per test or per module, nothing is left open or warned about."""
    test = f"""{USE}
@pytest.mark.asyncio
async def test_own_loop(async_enprompta_client): await use(async_enprompta_client)

@pytest.mark.asyncio
async def test_own_loop_again(async_enprompta_client): await use(async_enprompta_client)

@pytest.mark.asyncio(loop_scope="module")
async def test_shared_loop(async_enprompta_client): await use(async_enprompta_client)

@pytest.mark.asyncio(loop_scope="module")
async def test_shared_loop_again(async_enprompta_client): await use(async_enprompta_client)
"""
    passes(tmp_path, test, OWN, "pytest_asyncio.plugin", ini=STRICT_ASYNCIO, count=4)


def test_async_client_under_anyio(tmp_path: Path) -> None:
    """The same with anyio's plugin, on asyncio and trio."""
    test = f"""{USE}
@pytest.fixture(params=["asyncio", "trio"], scope="module")
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
async def test_once(async_enprompta_client): await use(async_enprompta_client)

@pytest.mark.anyio
async def test_twice(async_enprompta_client): await use(async_enprompta_client)
"""
    passes(tmp_path, test, OWN, "anyio", count=4)


def test_async_client_in_plain_tests(tmp_path: Path) -> None:
    """The same without a plugin, on loops that the test runs itself."""
    test = f"""{USE}
import threading
import trio

kept = asyncio.new_event_loop()

def test_run_twice(async_enprompta_client):
    asyncio.run(use(async_enprompta_client))
    asyncio.run(use(async_enprompta_client))

def test_trio(async_enprompta_client):
    trio.run(use, async_enprompta_client)

def test_loop_that_is_kept(async_enprompta_client):
    kept.run_until_complete(use(async_enprompta_client))

def test_loop_that_was_kept():
    kept.run_until_complete(asyncio.sleep(0))
    kept.close()

def test_loop_that_runs_elsewhere(async_enprompta_client, request):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    def end():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    asyncio.run_coroutine_threadsafe(use(async_enprompta_client), loop).result()
    end()

def test_closed_already(async_enprompta_client):
    async def close():
        await use(async_enprompta_client)
        await async_enprompta_client.aclose()
    asyncio.run(close())

def test_never_used(async_enprompta_client):
    pass
"""
    passes(tmp_path, test, OWN, count=7)


def test_it_is_inert_where_it_is_not_used(tmp_path: Path) -> None:
    """A suite without the fixtures loads neither client nor server, and gets no test or option."""
    test = """
import json, sys
def test_it():
    with open("modules.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""
    passes(tmp_path, test, OWN, count=1)
    modules = set(json.loads((tmp_path / "modules.json").read_text()))
    assert "enprompta.testing.plugin" in modules
    assert not modules & {"httpx", "pydantic", "fastapi", "starlette", "uvicorn", "anyio", "sqlite3"}


def test_without_the_emulators_extra_its_fixtures_say_what_to_install(tmp_path: Path) -> None:
    """Without FastAPI the fixtures that need it fail with one line; `webhook_delivery` needs none of it."""
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['fastapi'] = None\n")
    test = """
def test_emulator(enprompta_emulator): ...
def test_client(async_enprompta_client): ...
def test_delivery(webhook_delivery):
    assert webhook_delivery("prompt.executed").body
"""
    done = run(tmp_path, test, OWN)
    assert "1 passed, 2 errors" in done.stdout
    assert done.stdout.count('pip install "enprompta[emulator]"') >= 2
    assert "Traceback" not in done.stdout


def test_the_plugin_can_be_turned_off(tmp_path: Path) -> None:
    """`-p no:enprompta` disables it."""
    done = run(tmp_path, "def test_it(enprompta_client): ...", "no:asyncio", "no:enprompta")
    assert "fixture 'enprompta_client' not found" in done.stdout
