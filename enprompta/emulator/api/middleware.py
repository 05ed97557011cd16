"""Middleware for every request and response of the emulator.

In this order: request id, host and origin, credential, rate limits, tier and scopes, body size, injected faults,
idempotency key. It is plain ASGI middleware around FastAPI, so that it covers FastAPI's own errors too (unknown path,
method not allowed).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from enprompta._common.idempotency import KEYED_METHODS
from enprompta.emulator.access import scopes
from enprompta.emulator.access.accounts import require_api_access
from enprompta.emulator.access.idempotency import (
    CLIENT_PREFIX,
    KEEP_SECONDS,
    StoredResponse,
    client_id_of,
    fingerprint_of,
)
from enprompta.emulator.access.rate_limiter import RateLimitError
from enprompta.emulator.access.trusted_hosts import split_target
from enprompta.emulator.api.request_context import SCOPE_KEY, RequestContext
from enprompta.emulator.api.routes import ingest
from enprompta.emulator.database import new_id
from enprompta.emulator.errors import INTERNAL, STOPPING, STORAGE, TOO_LARGE, ApiError, response
from enprompta.emulator.serving.faults import Hit, discard, drop_connection, response_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from enprompta.emulator.services import Services
    from enprompta.emulator.serving.faults import Fault

logger: logging.Logger = logging.getLogger("enprompta.emulator")

_BASE = "/api/v1"
TOKEN_PATH = "/api/v1/oauth/token"  # noqa: S105 (a path)
OPEN_PATHS = frozenset({"/api/v1/health", TOKEN_PATH})
"""Paths of the API that need no credential."""

_MAX_BODY = 4 * 1024 * 1024

PAGE_HEADERS = {
    # Scripts and styles come from this server's files. Swagger UI also sets inline styles and shows data: images.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of all responses under `/workbench`: other pages cannot frame it, script it or read its files."""


class Middleware:
    """ASGI middleware around the application.

    Args:
        app: The application, which handles the requests that are admitted.
        services: The emulator's parts.
        has_route: Returns True if the application has a route for the request's path and method.
    """

    def __init__(self, app: ASGIApp, services: Services, has_route: Callable[[Scope], bool]) -> None:
        self._app = app
        self._services = services
        self._has_route = has_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request; pass everything else, such as lifespan events, to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services = self._services
        context = RequestContext(
            services=services,
            account=services.accounts.anonymous,
            request_id=new_id("req"),
            now=services.clock(),
            query_string=scope["query_string"],
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        )
        scope[SCOPE_KEY] = context
        scope["path"] = canonical_path(split_target(scope["raw_path"])[1])
        outgoing = _Outgoing(send, context)
        if _is_page(scope["path"]):
            outgoing.add(PAGE_HEADERS)
        try:
            services.trusted_hosts.check(scope, context.headers)
            body = await _read(receive)
            self._admit(scope, context, outgoing)
            context.body = _whole(body)
            hit = Hit(scope["method"], scope["path"].removeprefix(_BASE), context.headers, context.body)
            fault = services.faults.match(hit)
            if fault is None:
                await self._handle(scope, context, outgoing)
            else:
                await self._inject_fault(fault, scope, receive, context, outgoing)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:  # the server is stopping and the grace period is over
            await self._fail(scope, outgoing, context, ApiError(STOPPING, "The emulator is stopping"))
        except Exception as error:  # noqa: BLE001 (the client gets a response whatever the handler raises)
            failure = failure_of(error)
            if failure is not error:
                _log(error, scope, context)
            await self._fail(scope, outgoing, context, failure)

    async def _fail(self, scope: Scope, outgoing: _Outgoing, context: RequestContext, error: ApiError) -> None:
        if not outgoing.started:
            await error_response(error, scope, context)(scope, _never_receive, outgoing)

    def _admit(self, scope: Scope, context: RequestContext, outgoing: _Outgoing) -> None:
        """Authenticate a request, count it and check its permissions; raise an `ApiError` if it is refused."""
        services, path = self._services, scope["path"]
        if _is_page(path):  # the Workbench's pages need no credential and are not counted
            return
        authorization = context.headers.get("authorization")
        account = services.accounts.find(authorization) or services.clients.find(authorization, context.now)
        context.account = account or services.accounts.anonymous
        if path != ingest.INGEST_PATH:  # ingest is outside the API's request budget
            try:
                window = services.limiter.count(context.account, context.now)
            except RateLimitError as refused:
                outgoing.add(refused.window.headers())
                raise
            outgoing.add(window.headers())
        if path in OPEN_PATHS or not path.startswith("/api/"):
            return
        if account is None:
            services.clients.refuse_expired(authorization)
            account = services.accounts.authenticate(authorization)
        require_api_access(account)
        scopes.require(account.scopes, scope["method"], path)

    async def _inject_fault(
        self, fault: Fault, scope: Scope, receive: Receive, context: RequestContext, outgoing: _Outgoing
    ) -> None:
        """Apply an injected fault to a request."""
        await asyncio.sleep(fault.latency)
        if fault.status is not None:
            dialect = self._services.error_dialect
            injected = response_of(fault, fault.status, dialect=dialect, request_id=context.request_id)
            await injected(scope, _never_receive, outgoing)
        elif fault.drop is None:
            await self._handle(scope, context, outgoing)
        else:
            try:
                if fault.drop == "after":
                    await self._handle(scope, context, _Outgoing(discard, context))
            finally:
                await drop_connection(scope, receive)

    async def _handle(self, scope: Scope, context: RequestContext, outgoing: _Outgoing) -> None:
        key, method = context.headers.get("idempotency-key"), scope["method"]
        owner, keep = self._owner_of_keys(scope["path"], context)
        if key is None or method not in KEYED_METHODS or owner is None or not self._has_route(scope):
            await self._app(scope, _never_receive, outgoing)
            return

        async def handle() -> StoredResponse:
            recorder = _ResponseRecorder()
            await self._app(scope, _never_receive, recorder)
            return StoredResponse(recorder.status, bytes(recorder.body), recorder.headers)

        fingerprint = fingerprint_of(method, scope["path"], context.query_string, context.body)
        stored = await self._services.idempotency.once(owner, key, fingerprint, context.now, handle, keep=keep)
        if stored.replayed:
            outgoing.add({"Idempotent-Replayed": "true"})
        await Response(stored.body, stored.status, stored.headers)(scope, _never_receive, outgoing)

    def _owner_of_keys(self, path: str, context: RequestContext) -> tuple[str | None, float]:
        """Return the owner of a request's idempotency key and the seconds it is valid; the owner may be None."""
        services = self._services
        if path == TOKEN_PATH:  # the key belongs to the client; a replayed token must not have expired
            client_id = client_id_of(context.body)
            owner = None if client_id is None else CLIENT_PREFIX + client_id
            return owner, min(KEEP_SECONDS, services.clients.lifetime)
        anonymous = context.account is services.accounts.anonymous
        return None if anonymous else context.account.id, KEEP_SECONDS


class _Outgoing:
    """Sends a response with the headers common to all responses."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self.started = False
        self._send = send
        self._headers: list[tuple[bytes, bytes]] = []
        self.add({"Date": formatdate(context.now, usegmt=True), "X-Request-Id": context.request_id})

    def add(self, headers: dict[str, str]) -> None:
        """Add headers to the response."""
        self._headers += [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, message: Message) -> None:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            self.started = True
            present = {name for name, _ in message["headers"]}  # headers of an injected fault take precedence
            added = [header for header in self._headers if header[0] not in present]
            message["headers"] = [*message["headers"], *added]
        await self._send(message)


class _ResponseRecorder:
    """Records a response instead of sending it."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Record a message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


def canonical_path(raw_path: bytes) -> str:
    """Percent-encode a path in canonical form, so that it is routed by its segments.

    A segment may contain an encoded slash (RFC 3986, section 2.2): `/prompts/..%2Fteams` is a prompt with the id
    `../teams`. Decoded, the path would look like `/teams`.
    """
    return "/".join(quote(unquote(segment), safe="") for segment in raw_path.decode("latin-1").split("/"))


def _is_page(path: str) -> bool:
    return f"{path}/".startswith("/workbench/")


async def _read(receive: Receive) -> bytes | None:
    """Read the whole body, also of a request that will be refused, so that the connection can be reused.

    Returns:
        The body; None if it is larger than the limit. Nothing beyond the limit is read.

    Raises:
        ClientDisconnect: The body is incomplete. It is never handled, even if the part received would be valid.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _whole(body: bytes | None) -> bytes:
    """Return the body; raise a 413 if it was too large."""
    if body is None:
        message = f"The body is larger than {_MAX_BODY} bytes"
        raise ApiError(TOO_LARGE, message, headers={"Connection": "close"})
    return body


async def _never_receive() -> Message:
    """Wait forever: an ASGI `receive` for a request whose body was already read."""
    return await asyncio.get_running_loop().create_future()


def error_response(error: ApiError, scope: Scope, context: RequestContext) -> Response:
    """Build the response of an error: in the API's format, or in OTLP's where spans are ingested."""
    if scope["path"] == ingest.INGEST_PATH:
        return ingest.error_response(error, context.headers)
    return response(error, dialect=context.services.error_dialect, request_id=context.request_id)


def failure_of(error: Exception) -> ApiError:
    """Return the error response for an exception."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, sqlite3.DatabaseError):  # such as a full disk, or a file that was removed or overwritten
        return ApiError(STORAGE, f"The emulator's database failed: {error}")
    return ApiError(INTERNAL, "Internal server error")


def _log(error: Exception, scope: Scope, context: RequestContext) -> None:
    trace = None if isinstance(error, sqlite3.DatabaseError) else error
    call = f"{scope['method']} {scope['path']}"
    logger.error("request failed: %s, %s: %s", call, context.request_id, error, exc_info=trace)
