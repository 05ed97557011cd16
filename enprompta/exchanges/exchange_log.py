"""A bounded, thread-safe log of exchanges with search and live updates; credentials are redacted before it stores one.

They are found in four ways: by the name of a header or field, by the value of the `Authorization` header wherever it is
repeated, by their form (API keys, webhook secrets, bearer tokens), and by the caller's list.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict
from enprompta._common.redaction import MASKED, Redactor
from enprompta.exchanges.exchange import LOGGED_BODY_BYTES, MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta.exchanges.exchange import Exchange, Headers, TimelineEvent

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
MAX_EXCHANGES = 10_000
MAX_BYTES = 48 * 1024 * 1024
_OVERHEAD = 900  # bytes that an exchange takes besides its bodies, headers and URL
_HEADER_OVERHEAD = 160  # bytes that a header takes besides its text


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


@dataclass(frozen=True, slots=True)
class ExchangeFilter:
    """Conditions on exchanges; all of them must hold, and an empty one always does."""

    status: str = ""
    """A status such as `429`, a class such as `4xx`, `error` for all failures, or `none` for no response."""
    path: str = ""
    """Part of the path; letter case is ignored."""
    request_id: str = ""
    """Beginning of the request id."""
    text: str = ""
    """Part of the method, URL, program, headers, bodies or error; the case of ASCII letters is ignored."""

    def matches(self, exchange: Exchange) -> bool:
        """Return True if an exchange meets all conditions."""
        return (
            _has_status(exchange, self.status.strip().lower())
            and self.path.strip().lower() in exchange.path.lower()
            and (exchange.request_id or "").startswith(self.request_id.strip())
            and _contains(exchange, self.text.strip())
        )


class ExchangeLog:
    """Exchanges in the order in which they began to be logged. Any thread may use it.

    The oldest exchanges are dropped when either limit is exceeded.

    Args:
        max_exchanges: Number of exchanges to keep.
        max_bytes: Approximate memory to use for them, in bytes.
    """

    def __init__(self, *, max_exchanges: int = MAX_EXCHANGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_exchanges = max_exchanges
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._exchanges: OrderedDict[int, Exchange] = OrderedDict()
        self._revisions: OrderedDict[int, int] = OrderedDict()  # id -> revision, the last changed one last
        self._attempts: dict[tuple[str, int], int] = {}  # call and attempt -> id
        self._revision = 0
        self._last_id = 0
        self._bytes = 0
        self._listeners: list[Callable[[Exchange], object]] = []

    def __len__(self) -> int:
        return len(self._exchanges)

    @property
    def revision(self) -> int:
        """Number of changes so far; pass it to `changes` to get what changes later."""
        return self._revision

    @property
    def size(self) -> int:
        """Approximate memory that the exchanges use, in bytes."""
        return self._bytes

    def add(self, exchange: Exchange, *, secrets: Iterable[str] = ()) -> Exchange:
        """Redact, cut and store an exchange, and return it as stored.

        An exchange with the `call` and `attempt` of a stored one is merged with it: the server's view of the request
        and the program's timeline become one entry.

        Args:
            exchange: The exchange; its `id` is ignored.
            secrets: Credentials to redact, besides those in its `Authorization` header and those found by their form.
        """
        cleaned = clean(exchange, secrets)
        with self._lock:
            key = None if cleaned.call is None else (cleaned.call, cleaned.attempt)
            known = self._exchanges.get(self._attempts.get(key, 0)) if key is not None else None
            if known is None:
                self._last_id += 1
                stored = replace(cleaned, id=self._last_id)
                if key is not None:
                    self._attempts[key] = stored.id
            else:
                stored = _merged(known, cleaned)
            self._store(stored)
        self._notify(stored)
        return stored

    def add_events(self, call: str, attempt: int, events: Iterable[TimelineEvent]) -> None:
        """Append steps to the timeline of a stored attempt; unknown attempts are ignored."""
        with self._lock:
            known = self._exchanges.get(self._attempts.get((call, attempt), 0))
            if known is None:
                return
            stored = replace(known, timeline=_in_order(known.timeline, events))
            self._store(stored)
        self._notify(stored)

    def get(self, exchange_id: int) -> Exchange | None:
        """Return an exchange by its id; None if it is unknown or was dropped."""
        return self._exchanges.get(exchange_id)

    def attempts_of(self, exchange: Exchange) -> list[Exchange]:
        """List all stored attempts of an exchange's call, in order; only the exchange itself if the call is unknown."""
        if exchange.call is None:
            return [exchange]
        with self._lock:
            same = [one for one in self._exchanges.values() if one.call == exchange.call]
        return sorted(same, key=lambda one: (one.attempt, one.id)) or [exchange]

    def search(
        self, conditions: ExchangeFilter | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[Exchange]:
        """List exchanges, newest first.

        Args:
            conditions: Which exchanges to return; None for all.
            limit: Maximum number of exchanges; None for no limit.
            offset: Number of matching exchanges to skip.
        """
        with self._lock:
            newest_first = list(reversed(self._exchanges.values()))
        found = (one for one in newest_first if conditions is None or conditions.matches(one))
        return list(islice(found, offset, None if limit is None else offset + limit))

    def changes(self, after: int, *, limit: int = 500) -> tuple[int, list[Exchange]]:
        """Return the exchanges that were added or changed after a revision, oldest change first.

        Args:
            after: A `revision`; 0 for everything that is stored.
            limit: Maximum number of exchanges; call again with the returned revision for the others.

        Returns:
            The revision to continue with, and the exchanges.
        """
        with self._lock:
            ids: list[tuple[int, int]] = []
            for exchange_id, revision in reversed(self._revisions.items()):
                if revision <= after:
                    break
                ids.append((revision, exchange_id))
            ids = ids[::-1][:limit]
            newest = ids[-1][0] if ids else max(after, self._revision) if after <= self._revision else self._revision
            return newest, [self._exchanges[exchange_id] for _, exchange_id in ids]

    def subscribe(self, listener: Callable[[Exchange], object]) -> Callable[[], None]:
        """Call a function with every exchange that is added or changed.

        It runs in the thread that adds the exchange, so it must be fast; its exceptions are ignored.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def clear(self) -> None:
        """Remove all exchanges; ids and revisions continue."""
        with self._lock:
            self._exchanges.clear()
            self._revisions.clear()
            self._attempts.clear()
            self._bytes = 0
            self._revision += 1

    def _store(self, exchange: Exchange) -> None:
        known = self._exchanges.get(exchange.id)
        self._bytes += _size(exchange) - (0 if known is None else _size(known))
        self._exchanges[exchange.id] = exchange
        self._revision += 1
        self._revisions[exchange.id] = self._revision
        self._revisions.move_to_end(exchange.id)
        while len(self._exchanges) > self._max_exchanges or (
            self._bytes > self._max_bytes and len(self._exchanges) > 1
        ):
            oldest_id, oldest = self._exchanges.popitem(last=False)
            self._bytes -= _size(oldest)
            del self._revisions[oldest_id]
            if oldest.call is not None:
                self._attempts.pop((oldest.call, oldest.attempt), None)

    def _notify(self, exchange: Exchange) -> None:
        for listener in tuple(self._listeners):
            with suppress(Exception):  # a listener's failure must not fail the request that is logged
                listener(exchange)


def _merged(known: Exchange, new: Exchange) -> Exchange:
    """Merge two views of one attempt: the server's view of the exchange, with the steps of both."""
    wire, other = (known, new) if new.source == "program" else (new, known)
    error = wire.error or other.error
    timeline = _in_order(known.timeline, new.timeline)
    return replace(wire, id=known.id, error=error, timeline=timeline, program=wire.program or other.program)


def _in_order(known: Iterable[TimelineEvent], new: Iterable[TimelineEvent]) -> tuple[TimelineEvent, ...]:
    return tuple(sorted(dict.fromkeys((*known, *new)), key=lambda event: event.at))


def _size(exchange: Exchange) -> int:
    headers = (*exchange.request_headers, *exchange.response_headers)
    texts = (
        len(exchange.path)
        + len(exchange.query)
        + sum(_HEADER_OVERHEAD + len(name) + len(value) for name, value in headers)
    )
    events = sum(200 + len(event.text) for event in exchange.timeline)
    return _OVERHEAD + len(exchange.request_body) + len(exchange.response_body) + texts + events


def _has_status(exchange: Exchange, wanted: str) -> bool:
    if not wanted:
        return True
    if wanted == "error":
        return exchange.is_error
    if exchange.status is None:
        return wanted == "none"
    status = str(exchange.status)
    return status == wanted or (wanted.endswith("xx") and status[0] == wanted[0])


def _contains(exchange: Exchange, text: str) -> bool:
    if not text:
        return True
    lowered = text.lower()
    parts = (
        *(exchange.method, exchange.path, exchange.query, exchange.program, exchange.request_id or ""),
        *(exchange.error_code or "", exchange.error or ""),
        *(f"{name}: {value}" for name, value in (*exchange.request_headers, *exchange.response_headers)),
    )
    if any(lowered in part.lower() for part in parts):
        return True
    needle = text.encode(errors="replace").lower()
    return any(needle in body.lower() for body in (exchange.request_body, exchange.response_body))
