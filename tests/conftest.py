"""Tests see no settings but their own, and Ctrl-C as a program in the foreground does."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


_MEASURE = "COVERAGE_PROCESS_CONFIG"
_measure: str | None = None


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


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Take away what a developer's shell may say to the client, or to httpx about proxies."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ENPROMPTA_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Undo what shells do to a command that ends in `&`: there, and in all that it starts, Ctrl-C would do nothing."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
