"""`enprompta doctor` checks tracing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import Enprompta
from enprompta.cli.commands.doctor import tracing_findings
from enprompta.emulator import Emulator
from enprompta.tracing.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Enprompta]:
    """A client of it."""
    with Enprompta(api_key=emulator.keys.team, base_url=emulator.url, limiter=None) as client:
        yield client


def test_all_is_well(client: Enprompta) -> None:
    """A request without spans is accepted and leaves no trace; planted secrets are redacted."""
    assert [(one.check, one.status) for one in tracing_findings(client)] == [("tracing", "ok"), ("redaction", "ok")]
    assert client.traces.list().data == []


@pytest.mark.parametrize(("status", "text"), [(403, "traces:write"), (500, "spans cannot be sent")])
def test_spans_are_refused(client: Enprompta, emulator: Emulator, status: int, text: str) -> None:
    """A missing scope and a failing service are warnings, because other calls may work."""
    emulator.faults.add("/api/ingest/otlp/v1/traces", status=status, times=1)
    found = tracing_findings(client)[0]
    assert found.status == "warn"
    assert text in found.text


def test_a_redaction_that_lets_secrets_pass(client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redaction that does not redact fails the check."""
    monkeypatch.setattr(Redaction, "redact_span", lambda self, span: span)
    found = tracing_findings(client)[1]
    assert (found.status, "3 of 3" in found.text) == ("fail", True)


def test_without_the_extra(client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the finding says how to install it."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "enprompta.tracing.exporter", missing)
    (found,) = tracing_findings(client)
    assert 'pip install "enprompta[tracing]"' in found.text
