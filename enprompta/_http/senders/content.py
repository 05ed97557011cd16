"""Read response bodies up to a limit, and decompress them in bounded steps.

HTTP libraries decompress a whole body at once: a few hundred bytes can become gigabytes. This package reads the raw
bytes and decompresses them here, one mebibyte at a time; between steps, the driver checks the deadline or lets other
tasks run.
"""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from enprompta._core.steps import DEFAULT_MAX_RESPONSE_BYTES, OK, REDIRECT, Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable, Mapping

    import httpx

    class HasExtensions(Protocol):
        """A request of httpx, httpx2 or httpcore."""

        @property
        def extensions(self) -> Mapping[str, Any]: ...


MAX_ERROR_BYTES = 1_000_000
"""Largest body of an error response in bytes."""
BYTES_PER_VALUE = 125
"""Bytes of the limit per allowed JSON value: reading the values of one object takes at most 0.2 seconds."""
OBJECT_VALUES = 20
"""Number of values that a JSON object counts as, because a model takes about a kilobyte."""
FIELD_VALUES = 3
"""Number of values that a field or a list counts as, besides its value: many of them take long to parse."""

_SETTING = "max_response_bytes"  # the request extension that holds the limit
_STEP = 1 << 20  # decompressed bytes per step, about 3 ms
_SLICE = 1 << 16  # compressed bytes passed to zlib at once, because it copies the unused rest
_MAX_MEMBERS = 10_000  # gzip members of one body
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_STRING = rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?'  # one that is cut ends with the body
_RAW_SLACK = 65_536
_KEPT = 65_536  # bytes of a rejected body kept for the error


def raw_limit(request: HasExtensions, status: int) -> int:
    """Return how many raw bytes of a body to read at most; gzip makes short bodies longer."""
    return _limit(request, status) + _RAW_SLACK


def _limit(request: HasExtensions, status: int) -> int:
    """Return the largest allowed body in bytes, decompressed."""
    # A custom transport may drop extensions.
    limit: int = request.extensions.get(_SETTING, DEFAULT_MAX_RESPONSE_BYTES)
    return limit if OK <= status < REDIRECT else min(limit, MAX_ERROR_BYTES)


def read_parts(parts: Iterable[bytes], limit: int) -> bytes:
    """Join the parts of a body; stop reading when the limit is exceeded."""
    buffer = BytesIO()  # `getvalue` does not copy; joining a list would hold the body twice
    for part in parts:
        buffer.write(part)
        if buffer.tell() > limit:
            break
    return buffer.getvalue()


async def aread_parts(parts: AsyncIterable[bytes], limit: int) -> bytes:
    """Join the parts of a body; stop reading when the limit is exceeded."""
    buffer, iterator = BytesIO(), aiter(parts)
    async for part in iterator:
        buffer.write(part)
        if buffer.tell() > limit:
            if (close := getattr(iterator, "aclose", None)) is not None:
                await close()  # event loops warn if the garbage collector closes it
            break
    return buffer.getvalue()


def decompressed(
    raw: bytes, response: httpx.Response, request: httpx.Request, broken: type[Exception]
) -> Generator[None, None, Answer]:
    """Decompress a body, cut off after the limit; yield after each step except the last.

    Raises:
        Exception: `broken`, if the body is damaged or incomplete.
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
    # A limit below the default restricts bytes, not values.
    most = max(limit, DEFAULT_MAX_RESPONSE_BYTES) // BYTES_PER_VALUE
    if not refusal and (len(content) > limit or len(raw) > limit + _RAW_SLACK):
        setting = ", the client's max_response_bytes" if limit != MAX_ERROR_BYTES else ""
        refusal = f"a body of more than {limit:,} bytes{setting}"
    elif not refusal and len(content) > most // 2 and (yield from _is_crowded(content, most)):
        refusal = (
            f"JSON of more than {most:,} values, or {most // OBJECT_VALUES:,} objects: more than max_response_bytes of "
            f"{limit:,} has room for"
        )
    return Answer(status, headers, content[:_KEPT] if refusal else content, request, refusal)


def _codings(headers: httpx.Headers) -> list[str]:
    names = (name.strip().lower() for name in headers.get("content-encoding", "").split(","))
    return [name[:40] for name in names if name not in {"", "identity"}]


def _inflated(raw: bytes, coding: str, limit: int, broken: type[Exception]) -> Generator[None, None, bytes]:
    """Decompress to the end, or until the limit is exceeded."""
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
            # Bytes after the last member are padding; the gzip program ignores them too.
            if wbits != _GZIP or raw[at : at + 2] != _GZIP_MAGIC:
                return output.getvalue()
            if members == _MAX_MEMBERS:
                raise broken(f"its {coding} body has more than {_MAX_MEMBERS:,} members")
            members, decoder = members + 1, zlib.decompressobj(wbits)
        elif not data and not part:
            raise broken(f"its {coding} body is incomplete")
        yield


def _step(decoder: Any, data: memoryview) -> tuple[bytes, str]:  # noqa: ANN401 (zlib has no public type for it)
    """Return the decompressed bytes of one step, and zlib's error message or an empty text."""
    try:
        return decoder.decompress(data, _STEP), ""
    except zlib.error as error:
        return b"", str(error)


def _deflate_wbits(raw: bytes) -> int:
    """Distinguish the zlib format, which RFC 9110 calls deflate, from the raw format that some servers send."""
    is_zlib = raw[0] & 15 == zlib.DEFLATED and int.from_bytes(raw[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


def _is_crowded(content: bytes, most: int) -> Generator[None, None, bool]:
    """True if a body holds more JSON values than `most`."""
    count = 0
    for at in range(0, len(content), _STEP):
        count += _values(content[at : at + _STEP])
        yield
    if count <= most:
        return False
    for number, text in enumerate(re.finditer(_STRING, content)):  # characters within texts do not count
        if number > 2 * most:  # each value has at most two texts: its name and itself
            return True
        count -= _values(text.group())
        if number % 10_000 == 0:
            yield
    return count > most


def _values(part: bytes) -> int:
    fields_and_lists = part.count(b":") + part.count(b"[")
    return part.count(b",") + FIELD_VALUES * fields_and_lists + OBJECT_VALUES * part.count(b"{")
