"""All output of a test, with every logger at DEBUG, is searched for credentials when it ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.faults.flavours import FLAVOURS, Waits
from tests.secrets.printed import Printed, assert_clean

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def printed(caplog: pytest.LogCaptureFixture) -> Iterator[Printed]:
    """Collect output with every logger at DEBUG, and search it when the test ends."""
    printed = Printed()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "enprompta")
    yield printed
    assert len(printed) > 3
    for record in caplog.get_records("call"):
        if record.name.startswith("enprompta"):
            printed += [logging.Formatter().format(record), repr(record.__dict__)]
    assert_clean("\n".join(printed))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Record waits between attempts instead of waiting."""
    return Waits(monkeypatch)


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client."""
    return request.param


@pytest.fixture(autouse=True)
def as_most_programs(without_httpx: None) -> None:
    """Own clients send without httpx."""
