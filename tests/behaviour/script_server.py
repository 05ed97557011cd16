"""A local server that a function answers, because aiohttp, unlike httpx, has no replaceable transport."""

from __future__ import annotations

import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enprompta._http.senders.aiohttp_sender import AiohttpSender

_NUMBER = "X-Script-Request"


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class ScriptServer:
    """Answers requests sent through aiohttp, whatever their address.

    Args:
        handler: Called for each answer. If it raises, the connection is closed, and the sender raises that exception.
    """

    def __init__(self, handler: Callable[[httpx.Request], httpx.Response]) -> None:
        self._numbers = itertools.count()
        self._requests: dict[str, httpx.Request] = {}
        self._failures: dict[str, Exception] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # send an answer in one piece

            def _answer(self) -> None:
                number = self.headers[_NUMBER]
                request = server._requests.pop(number)
                assert self.rfile.read(int(self.headers.get("Content-Length", "0"))) == request.content
                try:
                    answer = handler(request)
                except Exception as error:  # noqa: BLE001 (raised again by the sender)
                    server._failures[number] = error
                    self.close_connection = True
                    return
                content = b"".join(cast("Iterable[bytes]", answer.stream))  # unchanged, because it may not be decodable
                self.send_response_only(answer.status_code)
                for name, value in answer.headers.multi_items():
                    self.send_header(name, value)
                lengths = {"content-length", "transfer-encoding"} & answer.headers.keys()
                # An answer that may announce more bytes than it has, or whose length is cut off by a line break in a
                # header, must end with its connection: the client would wait for the rest.
                exact = lengths == {"content-length"} and answer.headers["content-length"] == str(len(content))
                broken = any({"\r", "\n"} & set(value) for value in answer.headers.values())
                self.close_connection = broken or (bool(lengths) and not exact)
                if not lengths:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 (names defined by the base class)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def send(self, really: Any) -> Any:
        """Build a `send` that redirects all requests to this server; `really` is the original."""

        async def rerouted(sender: AiohttpSender, request: httpx.Request) -> httpx.Response:
            number = str(next(self._numbers))
            seen = self._requests[number] = httpx.Request(
                request.method,
                str(request.url),
                headers=request.headers.raw,
                stream=httpx.ByteStream(request.content),
                extensions=request.extensions,
            )
            seen.read()
            here = httpx.URL(f"http://127.0.0.1:{self._server.server_port}", raw_path=request.url.raw_path)
            headers = [*request.headers.multi_items(), (_NUMBER, number)]
            moved = httpx.Request(
                request.method, here, headers=headers, content=request.content, extensions=request.extensions
            )
            try:
                response = await really(sender, moved)
            except httpx.TransportError as error:
                raise self._failures.pop(number, error) from None
            response.request = request
            return response

        return rerouted

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
