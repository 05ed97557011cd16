"""Redact credentials in an exchange and cut its bodies, before it is stored.

Credentials are found in four ways: by the name of a header or field, by the value of the `Authorization` header
wherever it is repeated, by their form (API keys, webhook secrets, bearer tokens), and by the caller's list.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict
from enprompta._common.redaction import MASKED, Redactor
from enprompta.exchanges.exchange import LOGGED_BODY_BYTES, MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta.exchanges.exchange import Exchange, Headers

_MAX_HEADERS = 100
_MAX_VALUE = 2_048  # characters of a header, a path or a query
_HIDDEN_HEADER = re.compile(r"authorization|cookie|api[-_]?key|secret|token|password|credential", re.IGNORECASE)
_NAMES = r"client_?secret|access_?token|refresh_?token|id_?token|token|secret|password|api_?key|authorization"
_FIELD = re.compile(rf'("(?:{_NAMES})"\s*:\s*")(?:[^"\\]|\\.)*'.encode(), re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(rf"((?:^|[^\w-])(?:{_NAMES})=)[^&\s]*", re.IGNORECASE)
_TOKEN = re.compile(r"ep_(?:at|secret|live|test)_[\w.~+/=-]+", re.ASCII | re.IGNORECASE)
_FORM = re.compile(r"[\w.~%+-]+=[^\s]*", re.ASCII)
_OAUTH_PATH = "/oauth/token"
_NOT_STORED = b'"<the body of a token request is not stored>"'


def clean(exchange: Exchange, secrets: Iterable[str] = ()) -> Exchange:
    """Return an exchange without credentials, and with bodies of at most `MAX_BODY_BYTES`."""
    redactor = _redactor(frozenset((*secrets, *_credentials(exchange.request_headers))))

    def text(value: str) -> str:
        return _TOKEN.sub(MASKED, _PARAMETER.sub(rf"\1{MASKED}", redactor.text(value[:_MAX_VALUE])))

    def optional(value: str | None) -> str | None:
        return None if value is None else text(value)

    def body(value: bytes) -> bytes:
        return _body(value, redactor)[:MAX_BODY_BYTES]

    is_token_request = exchange.path.rstrip("/").endswith(_OAUTH_PATH)
    hides_response = is_token_request and not exchange.is_error
    response_body = _NOT_STORED if hides_response and exchange.response_body else body(exchange.response_body)
    code, message = _error_of(exchange.response_body) if exchange.is_error else (None, None)
    return replace(
        exchange,
        method=exchange.method[:32],
        path=text(exchange.path),
        query=text(exchange.query),
        program=text(exchange.program or _value(exchange.request_headers, "user-agent")),
        request_id=optional(exchange.request_id or _value(exchange.response_headers, "x-request-id") or None),
        error_code=optional(exchange.error_code or code),
        error=optional(exchange.error or message),
        request_headers=_headers(exchange.request_headers, text),
        request_body=_NOT_STORED if is_token_request and exchange.request_body else body(exchange.request_body),
        request_size=max(exchange.request_size, len(exchange.request_body)),
        response_headers=_headers(exchange.response_headers, text),
        response_body=response_body,
        response_size=max(exchange.response_size, len(exchange.response_body)),
        timeline=tuple(replace(event, text=text(event.text)) for event in exchange.timeline),
    )


def _headers(headers: Headers, text: Callable[[str], str]) -> Headers:
    shown = tuple(
        (name[:_MAX_VALUE], MASKED if _HIDDEN_HEADER.search(name) else value[:_MAX_VALUE])
        for name, value in headers[:_MAX_HEADERS]
    )
    together = "\0".join(part for pair in shown for part in pair)
    if len(together) <= _MAX_VALUE and text(together) == together:  # the usual case: one search instead of many
        return shown
    return tuple((text(name), text(value)) for name, value in shown)


def _body(body: bytes, redactor: Redactor) -> bytes:
    found = _FIELD.sub(rb"\1" + MASKED.encode(), redactor.body(body[:LOGGED_BODY_BYTES]))
    text = found.decode("latin-1")  # maps each byte to one character and back
    masked = _TOKEN.sub(MASKED, text)
    if _FORM.match(masked):
        masked = _PARAMETER.sub(rf"\1{MASKED}", masked)
    return found if masked == text else masked.encode("latin-1")


def _credentials(headers: Headers) -> list[str]:
    """List the credentials in the headers of a request, without the scheme."""
    found: list[str] = []
    for name, value in headers:
        if not _HIDDEN_HEADER.search(name):
            continue
        scheme, _, credential = value.partition(" ")
        found += [value.strip(), credential.strip()]
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                continue
            found += [password] if password else [user]
    return found


@lru_cache(maxsize=64)
def _redactor(secrets: frozenset[str]) -> Redactor:
    """Return a cached redactor: compiling one takes longer than using it."""
    return Redactor(secrets)


def _value(headers: Headers, wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _error_of(body: bytes) -> tuple[str | None, str | None]:
    """Return the code and the message of an error response, in any of the API's formats."""
    if not body.lstrip().startswith(b"{") or len(body) > MAX_BODY_BYTES:
        return None, None
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    error = decoded.get("error")
    if isinstance(error, str):  # RFC 6749
        return error, _text(decoded.get("error_description"))
    if not is_dict(error):
        return None, None
    code = error.get("type") if isinstance(error.get("code"), int) else error.get("code")
    return _text(code), _text(error.get("message"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
