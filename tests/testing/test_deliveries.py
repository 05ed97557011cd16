"""Forged webhook deliveries look like those of the service, in any test client."""

from __future__ import annotations

import asyncio
import io
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import django
import httpx
import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from flask import Flask, request
from starlette.applications import Starlette
from starlette.routing import Route
from werkzeug.wrappers import Request

from enprompta import WebhookPayloadError, WebhookSignatureError
from enprompta.models import events as models
from enprompta.testing import EXAMPLES, WEBHOOK_SECRET, webhook_delivery
from enprompta.webhooks import PromptExecuted, UnknownEvent, WebhookEvent, WebhookReceiver, construct_event, ecma_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.testing import WebhookDelivery


def read(delivery: WebhookDelivery, secret: str = WEBHOOK_SECRET) -> WebhookEvent:
    """Read a delivery like a receiver."""
    return construct_event(delivery.body, delivery.headers, secret)


@pytest.mark.parametrize("event", EXAMPLES)
def test_every_event_has_a_whole_example(event: str) -> None:
    """Each event's example is signed, has its type, and sets every field."""
    read_event = read(webhook_delivery(event))
    assert read_event.event == event
    assert not isinstance(read_event, UnknownEvent)
    assert read_event.data.model_fields_set == set(type(read_event.data).model_fields)
    assert read_event.data.model_extra == {}


def test_the_examples_are_of_all_events() -> None:
    """Every known event has an example."""
    assert set(EXAMPLES) == models._KNOWN


def test_what_is_given_replaces_the_example() -> None:
    """Given data is merged over the example's; id, time and secret are as given."""
    when = datetime(2024, 1, 17, 11, 15, tzinfo=timezone(timedelta(hours=1)))
    delivery = webhook_delivery("prompt.executed", data={"cost": 1.5}, event_id="evt_7", created_at=when, secret="s")
    event = read(delivery, "s")
    assert isinstance(event, PromptExecuted)
    assert (event.id, event.data.cost, event.data.status) == ("evt_7", 1.5, "completed")
    assert b'"created_at":"2024-01-17T10:15:00Z"' in delivery.body
    assert b'"created_at":"2024-01-17T11:15:00Z"' in webhook_delivery(created_at=when.replace(tzinfo=None)).body
    with pytest.raises(WebhookSignatureError):
        read(delivery)


def test_two_deliveries_are_of_two_events() -> None:
    """Each delivery has a new id, so a deduplicating receiver handles both."""
    assert read(webhook_delivery()).id != read(webhook_delivery()).id


def test_events_that_are_not_known_and_whole_payloads() -> None:
    """Any name, any payload and any received event can be sent."""
    assert read(webhook_delivery("prompt.rated", data={"stars": 5})).data == {"stars": 5}
    when = "2024-01-17T10:15:00Z"
    payload = {"id": "evt_1", "event": "prompt.executed", "created_at": when, "api_version": "x", "data": {}}
    assert webhook_delivery(payload).body == ecma_json(payload).encode()
    event = read(webhook_delivery("workflow.failed"))
    assert read(webhook_delivery(event)) == event
    with pytest.raises(WebhookPayloadError):
        read(webhook_delivery({"created_at": "yesterday"}))


def test_signatures_that_are_wrong() -> None:
    """A wrong or missing signature, and a body changed after signing, are refused."""
    good = webhook_delivery(event_id="evt_1")
    assert "X-Enprompta-Signature" not in webhook_delivery(signature="").headers
    tampered = replace(good, body=good.body.replace(b"0.0284", b"0.0001"))
    for wrong in (webhook_delivery(signature="sha256=00"), webhook_delivery(signature=""), tampered):
        with pytest.raises(WebhookSignatureError):
            read(wrong)


def test_a_delivery_does_not_show_its_signature() -> None:
    """The repr is short and contains no header."""
    assert "sha256" not in repr(webhook_delivery())


@pytest.fixture
def receiver() -> WebhookReceiver:
    """A receiver with the secret of the tests."""
    receiver = WebhookReceiver(WEBHOOK_SECRET)
    receiver.on("prompt.executed")(lambda event: None)
    return receiver


def test_httpx(receiver: WebhookReceiver, webhook_delivery: Callable[..., WebhookDelivery]) -> None:
    """A delivery works with an httpx client and the test clients of Starlette and FastAPI."""
    app = Starlette(routes=[Route("/webhooks", receiver.asgi, methods=["POST"])])

    async def post(delivery: WebhookDelivery) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post("/webhooks", **delivery.httpx())

    assert asyncio.run(post(webhook_delivery())).json() == {"status": "handled"}
    assert asyncio.run(post(webhook_delivery(secret="no"))).status_code == 401


def test_flask(receiver: WebhookReceiver, webhook_delivery: Callable[..., WebhookDelivery]) -> None:
    """Flask's test client takes a delivery."""
    app = Flask(__name__)

    @app.post("/webhooks")
    def receive() -> tuple[bytes, int]:
        reply = receiver.handle(request.get_data(), request.headers)
        return reply.body, reply.status

    response = app.test_client().post("/webhooks", **webhook_delivery().flask())
    assert response.get_json(force=True) == {"status": "handled"}


def test_django(receiver: WebhookReceiver, webhook_delivery: Callable[..., WebhookDelivery]) -> None:
    """Django's test client takes a delivery."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"])
        django.setup()
    from django.test import RequestFactory

    made: HttpRequest = RequestFactory().post("/webhooks", **webhook_delivery().django())
    reply = receiver.handle(made.body, made.headers)
    assert HttpResponse(reply.body, status=reply.status).content == b'{"status": "handled"}'
    assert made.content_type == "application/json"
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def test_bare_asgi(receiver: WebhookReceiver) -> None:
    """Scope and receive are those of a server."""
    scope, receive = webhook_delivery().asgi("/webhooks")
    assert scope["path"] == "/webhooks"
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(receiver.asgi(scope, receive, send))
    assert sent[0]["status"] == 200
    assert asyncio.run(receive()) == {"type": "http.disconnect"}  # type: ignore[arg-type]


def test_bare_wsgi(receiver: WebhookReceiver) -> None:
    """The environ is that of a server."""
    environ = webhook_delivery().wsgi("/webhooks")
    lines: list[str] = []
    body = b"".join(receiver.wsgi(environ, lambda line, headers, /: lines.append(line)))
    assert (lines, body) == (["200 OK"], b'{"status": "handled"}')
    seen = Request({**webhook_delivery().wsgi("/webhooks"), "wsgi.input": io.BytesIO()})
    assert (seen.path, seen.method, seen.content_type) == ("/webhooks", "POST", "application/json")
