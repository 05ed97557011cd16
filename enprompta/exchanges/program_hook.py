"""A hook that reports a program's own view of its calls to the Workbench: attempts, waits and retries.

It never delays or fails a call: records go into a bounded queue, a daemon thread sends them to a loopback address, and
whatever cannot be sent is dropped.
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import queue
import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from enprompta._common.clock import monotonic, real_time
from enprompta._common.hosts import is_loopback
from enprompta.errors import ConfigurationError
from enprompta.exchanges.exchange import CALL_HEADER, LOGGED_BODY_BYTES, Exchange, TimelineEvent
from enprompta.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.hooks import RequestRecord, ResponseRecord, RetryRecord, WaitRecord

T = TypeVar("T")

WORKBENCH_VARIABLE = "ENPROMPTA_WORKBENCH"
_MAX_QUEUED = 1_000
_MAX_BATCH = 50
_SEND_SECONDS = 2.0
_EXIT_SECONDS = 0.5


class ProgramHook(Hooks):
    """Reports calls to the Workbench; made by `enprompta.workbench.hook`. Pickles as its address.

    Args:
        url: Address that the Workbench prints, such as `http://127.0.0.1:8788/report/…`.

    Raises:
        ConfigurationError: The address is not an `http://` URL of this machine.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._reporter = _reporter_for(url)
        self._process = f"{os.getpid():x}-{secrets.token_hex(4)}"
        self._waits: OrderedDict[int, TimelineEvent] = OrderedDict()  # call -> its wait before the next attempt
        self._sent: OrderedDict[int, float] = OrderedDict()  # call -> when its current attempt was sent

    def __reduce__(self) -> tuple[type[ProgramHook], tuple[str]]:
        return (ProgramHook, (self._url,))

    def on_wait(self, record: WaitRecord, /) -> None:
        """Note a wait; it is reported with the attempt that follows."""
        started = real_time() - record.waited
        _put(self._waits, record.call_id, TimelineEvent("wait", started, record.waited, "Waited for the rate limit"))

    def on_request(self, record: RequestRecord, /) -> Mapping[str, str] | None:
        """Note the time, and name the call to servers on this machine, which log the same exchange."""
        _put(self._sent, record.call_id, real_time())
        if is_loopback(urlsplit(record.url).hostname or ""):
            return {CALL_HEADER: f"{self._call(record)}/{record.attempt}"}
        return None

    def on_response(self, record: ResponseRecord, /) -> None:
        """Report an attempt with its wait and its result."""
        request = record.request
        url = urlsplit(request.url)
        sent = self._sent.pop(request.call_id, real_time() - record.duration)
        wait = self._waits.pop(request.call_id, None)
        result = record.error or str(record.status_code)
        steps = [
            TimelineEvent("request", sent, text=f"Attempt {request.attempt}"),
            TimelineEvent("response", sent, record.duration, result),
        ]
        self._reporter.put(
            Exchange(
                id=0,
                at=sent,
                method=request.method,
                path=url.path,
                query=url.query,
                status=record.status_code,
                ms=round(record.duration * 1000, 1),
                request_id=record.request_id,
                error=record.error,
                source="program",
                call=self._call(request),
                attempt=request.attempt,
                request_headers=tuple(request.headers.items()),
                request_body=request.body[:LOGGED_BODY_BYTES],
                request_size=len(request.body),
                response_headers=tuple(record.headers.items()),
                response_body=record.body[:LOGGED_BODY_BYTES],
                response_size=len(record.body),
                timeline=tuple(steps if wait is None else [wait, *steps]),
            )
        )

    def on_retry(self, record: RetryRecord, /) -> None:
        """Report the pause before a retry."""
        pause = TimelineEvent("retry", real_time(), record.wait, record.error)
        self._reporter.put((self._call(record.request), record.request.attempt, pause))

    def _call(self, record: RequestRecord) -> str:
        return f"{self._process}-{record.call_id}"


class _Reporter:
    """Sends reports from a daemon thread, which starts with the first report, also after a fork."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._address = (host, port)
        self._path = path
        self._start()

    def _start(self) -> None:
        self._pid: int = os.getpid()
        self._queue: queue.Queue[Exchange | tuple[str, int, TimelineEvent]] = queue.Queue(_MAX_QUEUED)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, report: Exchange | tuple[str, int, TimelineEvent]) -> None:
        """Queue a report; it is dropped if the queue is full."""
        if self._pid != os.getpid():  # a forked process has no thread, and must not send what its parent sends
            self._start()
        with suppress(queue.Full):
            self._queue.put_nowait(report)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="enprompta-workbench", daemon=True)
                    with suppress(RuntimeError):  # the interpreter is shutting down
                        self._thread.start()
                        atexit.register(self._flush, self._pid)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < _MAX_BATCH:
                    batch.append(self._queue.get_nowait())
            with suppress(Exception):  # whatever happens, the program must not notice
                self._send(json.dumps([_to_json(report) for report in batch]).encode())
            for _ in batch:
                self._queue.task_done()

    def _send(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=_SEND_SECONDS)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        finally:
            connection.close()

    def _flush(self, pid: int) -> None:
        """Wait a moment when the program ends, so that its last reports are sent."""
        deadline = monotonic() + _EXIT_SECONDS
        done = self._queue.all_tasks_done
        with done:
            while pid == os.getpid() and self._queue.unfinished_tasks and (left := deadline - monotonic()) > 0:
                done.wait(left)


_reporters: dict[str, _Reporter] = {}


def _reporter_for(url: str) -> _Reporter:
    """Return the reporter of an address; all hooks of a process share it.

    Raises:
        ConfigurationError: The address is not an `http://` URL of this machine.
    """
    try:
        parsed = urlsplit(url)
        port = parsed.port
    except ValueError:
        parsed, port = urlsplit(""), None
    if parsed.scheme != "http" or not is_loopback(parsed.hostname or "") or not url.isascii() or not url.isprintable():
        raise ConfigurationError(
            f"{WORKBENCH_VARIABLE} must be the address that `enprompta workbench` prints for programs, such as "
            "http://127.0.0.1:8788/report/…; reports are sent to this machine only"
        )
    if url not in _reporters:
        _reporters[url] = _Reporter(parsed.hostname or "", port or 80, parsed.path or "/")
    return _reporters[url]


def _put(known: OrderedDict[int, T], call_id: int, value: T) -> None:
    known[call_id] = value
    with suppress(KeyError):  # another thread may have removed it
        if len(known) > _MAX_QUEUED:
            known.popitem(last=False)


def _to_json(report: Exchange | tuple[str, int, TimelineEvent]) -> dict[str, object]:
    if isinstance(report, Exchange):
        return {"exchange": report.to_json()}
    call, attempt, event = report
    step = {"kind": event.kind, "at": event.at, "seconds": event.seconds, "text": event.text}
    return {"call": call, "attempt": attempt, "event": step}
