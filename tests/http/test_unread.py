"""Detection of unread bytes, including the paths that few systems use."""

from __future__ import annotations

import select
import socket
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpcore
import pytest

from enprompta._http.senders import deadline_streams
from enprompta._http.senders.base import thread_deadline
from enprompta._http.senders.deadline_streams import DeadlineBackend
from enprompta._http.senders.unread import Unread, note_answer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Tls(ssl.SSLObject):
    """A TLS connection with buffered data."""

    def __init__(self) -> None: ...

    def __new__(cls) -> Any:
        """Create one without a context."""
        return object.__new__(cls)

    def read(self, *_: Any) -> bytes:  # type: ignore[override]
        """Read."""
        raise ssl.SSLError("bad record")


def test_records_that_cannot_be_read_are_left_over() -> None:
    """After a response, a broken record or one more byte counts as unread data."""
    broken = Tls()
    stream = SimpleNamespace(get_extra_info=lambda _: broken)
    assert Unread(stream).found()
    broken.read = lambda *_: b"x"  # type: ignore[method-assign]
    assert Unread(stream).found()


def test_a_response_of_a_custom_backend_is_not_inspected() -> None:
    """Its stream does not count what was read."""
    note_answer(SimpleNamespace(extensions={}))


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_system_without_poll(sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Falls back to `select`."""
    answers = pytest.importorskip("enprompta._http.senders.aiohttp_sender")
    monkeypatch.delattr(select, "poll", raising=False)
    assert not answers.is_readable(sockets[0])
    sockets[1].send(b"x")
    assert answers.is_readable(sockets[0])


class NoThread:
    """A thread that cannot be started."""

    def __init__(self, **_: object) -> None: ...

    def start(self) -> None:
        """Fail."""
        raise RuntimeError("can't start new thread")


def test_a_host_is_looked_up_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup runs in the caller's thread."""
    monkeypatch.setattr(deadline_streams, "Thread", NoThread)
    monkeypatch.setattr(thread_deadline, "at", float("inf"))
    assert DeadlineBackend(httpcore.SyncBackend(), httpcore)._resolve("localhost", 80)


def test_a_custom_backend_connects_in_its_way() -> None:
    """It need not use sockets."""
    backend = DeadlineBackend(httpcore.MockBackend([b"x"]), httpcore)
    assert backend.connect_tcp("nowhere.test", 80).read(1) == b"x"
