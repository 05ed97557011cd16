"""The pytest fixtures, used as in any suite."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import enprompta
from enprompta import AsyncEnprompta, Enprompta, testing

if TYPE_CHECKING:
    from enprompta.emulator import Emulator


async def use(client: AsyncEnprompta) -> None:
    """Make some calls at once."""
    await asyncio.gather(*(client.teams.list() for _ in range(3)))


def test_an_unknown_model_fails_the_test(enprompta_client: Enprompta) -> None:
    """A misspelled provider or model is an error with the known names and how to accept others."""
    prompt = enprompta_client.prompts.create(title="t", content="c")
    assert enprompta_client.prompts.execute(prompt.id, provider="anthropic", model="claude-3-opus").output == "c"
    for names in ({"provider": "opena1"}, {"model": "gtp-4"}):
        with pytest.raises(enprompta.BadRequestError, match=r"Unknown (provider|model) .*strict_models=False"):
            enprompta_client.prompts.execute(prompt.id, **names)


@pytest.mark.enprompta(strict_models=False)
def test_a_marker_accepts_any_model(enprompta_client: Enprompta) -> None:
    """The marker disables the check for a test or module."""
    prompt = enprompta_client.prompts.create(title="t", content="c")
    assert enprompta_client.prompts.execute(prompt.id, provider="opena1", model="gtp-4").output == "c"


def test_an_async_client_whose_loop_has_ended(async_enprompta_client: AsyncEnprompta) -> None:
    """After `asyncio.run` the fixture has nothing to close."""
    asyncio.run(use(async_enprompta_client))


@pytest.fixture
def loop() -> object:
    """An event loop that outlives the async client."""
    loop = asyncio.new_event_loop()
    yield loop
    assert not asyncio.all_tasks(loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_an_async_client_whose_loop_stays_open(
    loop: asyncio.AbstractEventLoop, async_enprompta_client: AsyncEnprompta
) -> None:
    """A loop kept for other tests closes the connections and stays open."""
    loop.run_until_complete(use(async_enprompta_client))


def test_an_async_client_whose_loop_runs_elsewhere(async_enprompta_client: AsyncEnprompta) -> None:
    """A loop that runs on another thread closes them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: asyncio.run(forever()), daemon=True)
    ready, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        nonlocal loop
        loop.close()
        loop = asyncio.get_running_loop()
        ready.set()
        await asyncio.to_thread(ended.wait)

    thread.start()
    ready.wait()
    asyncio.run_coroutine_threadsafe(use(async_enprompta_client), loop).result()
    ended.set()
    thread.join()


@pytest.mark.enprompta(rate_limits=True, limits={"team": (7, 70)})
def test_settings_by_marker(enprompta_emulator: Emulator, enprompta_client: Enprompta) -> None:
    """The emulator has the settings of the marker and is the one of the environment."""
    assert enprompta_client.with_raw_response.teams.list().rate_limit.limit == 7
    with Enprompta() as client:
        assert client.base_url == enprompta_emulator.url == enprompta_client.base_url


def test_without_the_emulators_extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without FastAPI the fixture fails with the install command."""
    for name in [each for each in sys.modules if each.startswith("enprompta.emulator")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(enprompta, "emulator", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(pytest.fail.Exception, match=r"enprompta\[emulator\]"):
        request.getfixturevalue("enprompta_emulator")


@pytest.mark.parametrize("module", [enprompta, testing])
def test_names_are_loaded_when_asked_for(module: object) -> None:
    """`dir()` lists lazily loaded names; unknown names are ordinary errors."""
    assert sorted(dir(module)) == sorted(module.__all__)  # type: ignore[attr-defined]
    for name in dir(module):
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Promt'"):
        _ = module.Promt  # type: ignore[attr-defined]


def test_modules_of_the_package_are_there() -> None:
    """`enprompta.models` and `enprompta.pagination` need no separate import."""
    assert enprompta.__getattr__("models") is sys.modules["enprompta.models"]
    assert enprompta.__getattr__("pagination") is enprompta.pagination
