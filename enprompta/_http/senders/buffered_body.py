"""Request and response bodies that are held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


class WholeBody:
    """A body that can be read repeatedly and abandoned at any point.

    httpx reads its own body class with an async generator. If sending fails, as on a connection reset, the generator
    is never finished, and trio warns about it.
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


def body_for(library: ModuleType, content: bytes) -> Any:  # noqa: ANN401 (a stream of the library)
    """Return a body as a request of httpx or httpx2, which accept only subclasses of the library's streams."""
    return _body_class(library)(content)


@lru_cache(maxsize=2)
def _body_class(library: ModuleType) -> type[WholeBody]:
    return type("WholeBody", (WholeBody, library.SyncByteStream, library.AsyncByteStream), {})
