"""No span is lost when a program ends, forks or is stopped, and a bad service hardly delays its end.

`ENPROMPTA_LONG_TESTS=1` runs the long form: bursts of 100,000 spans at every end, and every failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.tracing import Tracing, lifetimes
from tests.faults.server import FaultServer, Peer, answer
from tests.tracing.receiver import Receiver, black_hole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta import Enprompta

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
BURST = 100_000 if LONG else 10_000
BURST_MODES = ("exit", "threads", "tasks", "thread-pool", "fork", "multiprocessing", "process-pool", "sigterm",
               "sigterm-handler") if LONG else ("threads", "fork", "sigterm")  # fmt: skip
TROUBLES = ("refused", "black hole", "hangs", 401, 403, 429, 500)
MODES_OF_TROUBLE = [
    (mode, trouble) for mode in ("exit", "sigterm") for trouble in TROUBLES
] if LONG else [("exit", "refused"), ("exit", "black hole"), ("sigterm", "hangs"), ("sigterm", 500)]  # fmt: skip
PROGRAM = Path(__file__).parent / "program.py"
ROOT = str(Path(__file__).parents[2])


def start(mode: str, receiver: Receiver, count: int, *more: str) -> subprocess.Popen[str]:
    """Start the program."""
    command = [sys.executable, "-W", "error", str(PROGRAM), mode, receiver.base_url, str(count), *more]
    environ = {**os.environ, "PYTHONPATH": ROOT}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environ, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str]) -> int:
    """Wait for the program; return its status."""
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors.replace("ValueError: the program fails", "") or process.returncode == 1, errors
    return process.returncode


def numbers(receiver: Receiver) -> list[int]:
    """The numbers of the spans that arrived."""
    return sorted(span.attributes["n"] for span in receiver.spans)


MODES = {
    "exit": 0, "error": 1, "threads": 0, "tasks": 0, "thread-pool": 0, "fork": 0, "multiprocessing": 0,
    "process-pool": 0, "sigterm": -signal.SIGTERM, "sigterm-handler": 3,
}  # fmt: skip


FIRST_REQUEST = """
import sys
from enprompta import Enprompta
from enprompta._client.ingest_client import IngestClient
with Enprompta(client_id="c", client_secret="s", base_url=sys.argv[1]) as client:
    sender = IngestClient(client)
    loaded = set(sys.modules)
    sender.post("/traces", b"{}", {}, seconds=30)
    sender.close()
    print(*sorted(set(sys.modules) - loaded))
"""


def test_the_first_request_imports_nothing() -> None:
    """A fork while the export thread imports a module would leave the module's lock held in the child."""

    def grant(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, b'{"access_token": "t", "expires_in": 60}'))

    with FaultServer() as server:
        server.play(then=grant)
        command = [sys.executable, "-c", FIRST_REQUEST, server.base_url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.parametrize("mode", MODES)
def test_every_end_sends_everything(mode: str, receiver: Receiver, measured_processes: None) -> None:
    """Each span arrives exactly once, however the program ends, and its status is what it would be without tracing."""
    process = start(mode, receiver, 400)
    if mode.startswith("sigterm"):
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    assert ended(process) == MODES[mode]
    assert numbers(receiver) == list(range(400))


@pytest.mark.slow
@pytest.mark.step("tracing")
@pytest.mark.parametrize("mode", BURST_MODES)
def test_no_span_of_a_burst_is_lost(mode: str, receiver: Receiver) -> None:
    """A burst of spans arrives whole, also if the program ends right after it."""
    process = start(mode, receiver, BURST)
    if mode.startswith("sigterm"):
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    assert ended(process) == MODES[mode]
    assert numbers(receiver) == list(range(BURST))


@pytest.mark.slow
@pytest.mark.step("tracing")
@pytest.mark.parametrize(("mode", "trouble"), MODES_OF_TROUBLE)
def test_a_bad_service_delays_the_end_by_two_seconds_at_most(mode: str, trouble: Any) -> None:
    """The end of the program waits no longer than the deadline of shutdown."""
    with Receiver() as receiver, black_hole() as hole:
        receiver.play = lambda _: time.sleep(60) if trouble == "hangs" else trouble
        if trouble == "refused":
            receiver.close()
        if trouble == "black hole":
            receiver.base_url = hole
        process = start(mode, receiver, 1000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        if mode == "sigterm":
            process.send_signal(signal.SIGTERM)
        assert ended(process) == MODES[mode]
        assert time.monotonic() - began < 2.0 + 1.5  # the interpreter takes some of it to end
        receiver.close = lambda: None  # type: ignore[method-assign]  # closed, or its handler sleeps


@pytest.fixture
def sigterm() -> Iterator[None]:
    """Leave the handler as it was."""
    before, known = signal.getsignal(signal.SIGTERM), [*lifetimes._previous]
    yield
    signal.signal(signal.SIGTERM, before)
    lifetimes._previous[:] = known


def test_the_handler_of_sigterm_is_restored(client: Enprompta, sigterm: None) -> None:
    """Without a tracer left, SIGTERM is handled as before; a handler that another library installed stays."""
    before = signal.getsignal(signal.SIGTERM)
    with Tracing(client), Tracing(client):
        assert signal.getsignal(signal.SIGTERM) is lifetimes._on_sigterm
    assert signal.getsignal(signal.SIGTERM) is before
    with Tracing(client):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    with Tracing(client):
        os.kill(os.getpid(), signal.SIGTERM)  # ignored, as before


def test_handlers_that_chain(client: Enprompta, receiver: Receiver, sigterm: None) -> None:
    """A handler that calls the one before it, installed between two tracers, ends in the application's."""
    called: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: called.append("application"))
    with Tracing(client):
        inner: Any = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda number, frame: (called.append("library"), inner(number, frame)))
        with Tracing(client, interval=60) as tracing:
            with tracing.span("s"):
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            assert called == ["library", "application"]
            assert receiver.named("s")


def test_sigterm_without_another_handler(
    client: Enprompta, receiver: Receiver, sigterm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans are sent, and then the signal ends the process as it would have."""
    killed: list[tuple[int, int]] = []
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with Tracing(client, interval=60) as tracing:
        with tracing.span("s"):
            pass
        monkeypatch.setattr(lifetimes.os, "kill", lambda *given: killed.append(given))
        lifetimes._on_sigterm(signal.SIGTERM, None)
        assert receiver.named("s")
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert killed == [(os.getpid(), signal.SIGTERM)]


def test_a_process_of_multiprocessing(client: Enprompta, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer made in such a process, or before it was forked, is shut down by a finalizer."""
    finalizers: list[Any] = []
    monkeypatch.setattr(lifetimes.multiprocessing, "parent_process", object)
    monkeypatch.setattr(lifetimes.util, "Finalize", lambda _, end, **__: finalizers.append(end))
    tracing = Tracing(client, interval=60)
    with tracing.span("s"):
        pass
    lifetimes.util._run_after_forkers()
    assert len(finalizers) >= 2
    finalizers[0]()
    assert receiver.named("s")
    assert "shut down" in repr(tracing)


@pytest.mark.parametrize("has_spool", [False, True])
def test_a_child_process_starts_empty(
    client: Enprompta,
    receiver: Receiver,
    tmp_path: Path,
    has_spool: bool,  # noqa: FBT001 (a parameter)
) -> None:
    """After a fork the child has its own queue, counters and files; what was waiting is the parent's to send."""
    with Tracing(client, interval=60, spool=tmp_path if has_spool else None) as tracing, tracing.span("child"):
        for _ in range(3):
            tracing.provider.get_tracer("t").start_span("parent").end()
        lifetimes._after_fork()
        assert (tracing.stats.waiting, tracing.stats.sent) == (0, 0)
    assert [span.name for span in receiver.spans] == ["child"]


def test_a_tracer_in_another_thread(client: Enprompta, receiver: Receiver) -> None:
    """Only the main thread can handle signals; a tracer of another thread works without."""
    import threading

    def work() -> None:
        with Tracing(client) as tracing, tracing.span("s"):
            pass

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert receiver.named("s")
