"""Access checks of the Workbench: only a browser on this machine that has opened the printed link may use it.

The Workbench acts with the user's API key, so every request is checked before any page sees it, websockets included:

- `Host` must name this server on loopback, which defeats DNS rebinding.
- `Origin` must be this server, and a websocket must have one, which defeats pages of other sites.
- A cookie is required. The link with the random token sets it; the token itself is never sent by a page.

Two paths need no cookie, because programs use them: the relay, whose callers bring their own API key, and the reports
of programs, whose address contains a secret. Requests of web pages are refused there.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

RELAY_PATH = "/relay"
REPORT_PATH = "/report"

_NAMES = ("127.0.0.1", "localhost")
_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OPEN_LINK = """<!doctype html>
<html lang="en">
<title>Enprompta Workbench</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<h1>Open the link of the Workbench</h1>
<p>This page needs the link that <code>enprompta workbench</code> has printed, which ends in a token.</p>
"""
_ENTER = """<!doctype html>
<html lang="en">
<title>Enprompta Workbench</title>
<meta http-equiv="refresh" content="0;url=/">
<p><a href="/">Open the Workbench</a></p>
"""


def content_security_policy(nonce: str, port: int) -> str:
    """Return the policy of a page; everything comes from this server.

    Args:
        nonce: Random value that the page's own inline scripts have. Content that is inserted later does not have it.
        port: The server's port.
    """
    sockets = " ".join(f"ws://{name}:{port}" for name in _NAMES)
    return "; ".join(
        (
            "default-src 'none'",
            # NiceGUI's page starts with inline scripts (import map, the elements), which get the nonce. Vue compiles
            # its templates, and NiceGUI its event handlers, with `new Function`: 'unsafe-eval'.
            f"script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
            # Quasar and Vue set style attributes, and NiceGUI's page has style elements.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",  # the icon of the page is a data: URL
            "font-src 'self' data:",  # NiceGUI's icon fonts
            f"connect-src 'self' {sockets}",  # 'self' does not include websockets in every browser
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


class Security:
    """ASGI middleware that admits only the user's browser, and adds the security headers."""

    def __init__(self, app: ASGIApp, programs: ASGIApp, *, port: int, token: str) -> None:
        self.app = app
        self._programs = programs
        self._port = port
        self._token = token
        self._cookie = (f"enprompta_workbench_{port}", secrets.token_urlsafe(32))
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request or websocket, and pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            if refusal is None:
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: a 403
        elif refusal is not None:
            await refusal(scope, receive, self._with_headers(send, "default-src 'none'; frame-ancestors 'none'"))
        elif _is_for_programs(scope):
            await self._programs(scope, receive, send)
        else:
            nonce = secrets.token_urlsafe(16)
            page = _Page(self._with_headers(send, content_security_policy(nonce, self._port)), nonce)
            await self.app(scope, receive, page)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that must not reach the Workbench; None to admit it."""
        if (problem := self._problem(scope)) is not None:
            message, status = problem
            return PlainTextResponse(message, status)
        if _is_for_programs(scope) or self._has_cookie(scope):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and secrets.compare_digest(given.encode(), self._token.encode()):
            # Not a redirect: browsers send a SameSite=Strict cookie only if this site has begun the navigation.
            name, value = self._cookie
            cookie = f"{name}={value}; HttpOnly; SameSite=Strict; Path=/"
            return HTMLResponse(_ENTER, headers={"Set-Cookie": cookie, "Cache-Control": "no-store"})
        return HTMLResponse(_OPEN_LINK, 401, headers={"Cache-Control": "no-store"})

    def _problem(self, scope: Scope) -> tuple[str, int] | None:
        """Return the reason and the status for a request from elsewhere; None for one from this machine."""
        hosts, origins = _values(scope, b"host"), [one.lower() for one in _values(scope, b"origin")]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts or not scope["raw_path"].startswith(b"/"):
            return "The Workbench answers only for this machine: use 127.0.0.1 or localhost", 421
        is_page_request = bool(origins) or not set(_values(scope, b"sec-fetch-site")) <= {"none"}
        is_websocket = scope["type"] == "websocket"
        if _is_for_programs(scope) and (is_websocket or is_page_request):
            return "This address is for programs, not for web pages", 403
        if set(origins) - {f"http://{hosts[0].lower()}"}:
            return "Requests from pages of other origins are refused", 403
        return ("A websocket needs an Origin header", 403) if is_websocket and not origins else None

    def _has_cookie(self, scope: Scope) -> bool:
        name, expected = self._cookie
        for header in _values(scope, b"cookie"):
            try:
                found = SimpleCookie(header).get(name)
            except CookieError:
                continue
            if found is not None and secrets.compare_digest(found.value.encode(), expected.encode()):
                return True
        return False

    @staticmethod
    def _with_headers(send: Send, policy: str) -> Send:
        headers = {**_HEADERS, "Content-Security-Policy": policy}

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return add


class _Page:
    """Sends a response, and puts the nonce into the inline scripts of an HTML page.

    NiceGUI escapes `<` in all data of a page, so only its own script elements are found.
    """

    def __init__(self, send: Send, nonce: str) -> None:
        self._send = send
        self._nonce = nonce
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Send a message of the response, or keep it until the page is complete."""
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        body = bytes(self._body).replace(b"<script", b'<script nonce="' + self._nonce.encode() + b'"')
        kept = [(name, value) for name, value in start["headers"] if name.lower() not in _REPLACED]
        headers = [*kept, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


_REPLACED = frozenset({b"content-length", b"cache-control"})


def _is_html(message: Message) -> bool:
    headers: list[tuple[bytes, bytes]] = message["headers"]
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers)


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _is_for_programs(scope: Scope) -> bool:
    return scope["path"].startswith((f"{RELAY_PATH}/", f"{REPORT_PATH}/"))
