"""Connections with deadlines, when they are closed or inherited by a forked child."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpcore
import pytest

from enprompta._http.senders import deadline_streams
from enprompta._http.senders.base import thread_deadline
from enprompta._http.senders.deadline_streams import DeadlineBackend, DeadlineStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self


class OnSocket(httpcore.MockStream):
    """A connection on a socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__([])
        self.socket = sock

    def get_extra_info(self, info: str) -> Any:
        """Return the socket."""
        return self.socket if info == "socket" else None


def test_a_connection_without_a_socket_is_closed() -> None:
    """A connection of a caller's backend has no socket to wake: it is only closed."""
    inner = httpcore.MockStream([])
    DeadlineStream(inner, httpcore).close()
    assert inner._closed


def test_a_child_leaves_its_parents_connections_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child closes its copies without sending anything, and skips those without a socket or already closed."""
    parents, server = socket.socketpair()
    closed = socket.socket()
    closed.close()
    copied = parents.dup()
    inner = [OnSocket(copied), OnSocket(closed), httpcore.MockStream([])]
    streams = [DeadlineStream(each, httpcore) for each in inner]
    monkeypatch.setattr(deadline_streams, "_streams", WeakSet(streams))
    deadline_streams.close_inherited_sockets()
    assert copied.fileno() == -1
    parents.sendall(b"still here")
    assert server.recv(100) == b"still here"
    parents.close()
    server.close()


def test_a_refused_socket_option_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection fails with the library's own error."""
    opened, server = socket.socketpair()

    class Won:
        """A race with one winner."""

        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, _: object) -> socket.socket:
            """Return the winner."""
            return opened

    monkeypatch.setattr(deadline_streams, "Race", Won)
    with pytest.raises(httpcore.ConnectError):
        DeadlineBackend(httpcore.SyncBackend(), httpcore).connect_tcp(
            "127.0.0.1", 1
        )  # a Unix socket has no TCP options
    assert opened.fileno() == -1
    server.close()


class Stop(RuntimeError):  # noqa: N818 (named for what it is)
    """Raised by a handler."""


@pytest.fixture
def interrupt() -> Iterator[Callable[..., None]]:
    """Raise `Stop` in a signal handler, wherever it is called."""

    def handle(*_: object) -> None:
        raise Stop("stop")

    before = signal.signal(signal.SIGUSR1, handle)
    yield lambda *_, **__: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
class TestHandlers:
    def test_while_the_thread_of_a_lookup_starts(
        self, interrupt: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not taken for a system without threads."""
        monkeypatch.setattr(deadline_streams.Thread, "start", interrupt)
        monkeypatch.setattr(thread_deadline, "at", float("inf"))
        with pytest.raises(Stop):
            DeadlineBackend(httpcore.SyncBackend(), httpcore)._resolve("localhost", 80)

    def test_while_writing(self, interrupt: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
        """The library would take a `WriteError` for the end of the request, and wait for a response."""
        inner = httpcore.MockStream([])

        def write(*_: object) -> None:
            try:
                interrupt()
            except Stop as error:
                raise httpcore.WriteError(str(error)) from error

        monkeypatch.setattr(inner, "write", write)
        with pytest.raises(Stop):
            DeadlineStream(inner, httpcore).write(b"x")
