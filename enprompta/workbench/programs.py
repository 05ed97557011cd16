"""The addresses for programs: their reports, and the relay if there is one."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from enprompta.exchanges import Exchange, TimelineEvent
from enprompta.workbench.security import REPORT_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from enprompta.exchanges import ExchangeLog

_MAX_REPORT = 16 * 1024 * 1024
_KINDS = frozenset({"wait", "request", "response", "retry"})


class Programs:
    """ASGI application that takes the reports of programs, and passes other requests to the relay, if there is one."""

    def __init__(self, log: ExchangeLog, relay: ASGIApp | None) -> None:
        self._log = log
        self._relay = relay
        self.report_path: str = f"{REPORT_PATH}/{secrets.token_urlsafe(24)}"
        """Path for reports; its last part is a secret."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not scope["path"].startswith(f"{REPORT_PATH}/"):
            answer = self._relay or PlainTextResponse("Start the Workbench with --relay to use it as a relay", 404)
        elif not secrets.compare_digest(scope["path"].encode(), self.report_path.encode()):
            answer = PlainTextResponse("Unknown address: use the one that the Workbench has printed", 404)
        else:
            answer = await self._take(Request(scope, receive))
        await answer(scope, receive, send)

    async def _take(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > _MAX_REPORT:
                    return PlainTextResponse("The report is too large", 413, headers={"Connection": "close"})
            for report in json.loads(body):
                self._add(report)
        except ClientDisconnect:
            return Response(status_code=400)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return PlainTextResponse("The report is invalid", 400)
        return Response(status_code=204)

    def _add(self, report: dict[str, Any]) -> None:
        if "exchange" in report:
            self._log.add(Exchange.from_json({**report["exchange"], "source": "program"}))
        else:
            step = report["event"]
            event = TimelineEvent(step["kind"], float(step["at"]), float(step["seconds"]), str(step["text"]))
            if event.kind not in _KINDS:
                raise ValueError(event.kind)
            self._log.add_events(str(report["call"]), int(report["attempt"]), [event])
