"""What happens to every request before its handler runs, and to every response on its way out.

In this order: a request id, the host and the origin, the credential, the request windows, the tier, the size of the
body, injected faults, the idempotency key. Plain ASGI around the whole of FastAPI, so that answers of the framework
itself (an unknown path, a wrong method) go the same way.
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

from enprompta.emulator.access import scopes
from enprompta.emulator.access.accounts import require_api_access
from enprompta.emulator.access.idempotency import (
    CLIENT_PREFIX,
    KEEP_SECONDS,
    METHODS,
    StoredResponse,
    client_id_of,
    fingerprint_of,
)
from enprompta.emulator.access.rate_limiter import RateLimitError
from enprompta.emulator.access.visitors import split_target
from enprompta.emulator.api.request_context import SCOPE_KEY, RequestContext
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
"""Paths of the API that ask for no key."""

_LARGEST_BODY = 4 * 1024 * 1024

PAGE_HEADERS = {
    # Scripts and styles come from this server's own files. Swagger UI sets styles on elements and shows data: images.
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
"""Headers of everything under `/workbench`: no other page can frame it, script it or read its files."""


class Middleware:
    """The ASGI application that uvicorn serves.

    Args:
        app: What answers the requests that are let in.
        services: The emulator's parts.
        has_route: Tells whether a request is for something that the application has, by a method it has.
    """

    def __init__(self, app: ASGIApp, services: Services, has_route: Callable[[Scope], bool]) -> None:
        self._app = app
        self._services = services
        self._has_route = has_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything else, such as the start and end of the server, is the application's."""
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
            services.visitors.check(scope, context.headers)
            body = await _read(receive)
            self._admit(scope, context, outgoing)
            context.body = _whole(body)
            hit = Hit(scope["method"], scope["path"].removeprefix(_BASE), context.headers, context.body)
            fault = services.faults.match(hit)
            if fault is None:
                await self._answer(scope, context, outgoing)
            else:
                await self._inject_fault(fault, scope, receive, context, outgoing)
        except ClientDisconnect:  # there is nobody to answer
            return
        except asyncio.CancelledError:  # the server stops and has waited long enough
            await self._fail(scope, outgoing, context, ApiError(STOPPING, "The emulator is stopping"))
        except Exception as error:  # noqa: BLE001 (whatever a handler does, its client gets an answer)
            failure = failure_of(error)
            if failure is not error:
                _log(error, scope, context)
            await self._fail(scope, outgoing, context, failure)

    async def _fail(self, scope: Scope, outgoing: _Outgoing, context: RequestContext, error: ApiError) -> None:
        if not outgoing.started:
            answer = response(error, dialect=self._services.error_dialect, request_id=context.request_id)
            await answer(scope, _nothing_more, outgoing)

    def _admit(self, scope: Scope, context: RequestContext, outgoing: _Outgoing) -> None:
        """Find out who it is and whether they may ask; an `ApiError` when they may not."""
        services, path = self._services, scope["path"]
        if _is_page(path):  # pages for people: free, and no part of the API
            return
        authorization = context.headers.get("authorization")
        account = services.accounts.find(authorization) or services.clients.find(authorization, context.now)
        context.account = account or services.accounts.anonymous
        try:
            window = services.limiter.count(context.account, context.now)
        except RateLimitError as refused:
            outgoing.add(refused.window.headers())
            raise
        outgoing.add(window.headers())
        if path in OPEN_PATHS or not path.startswith("/api/"):
            return
        if account is None:
            services.clients.refuse_ended(authorization)
            account = services.accounts.authenticate(authorization)
        require_api_access(account)
        scopes.require(account.scopes, scope["method"], path)

    async def _inject_fault(
        self, fault: Fault, scope: Scope, receive: Receive, context: RequestContext, outgoing: _Outgoing
    ) -> None:
        """Let a fault that was asked for take its course."""
        await asyncio.sleep(fault.latency)
        if fault.status is not None:
            dialect = self._services.error_dialect
            injected = response_of(fault, fault.status, dialect=dialect, request_id=context.request_id)
            await injected(scope, _nothing_more, outgoing)
        elif fault.drop is None:
            await self._answer(scope, context, outgoing)
        else:
            try:
                if fault.drop == "after":
                    await self._answer(scope, context, _Outgoing(discard, context))
            finally:
                await drop_connection(scope, receive)

    async def _answer(self, scope: Scope, context: RequestContext, outgoing: _Outgoing) -> None:
        key, method = context.headers.get("idempotency-key"), scope["method"]
        owner, keep = self._owner_of_keys(scope["path"], context)
        if key is None or method not in METHODS or owner is None or not self._has_route(scope):
            await self._app(scope, _nothing_more, outgoing)
            return

        async def first() -> StoredResponse:
            recorder = _Recorder()
            await self._app(scope, _nothing_more, recorder)
            return StoredResponse(recorder.status, bytes(recorder.body), recorder.headers)

        fingerprint = fingerprint_of(method, scope["path"], context.query_string, context.body)
        answer = await self._services.idempotency.once(owner, key, fingerprint, context.now, first, keep=keep)
        if answer.replayed:
            outgoing.add({"Idempotent-Replayed": "true"})
        await Response(answer.body, answer.status, answer.headers)(scope, _nothing_more, outgoing)

    def _owner_of_keys(self, path: str, context: RequestContext) -> tuple[str | None, float]:
        """Return who a request's idempotency key belongs to, None for no one, and how many seconds it counts."""
        services = self._services
        if path == TOKEN_PATH:  # a token is given to a client, and is of no use after its end
            client_id = client_id_of(context.body)
            owner = None if client_id is None else CLIENT_PREFIX + client_id
            return owner, min(KEEP_SECONDS, services.clients.lifetime)
        anonymous = context.account is services.accounts.anonymous
        return None if anonymous else context.account.id, KEEP_SECONDS


class _Outgoing:
    """Sends a response with the headers that every response has."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self.started = False
        self._send = send
        self._headers: list[tuple[bytes, bytes]] = []
        self.add({"Date": formatdate(context.now, usegmt=True), "X-Request-Id": context.request_id})

    def add(self, headers: dict[str, str]) -> None:
        """Put headers on the response to come."""
        self._headers += [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, message: Message) -> None:
        """Pass a message of the response on."""
        if message["type"] == "http.response.start":
            self.started = True
            given = {name for name, _ in message["headers"]}  # an injected fault's own headers go first
            message["headers"] = [*message["headers"], *(header for header in self._headers if header[0] not in given)]
        await self._send(message)


class _Recorder:
    """Takes a response in rather than sending it."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Take a message of the response in."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


def canonical_path(raw_path: bytes) -> str:
    """Quote a path in the one canonical way, so that it is routed by its segments.

    A segment may hold a quoted slash (RFC 3986, section 2.2): `/prompts/..%2Fteams` asks for a prompt called
    `../teams`, and an unquoted path could not tell it from `/teams`.
    """
    return "/".join(quote(unquote(segment), safe="") for segment in raw_path.decode("latin-1").split("/"))


def _is_page(path: str) -> bool:
    return f"{path}/".startswith("/workbench/")


async def _read(receive: Receive) -> bytes | None:
    """Read the body to its end, also of a request that will be refused: the connection can then be used again.

    Returns:
        The body; None where it is too large, of which no more than the limit is read.

    Raises:
        ClientDisconnect: The body broke off. What came of it asks for nothing, even where it would do as a request.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > _LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _whole(body: bytes | None) -> bytes:
    """Return a body that was read to its end; a 413 for one that was not."""
    if body is None:
        message = f"The body is larger than {_LARGEST_BODY} bytes"
        raise ApiError(TOO_LARGE, message, headers={"Connection": "close"})
    return body


async def _nothing_more() -> Message:
    """Stand in for the rest of a request that has been read already: it never comes."""
    return await asyncio.get_running_loop().create_future()


def failure_of(error: Exception) -> ApiError:
    """Tell what an exception is answered with."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, sqlite3.DatabaseError):  # a full disk, a file that was taken away or overwritten
        return ApiError(STORAGE, f"The emulator's database failed: {error}")
    return ApiError(INTERNAL, "Internal server error")


def _log(error: Exception, scope: Scope, context: RequestContext) -> None:
    trace = None if isinstance(error, sqlite3.DatabaseError) else error
    call = f"{scope['method']} {scope['path']}"
    logger.error("request failed: %s, %s: %s", call, context.request_id, error, exc_info=trace)
