"""Connections with deadlines, when they are closed or inherited by a forked child."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpcore

from enprompta._http.senders import deadline_streams
from enprompta._http.senders.deadline_streams import DeadlineStream

if TYPE_CHECKING:
    import pytest


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
