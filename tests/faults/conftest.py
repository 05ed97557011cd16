"""Servers that fail, waits that take no time, and a count of file descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.flavours import FLAVOURS, Waits
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return request.param


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Run a server that plays faults."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Record waits between attempts instead of waiting."""
    return Waits(monkeypatch)


@pytest.fixture(autouse=True)
def as_most_programs(without_httpx: None) -> None:
    """Own clients send without httpx."""
