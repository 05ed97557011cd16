"""A TLS server in the place of the live service, and a program of another language."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "ep_live_relay_key_1234567890"


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self._chunked()
        self.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if "redirect" in self.path:
            self._answer(307, b"", ("Location", "https://evil.example/steal"))
        elif "gzip" in self.path:
            self._answer(200, gzip.compress(b'{"zipped": true}'), ("Content-Encoding", "gzip"))
        elif "odd" in self.path:
            self._answer(200, b"not gzip", ("Content-Encoding", "gzip"))
        elif "large" in self.path:
            self._answer(200, b"x" * 3_000_000)
        elif "cut" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
        else:
            self._answer(
                200,
                b'{"success": true, "data": {"status": "healthy"}, "key": "%s"}' % KEY.encode(),
                ("Set-Cookie", "a=b"),
            )

    do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

    def _chunked(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body))), ("X-Request-Id", "req_tls")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def live_service(certificate: Path) -> Iterator[tuple[str, list[Any]]]:
    """Serve in the place of the live service; yields its base URL and the requests that it has seen.

    Args:
        certificate: Where to write the certificate, for clients to trust.
    """
    key = certificate.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    handler = type("Handler", (_Service,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}/api/v1", handler.seen  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def node_posts(base_url: str, key: str = KEY) -> str:
    """Create a prompt with Node's `fetch`; return the status and `success` of the response."""
    code = """
    const body = JSON.stringify({title: "From node", content: "Tea"});
    const answer = await fetch(process.argv[1] + "/prompts", {method: "POST", body,
      headers: {"Authorization": "Bearer " + process.argv[2], "Content-Type": "application/json"}});
    console.log(answer.status, (await answer.json()).success);
    """
    command = [shutil.which("node") or "node", "--input-type=module", "-e", code, base_url, key]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
