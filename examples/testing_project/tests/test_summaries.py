"""Test the application without an account or network, including faults of the service."""

from __future__ import annotations

import threading
import wsgiref.simple_server
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from summaries import NO_SUMMARY, Ledger, Summaries
from werkzeug.test import Client

from enprompta.testing import WEBHOOK_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta import Enprompta
    from enprompta.emulator import Emulator
    from enprompta.testing import WebhookDelivery


@pytest.fixture
def summaries(enprompta_emulator: Emulator) -> Iterator[Summaries]:
    """Provide the application; `Enprompta()` in it finds the emulator."""
    application = Summaries()
    yield application
    application.close()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Provide a ledger with the secret that signs forged deliveries."""
    monkeypatch.setenv("ENPROMPTA_WEBHOOK_SECRET", WEBHOOK_SECRET)
    return Ledger()


def test_a_summary_is_written(summaries: Summaries) -> None:
    """The emulator answers with the rendered prompt, so the output contains the text."""
    assert "about tea" in summaries.write("A book about tea")


def test_one_prompt_serves_all(summaries: Summaries, enprompta_client: Enprompta) -> None:
    """A client can inspect what the application created in the service."""
    summaries.write("one")
    summaries.write("two")
    assert [prompt.title for prompt in enprompta_client.prompts.list()] == ["Summary"]
    assert len(list(enprompta_client.executions.list())) == 2


def test_an_outage_that_ends(summaries: Summaries, enprompta_emulator: Emulator) -> None:
    """Two failures are retried, and the user does not notice."""
    fault = enprompta_emulator.faults.add("/prompts/*/execute", status=503, times=2, headers={"Retry-After": "0"})
    assert "tea" in summaries.write("tea")
    assert len(fault.hits) == 2


def test_an_outage_that_does_not_end(summaries: Summaries, enprompta_emulator: Emulator) -> None:
    """During an outage, the application continues without summaries."""
    enprompta_emulator.faults.add("/prompts/*/execute", status=503, headers={"Retry-After": "0"})
    assert summaries.write("tea") == NO_SUMMARY


def test_a_lost_answer_costs_once(
    summaries: Summaries, enprompta_emulator: Emulator, enprompta_client: Enprompta
) -> None:
    """If the response is lost after the work was done, the retry returns the same execution instead of a second one."""
    enprompta_emulator.faults.add("/prompts/*/execute", drop="after", times=1)
    assert "tea" in summaries.write("tea")
    assert len(list(enprompta_client.executions.list())) == 1


@pytest.mark.enprompta(credits={"team": 1})
def test_no_credit_left(summaries: Summaries) -> None:
    """An exhausted plan yields a placeholder, not a crash."""
    assert "one" in summaries.write("one")
    assert summaries.write("two") == NO_SUMMARY


def test_costs_add_up(ledger: Ledger, webhook_delivery: Callable[..., WebhookDelivery]) -> None:
    """Each event counts once, however often it is delivered; a forged delivery does not count."""
    client = Client(ledger.app)
    first = webhook_delivery("prompt.executed", data={"cost": 0.5})
    second = webhook_delivery("prompt.executed", data={"cost": 0.25})
    forged = replace(first, body=first.body.replace(b"0.5", b"9.5"))
    for delivery, status in [(first, 200), (second, 200), (first, 200), (forged, 401)]:
        assert client.post("/", **delivery.flask()).status_code == status
    assert ledger.total == 0.75


def test_costs_come_with_the_summaries(
    summaries: Summaries, enprompta_client: Enprompta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: the application executes a prompt, and the emulator signs the event and delivers it over HTTP."""
    with wsgiref.simple_server.make_server("127.0.0.1", 0, None) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        webhook = enprompta_client.webhooks.create(name="Ledger", url=url, events=["prompt.executed"])
        monkeypatch.setenv("ENPROMPTA_WEBHOOK_SECRET", str(webhook.secret))
        ledger = Ledger()
        server.set_app(ledger.app)
        delivered = threading.Thread(target=server.handle_request)
        delivered.start()
        summaries.write("tea")
        delivered.join(timeout=10)
    (execution,) = enprompta_client.executions.list()
    assert ledger.total == execution.cost
