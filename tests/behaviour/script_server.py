"""A server on this machine that a function answers: aiohttp, unlike httpx, has no transport to put in its place."""

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
    """Answers what is sent through aiohttp, wherever it is sent.

    Args:
        handler: Asked for each answer. When it raises, the connection is closed, and that is raised to who sent.
    """

    def __init__(self, handler: Callable[[httpx.Request], httpx.Response]) -> None:
        self._numbers = itertools.count()
        self._requests: dict[str, httpx.Request] = {}
        self._failures: dict[str, Exception] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one piece

            def _answer(self) -> None:
                number = self.headers[_NUMBER]
                request = server._requests.pop(number)
                assert self.rfile.read(int(self.headers.get("Content-Length", "0"))) == request.content
                try:
                    answer = handler(request)
                except Exception as error:  # noqa: BLE001 (told to who sent)
                    server._failures[number] = error
                    self.close_connection = True
                    return
                content = b"".join(cast("Iterable[bytes]", answer.stream))  # as it is, though no one may decode it
                self.send_response_only(answer.status_code)
                for name, value in answer.headers.multi_items():
                    self.send_header(name, value)
                lengths = {"content-length", "transfer-encoding"} & answer.headers.keys()
                # An answer that may be told to be longer than it is ends with its connection.
                exact = lengths == {"content-length"} and answer.headers["content-length"] == str(len(content))
                self.close_connection = bool(lengths) and not exact
                if not lengths:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 (the base class's names)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def send(self, really: Any) -> Any:
        """Make a `send` that reroutes to here what `really`, the sender's own, would send elsewhere."""

        async def rerouted(sender: AiohttpSender, request: httpx.Request) -> httpx.Response:
            number = str(next(self._numbers))
            self._requests[number] = request
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
        """Stop to listen."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
