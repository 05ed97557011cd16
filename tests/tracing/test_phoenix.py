"""The same spans arrive at the emulator and at Arize Phoenix, a receiver of OTLP that other people wrote."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk")

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.tracing import Redaction, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parent / "phoenix" / "bin" / "phoenix"
INGEST = "/api/ingest/otlp/v1/traces"
START_SECONDS = 120

pytestmark = [
    pytest.mark.step("tracing"),
    pytest.mark.skipif(not PROGRAM.exists(), reason="Phoenix is not installed: run tests/tracing/install-phoenix"),
]


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a running Phoenix."""
    folder, port = tmp_path_factory.mktemp("phoenix"), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PHOENIX_")},
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve"], env=environment, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                _until(lambda: _is_up(client), (folder / "log"))
                yield client
        finally:
            process.terminate()
            process.wait(30)


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/projects").is_success
    except httpx.TransportError:
        return False


def _until(holds: Any, log: Path | None = None) -> None:
    end = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < end, "" if log is None else log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)


class Relay:
    """Passes export requests on to two receivers, as they are."""

    def __init__(self, targets: list[tuple[str, dict[str, str]]]) -> None:
        self.statuses: list[int] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept = {name: self.headers[name] for name in ("Content-Type", "Content-Encoding") if self.headers[name]}
                for url, headers in targets:
                    response = httpx.post(url, content=body, headers={**kept, **headers}, trust_env=False, timeout=30)
                    relay.statuses.append(response.status_code)
                self.send_response(max(relay.statuses))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop the relay."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_the_same_spans_arrive_at_both(phoenix: httpx.Client) -> None:
    """Names, parents, kinds, statuses, times and contents are the same; what is redacted reaches neither."""
    with Emulator() as emulator:
        relay = Relay(
            [
                (f"{phoenix.base_url}/v1/traces".replace("//v1", "/v1"), {}),
                (emulator.url.removesuffix("/api/v1") + INGEST, {"Authorization": f"Bearer {emulator.keys.pro}"}),
            ]
        )
        try:
            with Enprompta(api_key=emulator.keys.pro, base_url=relay.url) as client:
                tracing = Tracing(client, service_name="shop", redact=Redaction())
                with tracing.span("answer", kind="agent", session_id="chat-1", input="Mail jane@example.com") as answer:
                    with tracing.span("search", kind="retrieval", input={"query": "tea"}) as search:
                        search.set_output(["doc 1"])
                    with pytest.raises(ValueError, match="no card"):
                        _pay(tracing)
                    answer.set_output("Done. ü ✓")
                assert tracing.flush(deadline=30)
                tracing.shutdown()
        finally:
            relay.close()
        with Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as reader:
            [trace] = [reader.traces.get(one.id) for one in reader.traces.list()]
    assert set(relay.statuses) == {200}

    def stored() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = phoenix.get("/v1/projects/default/spans").json()["data"]
        return found

    _until(lambda: len(stored()) >= 3)
    here = {
        span.name: (span.id, span.trace_id, span.parent_span_id, span.status == "ERROR", span.start_time)
        for span in trace.spans or []
    }
    there = {
        span["name"]: (
            span["context"]["span_id"],
            span["context"]["trace_id"],
            span["parent_id"],
            span["status_code"] == "ERROR",
            _time(span["start_time"]),
        )
        for span in stored()
    }
    assert here == there
    kinds = {span["name"]: span["span_kind"] for span in stored()}
    assert kinds == {"answer": "AGENT", "search": "RETRIEVER", "pay": "TOOL"}
    assert {span.name: span.span_type for span in trace.spans or []} == {
        "answer": "AGENT", "search": "RETRIEVAL", "pay": "TOOL",
    }  # fmt: skip
    [root] = [span for span in stored() if span["name"] == "answer"]
    assert (root["attributes"]["input.value"], trace.input) == ("Mail <email>", "Mail <email>")
    assert (root["attributes"]["output.value"], trace.output) == ("Done. ü ✓", "Done. ü ✓")
    assert (root["attributes"]["session.id"], trace.session_id) == ("chat-1", "chat-1")
    for everything in (str(stored()), trace.model_dump_json()):
        assert "jane" not in everything
        assert "4111" not in everything


def _pay(tracing: Tracing) -> None:
    with tracing.span("pay", kind="tool", input="x") as pay:
        pay.set_output("y")
        raise ValueError("no card 4111 1111 1111 1111")


def _time(text: str) -> Any:
    """Read a time, cut to the milliseconds that the service has."""
    from datetime import datetime

    moment = datetime.fromisoformat(text)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
