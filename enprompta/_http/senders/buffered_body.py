"""The body of a request, in one piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx


class WholeBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that can be read any number of times, and left in the midst of it.

    httpx's own is read by an async generator. When sending breaks off, as on a connection that was reset, nobody
    finishes that, and trio warns of it.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._rest = [content]

    async def __anext__(self) -> bytes:
        if self._rest:
            return self._rest.pop()
        raise StopAsyncIteration
