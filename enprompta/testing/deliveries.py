"""Signed webhook deliveries for tests, in the form that the service sends."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from wsgiref.util import setup_testing_defaults

from enprompta._common.clock import wall_clock
from enprompta.webhooks.ecma_json import ecma_json
from enprompta.webhooks.signature import SIGNATURE_HEADER, sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.models.events import WebhookEvent

__all__ = ["EXAMPLES", "WEBHOOK_SECRET", "WebhookDelivery", "webhook_delivery"]

WEBHOOK_SECRET = "whsec_for_tests_only"  # noqa: S105 (not a real secret)
"""The default signing secret of `webhook_delivery`; configure it in the application under test."""

EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "prompt.executed": {
        "execution_id": "exe_example",
        "prompt_id": "pmt_example",
        "status": "completed",
        "tokens_used": 568,
        "cost": 0.0284,
    },
    "workflow.completed": {
        "execution_id": "wfe_example",
        "workflow_id": "wfl_example",
        "status": "completed",
        "tokens_used": 1240,
        "cost": 0.062,
    },
    "workflow.failed": {
        "execution_id": "wfe_example",
        "workflow_id": "wfl_example",
        "status": "failed",
        "tokens_used": 310,
        "cost": 0.0155,
        "error": "Step 'draft' failed: the model did not answer",
    },
    "team.member_added": {
        "team_id": "tem_example",
        "user_id": "usr_example",
        "email": "ada@example.com",
        "role": "MEMBER",
    },
    "team.member_removed": {
        "team_id": "tem_example",
        "user_id": "usr_example",
        "email": "ada@example.com",
        "role": "MEMBER",
    },
}
"""Example `data` for each event type."""


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A signed request, with conversions for common test clients."""

    body: bytes
    """The raw body."""
    headers: Mapping[str, str] = field(repr=False)
    """All headers, including the signature."""

    def httpx(self) -> dict[str, Any]:
        """Return arguments for `httpx` and for the test clients of Starlette and FastAPI.

        client.post("/webhooks", **delivery.httpx())
        """
        return {"content": self.body, "headers": dict(self.headers)}

    def flask(self) -> dict[str, Any]:
        """Return arguments for Flask's and werkzeug's test clients, and for `requests`.

        client.post("/webhooks", **delivery.flask())
        """
        return {"data": self.body, "headers": dict(self.headers)}

    def django(self) -> dict[str, Any]:
        """Return arguments for Django's test client.

        client.post("/webhooks", **delivery.django())
        """
        headers = {name: value for name, value in self.headers.items() if name != "Content-Type"}
        return {"data": self.body, "content_type": self.headers["Content-Type"], "headers": headers}

    def wsgi(self, path: str = "/") -> dict[str, Any]:
        """Return the `environ` of a WSGI application.

        Args:
            path: The path of the request.
        """
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "testserver",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": headers.pop("HTTP_CONTENT_TYPE"),
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.input": io.BytesIO(self.body),
            **headers,
        }
        setup_testing_defaults(environ)
        return environ

    def asgi(self, path: str = "/") -> tuple[dict[str, Any], Callable[[], Awaitable[dict[str, Any]]]]:
        """Return the `scope` and `receive` of an ASGI application.

        Args:
            path: The path of the request.
        """
        named = {"content-length": str(len(self.body)), **self.headers}
        scope: dict[str, object] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
        }
        messages = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        return scope, receive


def webhook_delivery(
    event: str | Mapping[str, Any] | WebhookEvent = "prompt.executed",
    *,
    data: Mapping[str, object] | None = None,
    event_id: str | None = None,
    created_at: datetime | None = None,
    secret: str | bytes = WEBHOOK_SECRET,
    signature: str | None = None,
) -> WebhookDelivery:
    """Create a delivery, signed like those of the service.

    Args:
        event: The name of an event, to send its example; or a whole payload; or an event from `construct_event`.
        data: Fields that replace those of the example's data; the whole data for an event without an example.
        event_id: The event's id; None for a new one, or the payload's id.
        created_at: When the event happened; None for now, or the payload's time.
        secret: The webhook's secret in the application under test; use another one to test a refusal.
        signature: A signature to send instead of the correct one; empty to send none.

    Returns:
        The request. To tamper with it after it was signed: `dataclasses.replace(delivery, body=...)`.
    """
    payload = _payload(event)
    payload["data"] = {**payload["data"], **data} if data else payload["data"]
    payload["id"] = event_id or payload["id"]
    payload["created_at"] = _iso(created_at) if created_at else payload["created_at"]
    body = ecma_json(payload).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "enprompta-testing",
        SIGNATURE_HEADER: sign(body, secret) if signature is None else signature,
        "X-Enprompta-Event": str(payload["event"]),
        "X-Enprompta-Event-Id": str(payload["id"]),
        "X-Enprompta-Delivery-Id": f"dlv_{uuid4().hex[:20]}",
    }
    return WebhookDelivery(body, {name: value for name, value in headers.items() if value})


def _payload(event: str | Mapping[str, Any] | WebhookEvent) -> dict[str, Any]:
    given: Mapping[str, Any]
    if isinstance(event, str):
        given = {"event": event}
    elif isinstance(event, Mapping):
        given = event
    else:
        given = event.model_dump(mode="json")
    name = given.get("event", "prompt.executed")
    return {
        "id": f"evt_{uuid4().hex[:20]}",
        "event": name,
        "created_at": _iso(datetime.fromtimestamp(wall_clock(), timezone.utc)),
        "api_version": "2024-01-01",
        "data": EXAMPLES.get(name, {}),
        **given,
    }


def _iso(moment: datetime) -> str:
    """Format a time like the API; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
