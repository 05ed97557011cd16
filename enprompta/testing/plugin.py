"""The pytest plugin `enprompta`: an emulated API to test against, in the test's process.

    def test_summaries_are_kept(enprompta_emulator):
        enprompta_emulator.faults.add("/prompts/*/execute", status=503, times=1, headers={"Retry-After": "0"})
        assert my_application.summarize("...")       # its `Enprompta()` uses the emulator

It is installed with the package and thus active in every pytest run, so it loads nothing until a test requests one of
its fixtures. No fixture uses the network: the emulator listens on a free port of the loopback interface.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import enprompta
from enprompta import testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta import AsyncEnprompta, Enprompta
    from enprompta.emulator import Emulator
    from enprompta.testing.deliveries import WebhookDelivery

_MARKER = "enprompta"
_SETTINGS: dict[str, Any] = {
    "rate_limits": False,  # tests must not wait for the next minute
    "webhook_backoff": (0.05,) * 5,
    "strict_models": True,  # a misspelled model fails the test, not the first run in production
}
_CREDENTIALS = ("CLIENT_ID", "CLIENT_SECRET", "SCOPES", "EMULATOR_UPSTREAM", "EMULATOR_UPSTREAM_KEY")
_FIXTURES = ("enprompta_emulator", "enprompta_client", "async_enprompta_client", "webhook_delivery")
_FAKE_FILE_SYSTEMS = ("fs", "fs_class", "fs_module", "fs_session")  # the fixtures of pyfakefs
_LOOPBACK = "127.0.0.1,localhost"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for suites that use `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(**settings): settings that enprompta_emulator passes to `Emulator`, such as credits={{'team': 5}}",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Load what a test with a fake file system will use, before the file system is replaced."""
    names: set[str] = set(getattr(item, "fixturenames", ()))
    if names.isdisjoint(_FAKE_FILE_SYSTEMS):
        return
    if not names.isdisjoint(_FIXTURES):
        with suppress(ImportError):  # an extra is missing, which the fixture reports
            testing.preloading.preload_emulator()
    elif "enprompta._client" in sys.modules:
        testing.preloading.preload_client()


@pytest.fixture
def enprompta_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A fresh emulator of the API, for one test.

    While it runs, the environment makes `Enprompta()` and `AsyncEnprompta()` without arguments use it, with the key of
    its team account; other credentials are removed. It sends no 429 and retries webhooks within moments; the marker
    `@pytest.mark.enprompta(rate_limits=True)` changes these and all other settings.
    """
    try:
        from enprompta.emulator import Emulator  # noqa: PLC0415 (an extra, and heavy)
    except ImportError as missing:
        pytest.fail(f"The fixture enprompta_emulator cannot be made. {missing}", pytrace=False)
    settings = dict(_SETTINGS)
    for marker in reversed(list(request.node.iter_markers(_MARKER))):  # the nearest marker takes precedence
        settings.update(marker.kwargs)
    with pytest.MonkeyPatch.context() as patch:
        for name in _CREDENTIALS:
            patch.delenv(f"ENPROMPTA_{name}", raising=False)
        with Emulator(**settings) as emulator:
            patch.setenv("ENPROMPTA_BASE_URL", emulator.url)
            patch.setenv("ENPROMPTA_API_KEY", emulator.keys.team)
            for name in ("NO_PROXY", "no_proxy"):  # do not send loopback requests through a proxy
                patch.setenv(name, ",".join(filter(None, [os.environ.get(name), _LOOPBACK])))
            yield emulator


@pytest.fixture
def enprompta_client(enprompta_emulator: Emulator) -> Iterator[Enprompta]:
    """A client of `enprompta_emulator`, with the key of its team account."""
    with enprompta.Enprompta(api_key=enprompta_emulator.keys.team, base_url=enprompta_emulator.url) as client:
        yield client


@pytest.fixture
def async_enprompta_client(enprompta_emulator: Emulator) -> Iterator[AsyncEnprompta]:
    """An async client of `enprompta_emulator`, with the key of its team account, for asyncio and for trio.

    The fixture is synchronous, so that it works with any plugin for async tests and without one. The client opens its
    connections on the event loop that uses it, and that loop closes them.
    """
    loops = testing.loops.LoopKeeper()
    key, url = enprompta_emulator.keys.team, enprompta_emulator.url
    client = enprompta.AsyncEnprompta(api_key=key, base_url=url, hooks=[loops])
    yield client
    loops.run(client.aclose)


@pytest.fixture
def webhook_delivery() -> Callable[..., WebhookDelivery]:
    """The function `enprompta.testing.webhook_delivery`, which creates signed deliveries."""
    return testing.webhook_delivery
