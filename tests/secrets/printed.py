"""Credentials, everything that a program could print, and the search for one in the other."""

from __future__ import annotations

import json
import pickle
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import enprompta
from enprompta import EnpromptaError
from tests.faults.server import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.server import Peer

# With what JSON escapes, URLs quote and regular expressions mean something by.
KEY = 'ep_test_hunter2/"x\\y+z=&'
CLIENT_SECRET = "cs_correct/horse+battery=staple"
TOKEN = "at_swordfish/+eyJhbGciOiJIUzI1NiJ9.e30=="
WEBHOOK_SECRET = 'whsec_open/"sesame"+1='
PASSWORD = "friend/+enter="
SECRETS = (KEY, CLIENT_SECRET, TOKEN, WEBHOOK_SECRET, PASSWORD)
PACKAGE = str(Path(enprompta.__file__).parent)
CREDENTIALS: list[Any] = [
    pytest.param({"api_key": KEY}, id="key"),
    pytest.param({"client_id": "me", "client_secret": CLIENT_SECRET}, id="oauth"),
]


def forms(secret: str) -> set[str]:
    """Return the encodings of a secret to search for."""
    escaped = json.dumps(secret)[1:-1]
    every = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    first = f"\\u{ord(secret[0]):04X}{secret[1:]}"
    percent = "".join(f"%{ord(letter):02X}" for letter in secret)
    return {
        secret,
        every,
        first,
        percent,
        escaped,
        escaped.replace("/", "\\/"),
        quote(secret, safe=""),
        quote(secret),
        repr(secret)[1:-1],
    }


def assert_clean(output: str) -> None:
    """Search the output for the credentials."""
    for secret in SECRETS:
        for form in forms(secret):
            at = output.find(form)
            assert at < 0, f"a credential shows: …{output[max(0, at - 200) : at + 80]}…"


def variables_of(error: BaseException) -> Iterator[str]:
    """Return the local variables of the package's frames, as crash reporters show them.

    What other frames hold is out of its hands: the caller's has the key it has just read, and an event loop's the bytes
    that it could not send.
    """
    told: traceback.TracebackException | None
    told = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    while told is not None:
        for frame in told.stack:
            if frame.filename.startswith(PACKAGE):
                yield f"{frame.filename}:{frame.lineno} {frame.locals}"
        told = told.__cause__ or told.__context__


class Printed(list[str]):
    """All that a program could print."""

    variables = True
    """True to capture the variables of the package's frames too, as a crash reporter does."""

    def all_of(self, it: object, depth: int = 0) -> None:
        """Print an object and its content in every way."""
        self += [repr(it), str(it), f"{it!s:>3}", f"{it!a}"]
        if isinstance(it, BaseException):
            self += traceback.format_exception(it)
            self += variables_of(it) if self.variables else ()
            self.all_of(it.args, depth)
            seen: BaseException | None = it
            while seen is not None:  # further than a traceback goes, for tools that do
                self += [repr(seen), str(seen)]
                request: Any = getattr(seen, "_request", None)
                self += [f"{request.url} {request.headers.multi_items()}"] if request is not None else []
                seen = seen.__cause__ or seen.__context__
        if isinstance(it, EnpromptaError) and depth < 3:
            for value in vars(it).values():
                self.all_of(value, depth + 1)
            with suppress(TypeError):
                self.all_of(pickle.loads(pickle.dumps(it)), depth + 3)
            self.append(repr(pickle.dumps(it)))
        if hasattr(it, "items"):
            self += [f"{name}: {value}" for name, value in it.items()]  # type: ignore[attr-defined]


class Prying:
    """Hooks that print their records."""

    def __init__(self, printed: Printed) -> None:
        self.printed = printed

    def on_request(self, record: Any) -> None:
        """Print the record and its headers."""
        self.printed.all_of(record)
        for part in (record, getattr(record, "request", record)):
            self.printed.all_of(getattr(part, "headers", {}))
            self.printed.append(getattr(part, "body", b"").decode("latin-1"))

    on_response = on_retry = on_wait = on_request


def with_token(fault: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """Return a token for token requests, and play a fault for all others."""

    def play(peer: Peer) -> None:
        peer.arrived()
        if peer.socket.recv(65_536, 2).startswith(b"POST /api/v1/oauth/token"):  # MSG_PEEK
            peer.read()
            peer.send(answer(200, json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()))
        else:
            fault(peer)

    return play


def echo(peer: Peer) -> list[str]:
    """Read a request and return every credential in it, in every encoding."""
    received = peer.read()
    sent = received.headers.get("authorization", "") + received.body.decode()
    return [form for secret in SECRETS if secret in sent or json.dumps(secret)[1:-1] in sent for form in forms(secret)]


def echoing(status: int, write: Callable[[list[str]], bytes]) -> Callable[[Peer], None]:
    """Answer with the credentials in headers and body."""

    def play(peer: Peer) -> None:
        found = echo(peer)
        headers = [(f"X-Echo-{number}", form) for number, form in enumerate(found)]
        headers += [("X-Request-Id", f"req {' '.join(found)}"), ("Location", f"/?{' '.join(found)}")]
        peer.send(answer(status, write(found), headers))

    return play


def wrong(found: list[str]) -> bytes:
    """Echo in every field of the reference's error."""
    text = f"bad credential {' or '.join(found)}"
    error = {"message": text, "type": text, "code": text, "request_id": text, "documentation_url": text,
             "details": [{"field": text, "message": text}, text, {text: text}]}  # fmt: skip
    return json.dumps({"error": error, text: [text]}).encode()
