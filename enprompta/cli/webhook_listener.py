"""A small server that prints the webhook deliveries it receives."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from enprompta._common.hosts import in_url
from enprompta._common.narrowing import is_dict
from enprompta.cli.console import line, out
from enprompta.cli.signals import exits_on_sigterm
from enprompta.errors import WebhookError
from enprompta.webhooks import SIGNATURE_HEADER, Reply, WebhookReceiver, construct_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.webhooks import WebhookEvent

_ACCEPTED = 200
_LARGEST_BODY = 1_048_576
_READ_TIMEOUT = 30.0  # seconds for a sender to send the whole request
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_INDENT = " " * 10


class Listener:
    """Receives deliveries with `WebhookReceiver` and prints each.

    Raises:
        OSError: It cannot listen on that address.
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
        """The URL of the listener."""
        host, port = self._server.server_address[:2]
        return f"http://{in_url(str(host))}:{port}"

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM, then print how many events arrived.

        Raises:
            KeyboardInterrupt: Ctrl-C stopped it.
            SystemExit: SIGTERM stopped it; the status is 0.
        """
        try:
            with exits_on_sigterm():
                out.print(line("Listening at ", (self.url, "bold"), "; Ctrl-C stops."))
                self._server.serve_forever(0.1)
        except KeyboardInterrupt:
            if out.is_terminal:
                out.print()  # after the ^C that the terminal shows
            raise
        finally:
            self._server.server_close()
            out.print(line(f"Stopped: {self._arrivals} events, {self._refusals} refused."))

    def take(self, body: bytes, headers: Mapping[str, list[str]]) -> Reply:
        """Handle one delivery, print it, and return the response."""
        reply = self._receiver.handle(body, headers)
        if reply.status != _ACCEPTED:
            signatures = [value for name, values in headers.items() if name.lower() == _HEADER for value in values]
            self.refused(reply.status, why_refused(body, signatures, self._secrets))
        elif b"duplicate" in reply.body:
            event = construct_event(body, headers, self._secrets)
            self._print(line(_now(), (event.event, "green"), "  ", event.id, ("  duplicate, not handled again", "dim")))
        return reply

    def refused(self, status: int, reason: str) -> None:
        """Print why a delivery was refused."""
        self._refusals += 1
        self._print(line(_now(), (f"refused {status}", "bold red"), f"  {reason}"))

    def _arrived(self, event: WebhookEvent) -> None:
        self._arrivals += 1
        data = event.model_dump(mode="json", exclude_unset=True)["data"]
        fields = data if is_dict(data) else {"data": data}
        width = max(map(len, fields), default=0)
        lines = [line(_now(), (event.event, "bold green"), "  ", event.id)]
        for name, value in fields.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(line(_INDENT, (name.ljust(width), "cyan"), "  ", text))
        self._print(*lines)

    def _print(self, *lines: object) -> None:
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

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors of senders that close the connection."""


class _Request(BaseHTTPRequestHandler):
    timeout = _READ_TIMEOUT

    @property
    def _listener(self) -> Listener:
        return cast("_Server", self.server).listener

    def do_POST(self) -> None:
        """Handle a delivery."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "The Content-Length header is missing or invalid")
        elif int(length[:20]) > _LARGEST_BODY:
            self._refuse(413, f"The body is larger than {_LARGEST_BODY} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # otherwise the sender has disconnected
                headers = {name: cast("list[str]", self.headers.get_all(name)) for name in self.headers}
                self._answer(self._listener.take(body, headers))

    def _refuse_method(self) -> None:
        self._refuse(405, f"Deliveries use POST, this request used {self.command}")

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_method  # noqa: N815 (http.server's own names)

    def _refuse(self, status: int, reason: str) -> None:
        self._listener.refused(status, reason)
        self._answer(Reply(status, json.dumps({"error": {"code": "REFUSED", "message": reason}}).encode()))

    def _answer(self, reply: Reply) -> None:
        with suppress(OSError):  # the sender may have disconnected
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests: the listener prints them."""


_HEADER = SIGNATURE_HEADER.lower()


def why_refused(body: bytes, signatures: Sequence[str], secrets: Sequence[str]) -> str:
    """Explain why a delivery is refused, in more detail than the response to the sender."""
    if len(signatures) != 1:
        return f"The request has {'no' if not signatures else 'more than one'} {SIGNATURE_HEADER} header"
    if not _SIGNATURE.fullmatch(signatures[0]):
        return "The signature is not sha256= followed by 64 hex digits"
    try:
        construct_event(body, signatures[0], secrets)
    except WebhookError as error:
        return str(error)
    return "The same event is being handled right now"


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S  ")
