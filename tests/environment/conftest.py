"""The kinds of client, and a server for their calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from enprompta._http.route import certificates
from tests.faults.flavours import FLAVOURS
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return request.param


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve responses and faults."""
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without proxies, certificates and settings of the machine that runs it.

    A thread that still loads certificates for the test before would read the variables of this one.
    """
    certificates._finish_loading()
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("ENPROMPTA_", "SSL")):
            monkeypatch.delenv(name)
