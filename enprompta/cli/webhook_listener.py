"""A small server that shows what is delivered to it."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import threading
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from enprompta.cli.console import line, out
from enprompta.errors import WebhookError
from enprompta.webhooks import SIGNATURE_HEADER, Reply, WebhookReceiver, construct_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.webhooks import WebhookEvent

_LARGEST_BODY = 1_048_576
_PATIENCE = 30.0  # seconds for a sender to send what it has announced
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_INDENT = " " * 10


class Listener:
    """Receives deliveries as `WebhookReceiver` does, and prints each.

    Args:
        host: The address to listen at.
        port: The port to listen at; 0 for a free one.
        secrets: The webhook's secrets.

    Raises:
        OSError: It cannot listen there.
    """

    def __init__(self, host: str, port: int, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._receiver = WebhookReceiver(secrets, max_body=_LARGEST_BODY)
        self._receiver.on("*")(self._arrived)
        self._printing = threading.Lock()
        self._arrivals = self._refusals = 0
        self._server = _Server((host, port), self)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{_in_url(str(host))}:{port}"

    def run(self) -> None:
        """Serve until Ctrl-C, or until asked to terminate."""
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        out.print(line("Listening at ", (self.url, "bold"), "; Ctrl-C stops."))
        try:
            self._server.serve_forever(0.1)
        except KeyboardInterrupt:
            if out.is_terminal:
                out.print()  # the terminal has written ^C
        finally:
            signal.signal(signal.SIGTERM, before)
            self._server.server_close()
        out.print(line(f"Stopped: {self._arrivals} events, {self._refusals} refused."))

    def take(self, body: bytes, headers: Mapping[str, list[str]]) -> Reply:
        """Take one delivery, print it, and say what to answer."""
        reply = self._receiver.handle(body, headers)
        if reply.status != 200:  # noqa: PLR2004 (what a receiver answers when all is well)
            signatures = [value for name, values in headers.items() if name.lower() == _HEADER for value in values]
            self.refused(reply.status, why_refused(body, signatures, self._secrets))
        elif b"duplicate" in reply.body:
            event = construct_event(body, headers, self._secrets)
            self._print(
                line(_now(), (event.event, "green"), "  ", event.id, ("  again, answered and not repeated", "dim"))
            )
        return reply

    def refused(self, status: int, reason: str) -> None:
        """Print why something was not taken."""
        self._refusals += 1
        self._print(line(_now(), (f"refused {status}", "bold red"), f"  {reason}"))

    def _arrived(self, event: WebhookEvent) -> None:
        self._arrivals += 1
        data = event.model_dump(mode="json", exclude_unset=True)["data"]
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {"data": data}
        width = max(map(len, fields), default=0)
        lines = [line(_now(), (event.event, "bold green"), "  ", event.id)]
        lines += [line(_INDENT, (name.ljust(width), "cyan"), "  ", _shown(value)) for name, value in fields.items()]
        self._print(*lines)

    def _print(self, *lines: Any) -> None:  # noqa: ANN401 (whatever rich prints)
        with self._printing:
            for each in lines:
                out.print(each)
            sys.stdout.flush()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (socketserver's own)
        """Say nothing when a sender hangs up."""


class _Request(BaseHTTPRequestHandler):
    timeout = _PATIENCE

    @property
    def _listener(self) -> Listener:
        return cast("_Server", self.server).listener

    def do_POST(self) -> None:
        """Take a delivery."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "It does not say how long its body is")
        elif int(length[:20]) > _LARGEST_BODY:
            self._refuse(413, f"It is larger than {_LARGEST_BODY} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # else the sender has gone
                headers = {name: cast("list[str]", self.headers.get_all(name)) for name in self.headers}
                self._answer(self._listener.take(body, headers))

    def _refuse_method(self) -> None:
        self._refuse(405, f"Deliveries are sent with POST, this was {self.command}")

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method  # noqa: N815 (http.server's own names)

    def _refuse(self, status: int, reason: str) -> None:
        self._listener.refused(status, reason)
        self._answer(Reply(status, json.dumps({"error": {"code": "REFUSED", "message": reason}}).encode()))

    def _answer(self, reply: Reply) -> None:
        with suppress(OSError):  # the sender may have gone
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the listener prints what there is to say."""


_HEADER = SIGNATURE_HEADER.lower()


def why_refused(body: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> str:
    """Say what is wrong with a delivery, more closely than a sender need know."""
    if len(signatures) != 1:
        return f"It has {'no' if not signatures else 'more than one'} {SIGNATURE_HEADER} header"
    if not _SIGNATURE.fullmatch(signatures[0]):
        return "Its signature is not of the form sha256= and 64 hex digits"
    try:
        construct_event(body, signatures[0], secrets)
    except WebhookError as error:
        return str(error)
    return "It is being handled at this moment"


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S  ")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
