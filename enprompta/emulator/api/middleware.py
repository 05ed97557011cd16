"""Middleware for every request and response of the emulator.

In this order: request id, host and origin, credential, rate limits, tier and scopes, body size, injected faults,
idempotency key. It is plain ASGI middleware around FastAPI, so that it covers FastAPI's own errors too (unknown path,
method not allowed).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from enprompta._common.clock import monotonic, real_time
from enprompta._common.headers import KEYED_METHODS
from enprompta.emulator.access import scopes
from enprompta.emulator.access.accounts import bearer, require_api_access
from enprompta.emulator.access.idempotency import (
    CLIENT_PREFIX,
    KEEP_SECONDS,
    StoredResponse,
    client_id_of,
    fingerprint_of,
)
from enprompta.emulator.access.rate_limiter import RateLimitError
from enprompta.emulator.access.trusted_hosts import PAGES, split_target
from enprompta.emulator.api.request_context import SCOPE_KEY, RequestContext
from enprompta.emulator.api.routes import ingest
from enprompta.emulator.database import new_id
from enprompta.emulator.errors import INTERNAL, INVALID_KEY, STOPPING, STORAGE, TOO_LARGE, ApiError, response
from enprompta.emulator.serving.faults import Hit, discard, dripping, drop_connection, response_of
from enprompta.exchanges import LOGGED_BODY_BYTES, Exchange, call_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from enprompta.emulator.api.request_context import Services
    from enprompta.emulator.serving.faults import Fault

logger: logging.Logger = logging.getLogger("enprompta.emulator")

_BASE = "/api/v1"
TOKEN_PATH = "/api/v1/oauth/token"  # noqa: S105 (a path)
OPEN_PATHS = frozenset({"/api/v1/health", TOKEN_PATH})
"""Paths of the API that need no credential."""

_MAX_BODY = 4 * 1024 * 1024


class Middleware:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, services: Services, has_route: Callable[[Scope], bool]) -> None:
        self._app = app
        self._services = services
        self._has_route = has_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request; pass everything else, such as lifespan events, to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        services, started = self._services, monotonic()
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
        at = real_time()

        def log() -> None:
            services.exchanges.add(_logged(scope, context, outgoing, at, (monotonic() - started) * 1000))

        if not _is_own(scope["path"]):
            outgoing.on_end = log
        try:
            await self._answer(scope, receive, context, outgoing)
        finally:
            outgoing.end()

    async def _answer(self, scope: Scope, receive: Receive, context: RequestContext, outgoing: _Outgoing) -> None:
        services = self._services
        try:
            services.trusted_hosts.check(scope, context.headers)
            body = await _read(receive)
            self._admit(scope, context, outgoing)
            context.body = _whole(body)
            hit = Hit(scope["method"], scope["path"].removeprefix(_BASE), context.headers, context.body)
            fault = None if _is_own(scope["path"]) else services.faults.match(hit)
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
        if _is_own(path):
            _check_control(path, context.headers.get("authorization"), services.control_token)
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
        if fault.drip:
            outgoing.drip(fault.drip)
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
                outgoing.failure = f"A fault dropped the connection {fault.drop} the work"
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
        self.failure: str | None = None
        """The reason that there is no response, if there is none."""
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        """The start of the response body, as much as the log keeps."""
        self.size = 0
        self.on_end: Callable[[], None] | None = None
        """Called once, before the last part of the response is sent, or when it is known that there is none."""
        self._send = send
        self._drips = False
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
            self.status, self.headers = message["status"], message["headers"]
        else:
            data: bytes = message.get("body", b"")
            self.size += len(data)
            self.body += data[: max(0, LOGGED_BODY_BYTES - len(self.body))]
            if not message.get("more_body") and not self._drips:
                self.end()
        await self._send(message)

    def end(self) -> None:
        """Call `on_end`, if that has not happened yet."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()

    def drip(self, seconds: float) -> None:
        """Send the response body in small pieces, with a pause before each."""
        self._send = dripping(self._send, seconds)
        self._drips = True


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


def _is_own(path: str) -> bool:
    """Return True for paths of the emulator itself, which are neither counted nor logged nor affected by faults."""
    return path in PAGES or f"{path}/".startswith("/control/")


def _check_control(path: str, authorization: str | None, token: str) -> None:
    """Raise a 401 if a request to the control interface lacks its token."""
    if path not in PAGES and not secrets.compare_digest(bearer(authorization).encode(), token.encode()):
        message = "The control interface needs the control token that the emulator prints: Authorization: Bearer TOKEN"
        raise ApiError(INVALID_KEY, message, headers={"WWW-Authenticate": 'Bearer realm="control"'})


def _logged(scope: Scope, context: RequestContext, outgoing: _Outgoing, at: float, ms: float) -> Exchange:
    """Return the record of a request and its response."""
    headers = [*context.headers.items()]
    call, attempt = call_of(headers)
    failure = outgoing.failure or (None if outgoing.started else "The client disconnected")
    return Exchange(
        id=0,
        at=at,
        method=scope["method"],
        path=scope["path"],
        query=context.query_string.decode("latin-1"),
        status=outgoing.status,
        ms=round(ms, 1),
        request_id=context.request_id,
        error=failure,
        call=call,
        attempt=attempt,
        request_headers=tuple(headers),
        request_body=context.body[:LOGGED_BODY_BYTES],
        request_size=len(context.body),
        response_headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in outgoing.headers),
        response_body=bytes(outgoing.body),
        response_size=outgoing.size,
    )


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
