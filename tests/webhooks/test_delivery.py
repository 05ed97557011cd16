"""The observable results of a delivery: a reply in the API's format, a log line, and a named thread."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest

from enprompta.errors import ConfigurationError
from enprompta.webhooks import MemoryStore, Reply, WebhookReceiver, sign
from enprompta.webhooks._delivery import refused

SECRET = "whsec_0123456789"
EVENT = {
    "id": "evt_1",
    "event": "prompt.executed",
    "created_at": "2024-01-17T10:15:00Z",
    "data": {"execution_id": "exe_1", "prompt_id": "pmt_1"},
}


def deliver(receiver: WebhookReceiver, payload: Any = EVENT, signature: str | None = None) -> int:
    """Deliver a payload, validly signed unless a signature is given, and return the status of the reply."""
    body = json.dumps(payload).encode()
    return receiver.handle(body, {"X-Enprompta-Signature": signature or sign(body, SECRET)}).status


def test_a_refusal_has_the_apis_form() -> None:
    """An error reply is JSON with a code and a message, as the API's own errors are, with the JSON content type."""
    assert refused(418, "A_TEAPOT", "Short and stout", ("Allow", "BREW")) == Reply(
        418,
        b'{"error": {"code": "A_TEAPOT", "message": "Short and stout"}}',
        (("Content-Type", "application/json"), ("Allow", "BREW")),
    )


def test_every_delivery_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each outcome is one log line with a constant event name and fields for the event and the reason."""
    store, leave = MemoryStore(), threading.Event()
    receiver, hasty = WebhookReceiver(SECRET, store=store), WebhookReceiver(SECRET, timeout=0.1)
    receiver.on("prompt.executed")(lambda event: None)
    hasty.on("*")(lambda event: leave.wait(30))
    store.claim("own_2", "elsewhere", 60)
    with caplog.at_level(logging.DEBUG, "enprompta.webhooks"):
        statuses = [
            deliver(receiver, signature="sha256=" + "0" * 64),
            deliver(receiver, []),
            deliver(receiver, {**EVENT, "id": "own_1", "event": "prompt.new"}),
            deliver(receiver, {**EVENT, "id": "own_1"}),
            deliver(receiver, {**EVENT, "id": "own_1"}),
            deliver(receiver, {**EVENT, "id": "own_2"}),
            deliver(hasty, {**EVENT, "id": "own_3"}),
        ]
        lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    leave.set()
    # Threads left by earlier tests may still be handling their events.
    lines = [line for line in lines if "own_" in line[1] or "refused" in line[1]]
    assert statuses == [401, 400, 200, 200, 200, 503, 500]
    unsigned = (
        "The webhook delivery is not signed with this secret: check the secret, that X-Enprompta-Signature arrives, "
        "and that the raw body is passed unchanged"
    )
    assert lines == [
        ("WARNING", f"webhook.refused status=401 reason={unsigned}"),
        (
            "WARNING",
            "webhook.refused status=400 reason=The webhook delivery is signed, but its body is not a JSON object",
        ),
        ("DEBUG", "webhook.ignored event=prompt.new event_id=own_1"),
        ("INFO", "webhook.handled event=prompt.executed event_id=own_1"),
        ("INFO", "webhook.duplicate event_id=own_1 state=done"),
        ("INFO", "webhook.duplicate event_id=own_2 state=busy"),
        ("ERROR", "webhook.handler_timeout event=prompt.executed event_id=own_3"),
    ]


def test_the_thread_of_a_handler() -> None:
    """The thread of a sync handler is named after the event, and is a daemon thread."""
    seen: list[tuple[str, bool]] = []
    receiver = WebhookReceiver(SECRET)
    receiver.on("*")(lambda event: seen.append((threading.current_thread().name, threading.current_thread().daemon)))
    assert deliver(receiver) == 200
    assert seen == [("webhook evt_1", True)]


def test_time_and_lease_by_default() -> None:
    """The default timeout is ten seconds and the default lease five minutes; the lease must be longer."""
    WebhookReceiver(SECRET, lease=10.5)
    with pytest.raises(ConfigurationError, match=r"^lease \(10 s\) must be longer than timeout \(10 s\)$"):
        WebhookReceiver(SECRET, lease=10)
    WebhookReceiver(SECRET, timeout=299.5)
    with pytest.raises(ConfigurationError, match=r"^lease \(300 s\) must be longer than timeout \(300 s\)$"):
        WebhookReceiver(SECRET, timeout=300)


def test_a_cap_of_one_byte() -> None:
    """`max_body=1` is a valid setting: a body of one byte is accepted."""
    receiver = WebhookReceiver(SECRET, max_body=1)
    assert receiver.handle(b"0", {"X-Enprompta-Signature": sign(b"0", SECRET)}).status == 400
    assert receiver.handle(b"00", {"X-Enprompta-Signature": sign(b"00", SECRET)}).status == 413
