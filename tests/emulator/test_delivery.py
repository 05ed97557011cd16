"""Deliveries: their content, retries and limits."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError
from enprompta.webhooks import PromptExecuted, construct_event, ecma_json, verify_signature
from tests.emulator.flows import data, deliveries, only_delivery, run, subscribe
from tests.emulator.receivers import Received, Receiver, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.emulator.conftest import Clock

QUICK = (0.01,) * 40


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    """An emulator with short backoff and timeouts."""
    with Emulator(clock=clock, webhook_backoff=(0.01, 0.02), webhook_timeout=0.3) as running:
        yield running


def test_an_event_arrives_as_the_reference_shows_it(client: httpx.Client) -> None:
    """A delivery is a POST of the documented payload with the reference's headers, verifiable raw or parsed."""
    with Receiver() as receiver:
        webhook = subscribe(client, receiver.url + "?a=%20b#c")
        execution = run(client)
        (received,) = until(lambda: receiver.received)
    assert received.path == "/hook?a=%20b"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("enprompta-emulator/")
    assert received.headers["x-enprompta-event"] == "prompt.executed"
    assert received.headers["x-enprompta-event-id"] == received.event["id"]
    assert received.headers["x-enprompta-delivery-id"] == deliveries(client, webhook)[0]["id"]
    assert received.body == ecma_json(received.event).encode()
    for payload in (received.body, received.event):
        assert verify_signature(payload, received.headers, webhook["secret"])
    event = construct_event(received.body, received.headers, webhook["secret"])
    assert isinstance(event, PromptExecuted)
    assert received.event.pop("id").startswith("evt_")
    assert {**received.event, "id": None} == {
        "id": None,
        "event": "prompt.executed",
        "created_at": "2024-01-17T12:00:00Z",
        "api_version": "2024-01-01",
        "data": {
            "execution_id": execution["id"],
            "prompt_id": execution["promptId"],
            "status": "completed",
            "tokens_used": execution["tokens"],
            "cost": execution["cost"],
        },
    }


def test_a_failed_execution_sends_an_event(clock: Clock, connect: Any, upstream: Any) -> None:
    """`prompt.executed` reports the end and status of an execution."""
    broken = upstream(lambda _: (500, b"broken"))
    with Receiver() as receiver, Emulator(clock=clock, upstream=broken.url) as emulator:
        client = connect(emulator)
        subscribe(client, receiver.url)
        assert run(client)["status"] == "failed"
        (received,) = until(lambda: receiver.received)
    assert received.event["data"]["status"] == "failed"


def test_an_event_is_sent_until_it_is_accepted(client: httpx.Client, clock: Clock) -> None:
    """A failed delivery is retried unchanged with the given backoff; the last response is recorded."""
    answers = iter([503, 302, 204])
    with Receiver(lambda _: next(answers)) as receiver:
        webhook = subscribe(client, receiver.url)
        run(client)
        clock.now += 60
        delivery = only_delivery(client, webhook, "DELIVERED")
        assert (delivery["attempts"], delivery["responseStatus"]) == (3, 204)
        assert delivery["createdAt"] == "2024-01-17T12:00:00Z"
        first, second, third = receiver.received
    assert first.body == second.body == third.body
    assert first.headers == second.headers == third.headers
    assert first.path == second.path == third.path
    assert second.at - first.at >= 0.01
    assert third.at - second.at >= 0.02


def test_a_delivery_fails_when_its_attempts_are_used_up(client: httpx.Client, clock: Clock) -> None:
    """Out of attempts, the webhook counts a failure; a retry that succeeds resets the count."""
    with Receiver(lambda _: 500) as receiver:
        webhook = subscribe(client, receiver.url)
        path = f"/webhooks/{webhook['id']}"
        run(client)
        delivery = only_delivery(client, webhook, "FAILED")
        assert (delivery["attempts"], delivery["responseStatus"], delivery["deliveredAt"]) == (3, 500, None)
        told = data(client.get(path))
        assert (told["failureCount"], told["lastFailure"], told["lastSuccess"]) == (1, "2024-01-17T12:00:00Z", None)
        answers = iter([500, 500, 200])
        receiver.answer = lambda _: next(answers)
        clock.now += 60
        data(client.post(f"{path}/deliveries/{delivery['id']}/retry"))
        assert only_delivery(client, webhook, "DELIVERED")["attempts"] == 6
    told = data(client.get(path))
    assert (told["failureCount"], told["lastFailure"]) == (0, "2024-01-17T12:00:00Z")
    assert told["lastSuccess"] == "2024-01-17T12:01:00Z"


def test_a_waiting_delivery_can_be_retried_at_once(clock: Clock, connect: Any) -> None:
    """A delivery that waits for a retry can be sent at once; one that is being sent gets a 409."""
    answers = iter([500, 200])
    with Receiver(lambda _: next(answers)) as receiver, Emulator(clock=clock, webhook_backoff=(3600,)) as emulator:
        client = connect(emulator)
        webhook = subscribe(client, receiver.url)
        run(client)
        delivery = only_delivery(client, webhook, "RETRYING")
        retry = f"/webhooks/{webhook['id']}/deliveries/{delivery['id']}/retry"
        gate = threading.Event()
        receiver.answer = lambda _: 200 if gate.wait(5) else 500
        data(client.post(retry))
        assert client.post(retry).status_code == 409
        gate.set()
        assert only_delivery(client, webhook, "DELIVERED")["attempts"] == 2


def test_a_webhook_that_is_disabled_meanwhile_is_sent_nothing_more(client: httpx.Client) -> None:
    """Pending deliveries of a disabled webhook fail; they can be retried once it is enabled."""
    with Receiver(lambda _: 500) as receiver:
        webhook = subscribe(client, receiver.url)
        receiver.answer = lambda _: client.put(f"/webhooks/{webhook['id']}", json={"isActive": False}).status_code + 300
        run(client)
        assert only_delivery(client, webhook, "FAILED")["attempts"] == 1


def test_a_deleted_webhook_is_sent_nothing_more(client: httpx.Client) -> None:
    """Deleting a webhook deletes its deliveries, including pending ones."""
    with Receiver() as receiver:
        webhook = subscribe(client, receiver.url)
        receiver.answer = lambda _: client.delete(f"/webhooks/{webhook['id']}").status_code + 300
        run(client)
        until(lambda: not data(client.get("/webhooks")))
        other = subscribe(client, receiver.url)
        receiver.answer = lambda _: 200
        run(client)
        only_delivery(client, other, "DELIVERED")
        assert len(receiver.received) == 2


def test_credentials_in_a_url_are_sent_as_such(client: httpx.Client) -> None:
    """A login in the URL is sent as basic authentication and is not part of the Host header."""
    with Receiver() as receiver:
        subscribe(client, receiver.url.replace("127.0.0.1", "me:s%20cret@localhost"))
        run(client)
        (received,) = until(lambda: receiver.received)
    assert received.headers["authorization"] == "Basic bWU6cyBjcmV0"
    assert received.headers["host"].startswith("localhost:")


@pytest.mark.parametrize(
    "wrong", [{"webhook_timeout": 0}, {"webhook_backoff": (-1,)}, {"webhook_backoff": (float("nan"),)}]
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    """A timeout of 0 and negative backoff are rejected at the start."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Emulator(**wrong).start()


def test_every_event_arrives_despite_failures(clock: Clock, connect: Any, tmp_path: Path) -> None:
    """With a receiver that fails every other time and a restart in the middle, every event arrives."""
    chance = random.Random(1)
    seen: list[Received] = []

    def answer(received: Received) -> int:
        seen.append(received)
        return 500 if chance.random() < 0.5 else 200

    def emulator() -> Emulator:
        return Emulator(db=tmp_path / "e.db", clock=clock, webhook_backoff=QUICK)

    with Receiver(answer) as receiver:
        with emulator() as first:
            client = connect(first)
            webhook = subscribe(client, receiver.url)
            prompt = data(client.post("/prompts", json={"title": "t", "content": "x"}), 201)
            path = f"/prompts/{prompt['id']}/execute"
            executions = {data(client.post(path, json={}), 201)["id"] for _ in range(100)}
            client.close()
        assert len({it.event["id"] for it in seen}) <= 100
        with emulator() as second:
            client = connect(second)
            until(lambda: all(it["status"] == "DELIVERED" for it in deliveries(client, webhook)))
            kept = deliveries(client, webhook)
    assert {it.event["data"]["execution_id"] for it in seen} == executions
    assert {it["eventId"] for it in kept} == {it.event["id"] for it in seen}
    assert len(kept) == 100
    assert all(verify_signature(it.body, it.headers, webhook["secret"]) for it in seen)
