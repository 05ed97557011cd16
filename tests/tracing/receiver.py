"""A receiver of OTLP requests on loopback, which fails as it is asked to."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

INGEST = "/api/ingest/otlp/v1/traces"


class Received(NamedTuple):
    """A span as the service receives it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    status: tuple[int, str]
    links: int
    text: str
    """Everything in the span, to search in."""


class Receiver:
    """Accepts OTLP requests at the service's path.

    Args:
        play: Is called with the handler before each answer; returns a status, or None to accept.
    """

    def __init__(self, play: Callable[[Any], int | None] | None = None) -> None:  # noqa: C901 (the handler is inside)
        self.play: Callable[[Any], int | None] = play or (lambda _: None)
        self.requests: list[tuple[dict[str, str], int]] = []
        self.spans: list[Received] = []
        self.rejected = 0
        self.retry_after: str | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/api/v1/oauth/token":
                    answer = json.dumps({"access_token": "token-1", "token_type": "Bearer", "expires_in": 600})
                    self.reply(200, answer.encode(), "application/json")
                    return
                status = receiver.play(self)
                if self.path != INGEST:
                    status = 404
                if status is not None:
                    self.reply(status, b'{"error": {"code": "X", "message": "no"}}', "application/json")
                    return
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                found = decode(body)
                receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, len(found)))
                receiver.spans += found
                done = ExportTraceServiceResponse()
                if receiver.rejected:
                    done.partial_success.rejected_spans = receiver.rejected
                    done.partial_success.error_message = "too odd"
                self.reply(200, done.SerializeToString(), "application/x-protobuf")

            def reply(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if receiver.retry_after:
                    self.send_header("Retry-After", receiver.retry_after)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.base_url = f"http://127.0.0.1:{self.port}/api/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def named(self, name: str) -> Received:
        """The one span of a name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a server that never answers a connection: its backlog is full."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"


def decode(body: bytes) -> list[Received]:
    """Read the spans of a request."""
    found: list[Received] = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            found += [
                Received(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    values(span.attributes),
                    values(resource.resource.attributes),
                    [(event.name, values(event.attributes)) for event in span.events],
                    (span.status.code, span.status.message),
                    len(span.links),
                    f"{span}{resource.resource}{scope.scope}",
                )
                for span in scope.spans
            ]
    return found


def values(pairs: Any) -> dict[str, Any]:
    """Read attributes."""
    return {pair.key: value(pair.value) for pair in pairs}


def value(one: Any) -> Any:
    """Read an attribute's value."""
    kind = one.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in one.array_value.values]
    return getattr(one, kind) if kind else None
