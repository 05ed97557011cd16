"""Events have constant names and structured fields; output is the application's, unless `ENPROMPTA_LOG` asks for it."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from enprompta import ConfigurationError
from enprompta._common import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Restore the logger."""
    level, handlers = log.logger.level, list(log.logger.handlers)
    yield
    log.logger.setLevel(level)
    log.logger.handlers[:] = handlers


def test_an_event_is_a_name_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers find both on the record; the plain message reads as `name field=value`."""
    with caplog.at_level("INFO", logger="enprompta"):
        log.event(logging.INFO, "retry", call="GET /prompts", attempt=1, wait=0.51234, status=None)
    (record,) = caplog.records
    assert record.name == "enprompta"
    assert record.event == "retry"  # type: ignore[attr-defined]
    assert record.fields == {"call": "GET /prompts", "attempt": 1, "wait": 0.51234, "status": None}  # type: ignore[attr-defined]
    assert record.getMessage() == "retry call=GET /prompts attempt=1 wait=0.512 status=None"
    assert record.funcName == "test_an_event_is_a_name_and_fields"


def test_an_event_below_the_level_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A disabled level creates no log record."""
    with caplog.at_level("WARNING", logger="enprompta"):
        log.event(logging.DEBUG, "response", call="GET /prompts")
    assert caplog.records == []


@pytest.mark.parametrize("environ", [{}, {"ENPROMPTA_LOG": ""}, {"ENPROMPTA_LOG": "  "}])
def test_without_the_variable_nothing_is_set_up(environ: dict[str, str]) -> None:
    """A library leaves output to the application: there is a null handler, and that is all."""
    log.configure(environ)
    assert {type(handler) for handler in log.logger.handlers} == {logging.NullHandler}


@pytest.mark.parametrize(("value", "level"), [("debug", logging.DEBUG), (" INFO ", logging.INFO), ("warning", 30)])
def test_the_variable_sets_level_and_output_once(value: str, level: int) -> None:
    """Any number of clients writes each event once."""
    for _ in range(3):
        log.configure({"ENPROMPTA_LOG": value})
    assert log.logger.level == level
    streams = [handler for handler in log.logger.handlers if type(handler) is logging.StreamHandler]
    assert len(streams) == 1


def test_an_unknown_level_is_refused() -> None:
    """The message lists what is allowed."""
    with pytest.raises(ConfigurationError, match="ENPROMPTA_LOG must be one of debug, info, warning, not 'loud'"):
        log.configure({"ENPROMPTA_LOG": "loud"})


def test_events_go_to_standard_error() -> None:
    """A program that sets the variable sees its events, with neither key nor body."""
    program = """
import httpx, enprompta
transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": "p", "title": "TITLE", "content": ""}))
client = enprompta.Enprompta(api_key="ep_hunter2", http_client=httpx.Client(transport=transport))
client.prompts.create(title="TITLE", content="")
"""
    environ = {"ENPROMPTA_LOG": "debug"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert "DEBUG enprompta response call=POST /prompts status=200 seconds=" in done.stderr
    assert "hunter2" not in done.stderr
    assert "TITLE" not in done.stderr
    assert done.stdout == ""
