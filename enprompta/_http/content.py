"""The body of an answer: read within a limit, and decompressed in bounded steps.

HTTP libraries decompress whatever they are sent, in one go: a few hundred bytes can become gigabytes. So this package
reads the bytes as they came and decompresses them here, a mebibyte at a time; between two steps a driver checks the
deadline or lets other tasks run.
"""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

from enprompta._core.steps import Answer
from enprompta._http.settings import DEFAULT_MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable


MAX_ERROR_BYTES = 1_000_000
"""Bytes that are read of the body of an error, which is not the data that a call asks for."""
BYTES_PER_VALUE = 100
"""An answer may hold one JSON value for each so many bytes of the limit: parsed, a value of one byte takes some 50."""
OBJECT_VALUES = 20
"""Values that an object counts as: a model takes a kilobyte and some 8 µs."""

_SETTING = "max_response_bytes"  # where a request's extensions hold the limit
_STEP = 1 << 20  # decompressed bytes between two looks at the clock: some 3 ms
_SLICE = 1 << 16  # compressed bytes given to zlib at once: it copies those that it does not take
_MAX_MEMBERS = 10_000  # of one gzip body
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_RAW_SLACK = 65_536
_KEPT = 65_536  # bytes of a refused body, for the error


def raw_limit(request: Any, status: int) -> int:  # noqa: ANN401 (of httpx, httpx2 or httpcore)
    """Return how many bytes of an answer's body to read at most: gzip makes short bodies longer."""
    return _limit(request, status) + _RAW_SLACK


def _limit(request: Any, status: int) -> int:  # noqa: ANN401 (as above)
    """Return how many bytes an answer's body may have, decompressed."""
    # A transport of the caller's may drop extensions.
    limit: int = request.extensions.get(_SETTING, DEFAULT_MAX_RESPONSE_BYTES)
    return limit if 200 <= status < 300 else min(limit, MAX_ERROR_BYTES)  # noqa: PLR2004 (2xx is the definition)


def read_parts(parts: Iterable[bytes], limit: int) -> bytes:
    """Join the parts of a body; stop reading once there are more bytes than the limit."""
    buffer = BytesIO()  # its `getvalue` does not copy, where joining a list holds the body twice
    for part in parts:
        buffer.write(part)
        if buffer.tell() > limit:
            break
    return buffer.getvalue()


async def aread_parts(parts: AsyncIterable[bytes], limit: int) -> bytes:
    """Join the parts of a body; stop reading once there are more bytes than the limit."""
    buffer, iterator = BytesIO(), aiter(parts)
    async for part in iterator:
        buffer.write(part)
        if buffer.tell() > limit:
            if (close := getattr(iterator, "aclose", None)) is not None:
                await close()  # otherwise the garbage collector would, and event loops warn of that
            break
    return buffer.getvalue()


def decompressed(raw: bytes, response: Any, request: Any, broken: type[Exception]) -> Generator[None, None, Answer]:  # noqa: ANN401 (of httpx or httpx2)
    """Decompress a body. Yields after each step that is not the last one.

    Args:
        raw: The body as it came, cut after the limit.
        response: Has the status and the headers.
        request: What was answered.
        broken: The exception to raise.

    Raises:
        Exception: `broken`, when the body is damaged or incomplete.
    """
    status, headers = response.status_code, response.headers
    limit = _limit(request, status)
    codings = _codings(headers) if "content-encoding" in headers else ()
    if not raw or not codings:
        content, refusal = raw, ""
    elif len(codings) > 1:
        content, refusal = b"", f"a body that is encoded {len(codings)} times ({', '.join(codings)})"
    elif (coding := codings[0]) not in {"gzip", "x-gzip", "deflate"}:
        content, refusal = b"", f"a body in the encoding {coding!r}: the client reads gzip and deflate"
    else:
        content, refusal = (yield from _inflated(raw, coding, limit, broken)), ""
    # A limit below the default bounds the bytes alone.
    most = max(limit, DEFAULT_MAX_RESPONSE_BYTES) // BYTES_PER_VALUE
    if not refusal and (len(content) > limit or len(raw) > limit + _RAW_SLACK):
        setting = ", the client's max_response_bytes" if limit != MAX_ERROR_BYTES else ""
        refusal = f"a body of more than {limit:,} bytes{setting}"
    elif not refusal and (yield from _is_crowded(content, most)):
        refusal = (
            f"JSON of more than {most:,} values, or {most // OBJECT_VALUES:,} objects: more than max_response_bytes of "
            f"{limit:,} has room for"
        )
    return Answer(status, headers, content[:_KEPT] if refusal else content, request, refusal)


def _codings(headers: Any) -> list[str]:  # noqa: ANN401 (of httpx or httpx2)
    names = (name.strip().lower() for name in headers.get("content-encoding", "").split(","))
    return [name[:40] for name in names if name not in {"", "identity"}]


def _inflated(raw: bytes, coding: str, limit: int, broken: type[Exception]) -> Generator[None, None, bytes]:
    """Decompress until the end, or until there are more bytes than the limit."""
    wbits = _deflate_wbits(raw) if coding == "deflate" else _GZIP
    view, output, at = memoryview(raw), BytesIO(), 0
    members, decoder = 1, zlib.decompressobj(wbits)
    while True:
        data = view[at : at + _SLICE]
        part, problem = _step(decoder, data)
        if problem:
            raise broken(f"its {coding} body is damaged ({problem})")
        output.write(part)
        if output.tell() > limit:
            return output.getvalue()
        at += len(data) - len(decoder.unused_data if decoder.eof else decoder.unconsumed_tail)
        if decoder.eof:
            # What follows the last member is padding, and no part of the body: the gzip program ignores it too.
            if wbits != _GZIP or raw[at : at + 2] != _GZIP_MAGIC:
                return output.getvalue()
            if members == _MAX_MEMBERS:
                raise broken(f"its {coding} body has more than {_MAX_MEMBERS:,} members")
            members, decoder = members + 1, zlib.decompressobj(wbits)
        elif not data and not part:
            raise broken(f"its {coding} body is incomplete")
        yield


def _step(decoder: Any, data: memoryview) -> tuple[bytes, str]:  # noqa: ANN401 (zlib does not name its type)
    """Return up to a step of decompressed bytes, and what zlib says of damaged ones."""
    try:
        return decoder.decompress(data, _STEP), ""
    except zlib.error as error:
        return b"", str(error)


def _deflate_wbits(raw: bytes) -> int:
    """Tell zlib's format, which RFC 9110 calls deflate, from the bare format that some servers send."""
    is_zlib = raw[0] & 15 == zlib.DEFLATED and int.from_bytes(raw[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


def _is_crowded(content: bytes, most: int) -> Generator[None, None, bool]:
    """Return True if a body holds more JSON values than `most`; small bodies are not searched."""
    if len(content) <= most // 2:
        return False
    count = 0
    for at in range(0, len(content), _STEP):
        count += _values(content[at : at + _STEP])
        yield
    if count <= most:
        return False
    for number, text in enumerate(_STRING.finditer(content)):  # those in texts do not count
        if number > 2 * most:  # each value has at most a name and a text
            return True
        count -= _values(text.group())
        if number % 10_000 == 0:
            yield
    return count > most


def _values(part: bytes) -> int:
    return part.count(b",") + part.count(b"[") + OBJECT_VALUES * part.count(b"{")
