"""Connect to a host with several addresses without waiting for unreachable ones (RFC 8305, "Happy Eyeballs").

If an attempt has not succeeded within 250 ms, the next address is tried in parallel; after a failure, it is tried at
once. The first connection wins and the others are closed. All attempts run in the caller's thread, with one selector.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from enprompta._common.clock import monotonic
from enprompta._common.handler_errors import is_from_handler
from enprompta._core.steps import TRIED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Self

Address: TypeAlias = "tuple[int, int, int, str, Any]"
"""One result of `socket.getaddrinfo`."""

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried in parallel ("Connection Attempt Delay" in RFC 8305)."""
_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}


class Race:
    """Parallel attempts to connect to the addresses of one host; a context manager that closes the losing ones.

    Args:
        addresses: Results of `socket.getaddrinfo`, best first.
        local_address: Local address to connect from; None for any.
    """

    def __init__(self, addresses: Sequence[Address], local_address: str | None) -> None:
        self._waiting = deque(interleaved(addresses))
        self._local_address = local_address
        self._running: dict[socket.socket, str] = {}
        self._failures: list[str] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for sock in self._running:
            sock.close()

    def run(self, timeout: float | None) -> socket.socket:
        """Connect.

        Args:
            timeout: Seconds for all attempts together; None for the system's limit.

        Returns:
            The socket that connected first, in non-blocking mode.

        Raises:
            TimeoutError: The timeout passed; the message lists each address with its result.
            OSError: All addresses failed; the message lists each with its reason.
        """
        ends = None if timeout is None else monotonic() + timeout
        while self._waiting or self._running:
            if self._waiting and (won := self._start(self._waiting.popleft())):
                return won
            if self._running and (won := self._wait(ends)):
                return won
        raise OSError(self._outcome())

    def _start(self, to: Address) -> socket.socket | None:
        """Start an attempt; return its socket if it succeeds immediately."""
        family, kind, protocol, _, address = to
        name = _name(address)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # the address family is not supported
            return self._failed(name, error)
        self._running[sock] = name
        try:
            sock.setblocking(False)
            if self._local_address is not None:
                sock.bind((self._local_address, 0))
            code = sock.connect_ex(address)
        except OSError as error:  # the local address is of another family or does not exist
            del self._running[sock]
            sock.close()
            return self._failed(name, error)
        if code not in _IN_PROGRESS:
            return self._ended(sock, code)
        self._selector.register(sock, selectors.EVENT_WRITE)
        return None

    def _failed(self, name: str, error: OSError) -> None:
        if is_from_handler(error):
            raise error
        self._failures.append(f"{name} ({error.strerror or error})")

    def _wait(self, ends: float | None) -> socket.socket | None:
        """Wait until an attempt ends or the next one is due; return the socket of a successful one."""
        left = None if ends is None else ends - monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(self._outcome())
        pauses = [pause for pause in (left, ATTEMPT_DELAY if self._waiting else None) if pause is not None]
        for key, _ in self._selector.select(min(pauses, default=None)):
            sock: Any = key.fileobj
            self._selector.unregister(sock)
            if won := self._ended(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                return won
        return None

    def _ended(self, sock: socket.socket, code: int) -> socket.socket | None:
        """Finish an attempt; return its socket if it succeeded."""
        name = self._running.pop(sock)
        if not code:
            return sock
        sock.close()
        self._failures.append(f"{name} ({os.strerror(code)})")
        return None

    def _outcome(self) -> str:
        return TRIED + ", ".join([*self._failures, *(f"{name} (no answer)" for name in self._running.values())])


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Order addresses so that families alternate, starting with the family of the first one."""
    families: dict[int, list[Address]] = {}
    for one in addresses:
        families.setdefault(one[0], []).append(one)
    return [one for one in chain.from_iterable(zip_longest(*families.values())) if one is not None]


def _name(address: Any) -> str:  # noqa: ANN401 (a tuple of two, or of four for IPv6)
    host, port, *_ = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
