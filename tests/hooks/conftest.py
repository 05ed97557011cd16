"""Recording hooks, a server that fails on request, and waits that take no time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.flavours import FLAVOURS, Waits
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Diary:
    """Duck-typed hooks that write down every event and its record."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Any]] = []

    def on_wait(self, record: Any) -> None:
        """Record a wait."""
        self.entries.append(("wait", record))

    def on_request(self, record: Any) -> None:
        """Record a request."""
        self.entries.append(("request", record))

    def on_response(self, record: Any) -> None:
        """Record a response."""
        self.entries.append(("response", record))

    def on_retry(self, record: Any) -> None:
        """Record a retry."""
        self.entries.append(("retry", record))

    @property
    def events(self) -> list[str]:
        """The names of the events, in order."""
        return [event for event, _ in self.entries]

    def records(self, event: str) -> list[Any]:
        """The records of one kind of event."""
        return [record for name, record in self.entries if name == event]


@pytest.fixture
def diary() -> Diary:
    """Hooks that record their calls."""
    return Diary()


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return request.param


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve faults."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Record waits between attempts instead of waiting."""
    return Waits(monkeypatch)
