"""Bodies are read within a limit and decompressed in steps; damaged, foreign and oversized ones are named."""

from __future__ import annotations

import gzip
import re
import time
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta._http.senders import content as home
from enprompta._http.senders.base import afinish, finish, thread_deadline
from enprompta._http.senders.content import MAX_ERROR_BYTES, aread_parts, decompressed, read_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from enprompta._core.steps import Answer

TEXT = b'{"data": {"id": "p1", "title": "Greeting", "content": "Hello {{name}}"}}'


class Broken(Exception):  # noqa: N818 (what a library raises)
    """A damaged body."""


def read(raw: bytes, coding: str = "", status: int = 200, limit: int = 10_000_000) -> Answer:
    """Decompress a whole body."""
    headers = httpx.Headers({"Content-Encoding": coding} if coding else {})
    request = httpx.Request("GET", "https://api.test/", extensions={"max_response_bytes": limit})
    return finish(decompressed(raw, httpx.Response(status, headers=headers), request, Broken), TimeoutError)


def deflated(data: bytes, wbits: int, level: int = 9) -> bytes:
    """Compress in one of zlib's formats."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, wbits)
    return compressor.compress(data) + compressor.flush()


@given(
    st.lists(st.binary(max_size=3_000), min_size=1, max_size=4),
    st.sampled_from([1, 7, 1_000, 65_536]),
    st.sampled_from([1, 10, 1_048_576]),
    st.binary(max_size=20).filter(lambda tail: tail[:2] != b"\x1f\x8b"),
)
def test_members_are_read_wherever_slices_and_steps_end(members: list[bytes], cut: int, step: int, tail: bytes) -> None:
    """With any slices of input and any bound on output, all members are read and padding is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home, "_SLICE", cut)
        patch.setattr(home, "_STEP", step)
        assert read(b"".join(map(gzip.compress, members)) + tail, "gzip").content == b"".join(members)


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "identity, gzip", " gzip ,"])
def test_gzip_has_several_names(coding: str) -> None:
    """`x-gzip`, other case, blanks and `identity` beside it mean the same."""
    assert read(gzip.compress(TEXT), coding).content == TEXT


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS, 9, -9])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_deflate_has_two_formats(wbits: int, level: int) -> None:
    """With zlib's header, as in the standard, and without, as some servers send it."""
    assert read(deflated(TEXT, wbits, level), "deflate").content == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("kept", [1, 2, 5, 12, 20, -9, -4, -1])
def test_a_body_that_was_cut_is_broken(coding: str, kept: int) -> None:
    """A body that ends early is refused, however much of the text has arrived."""
    whole = gzip.compress(TEXT) if coding == "gzip" else zlib.compress(TEXT)
    with pytest.raises(Broken, match=f"its {coding} body is incomplete"):
        read(whole[:kept], coding)


def test_a_damaged_body_is_broken() -> None:
    """A wrong checksum or another format is refused; the error has no context, which could hold any text."""
    for raw in (gzip.compress(TEXT)[:-8] + bytes(8), TEXT, gzip.compress(TEXT) + gzip.compress(TEXT)[:-8] + bytes(8)):
        with pytest.raises(Broken, match="its gzip body is damaged") as caught:
            read(raw, "gzip")
        assert caught.value.__context__ is None


def test_many_members_are_broken() -> None:
    """Thousands of empty members are refused."""
    with pytest.raises(Broken, match="more than 10,000 members"):
        read(gzip.compress(b"") * 10_001, "gzip")
    assert read(gzip.compress(b"") * 10_000, "gzip").content == b""


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ("br", "a body in the encoding 'br': the client reads gzip and deflate"),
        ("zstd", "in the encoding 'zstd'"),
        ("\x1b[31m" + "x" * 99, r"in the encoding '\\x1b\[31mx{35}'"),
        ("gzip, gzip", r"a body that is encoded 2 times \(gzip, gzip\)"),
        ("gzip, identity, br", r"encoded 2 times \(gzip, br\)"),
    ],
)
def test_other_encodings_are_refused(coding: str, words: str) -> None:
    """An unsupported or repeated encoding is named in the error, and the body is not read."""
    answer = read(gzip.compress(gzip.compress(TEXT)), coding)
    assert answer.content == b""
    assert re.search(words, answer.refusal)


def test_an_answer_shows_nothing_of_its_body() -> None:
    """Crash reporters show variables, and a body may contain a credential."""
    assert repr(read(b"secret")) == "<answer 200>"


@pytest.mark.parametrize("coding", ["", "gzip", "br", "gzip, gzip"])
def test_no_body_needs_no_decoding(coding: str) -> None:
    """A response without a body may name any encoding."""
    answer = read(b"", coding)
    assert (answer.content, answer.refusal) == (b"", "")


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_body_may_be_as_long_as_the_limit(coding: str) -> None:
    """One byte more is refused, with the beginning of the body in the error."""
    for size, words in ((100_000, ""), (100_001, "a body of more than 100,000 bytes, the client's max_response_bytes")):
        answer = read(gzip.compress(b"x" * size) if coding else b"x" * size, coding, limit=100_000)
        assert answer.refusal == words
        assert len(answer.content) == (65_536 if words else size)


def test_raw_bytes_count_too() -> None:
    """Padding after a small body does not exceed the limit unnoticed."""
    assert "more than 1,000 bytes" in read(gzip.compress(TEXT) + bytes(70_000), "gzip", limit=1_000).refusal


def test_errors_have_a_separate_limit() -> None:
    """At most a megabyte of an error body is read."""
    answer = read(gzip.compress(b"x" * (MAX_ERROR_BYTES + 1)), "gzip", status=500)
    assert answer.refusal == "a body of more than 1,000,000 bytes"
    assert read(b"x" * 2_000, status=404, limit=1_000).refusal.startswith(
        "a body of more than 1,000 bytes, the client's"
    )


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b"[" + b"1," * 800_000 + b"1]", True),
        (b"[" + b"1," * 799_996 + b"1]", False),
        (b"[" + b"{}," * 40_001 + b"1]", False),  # too small to be searched
        (b"[" + b'{"id": 12345},' * 40_001 + b"1]", True),
        (b"{" + b'"12345":1,' * 200_001 + b'"a":1}', True),
        (b"{" + b'"12345":1,' * 199_000 + b'"a":1}', False),
        (b"[" + b"[]," * 200_001 + b"1]", True),
        (b"[" + b"[]," * 199_000 + b"1]", False),
        (b"[" + b'"",' * 800_000 + b"1]", True),
        (b"[" + b'":",' * 799_996 + b"1]", False),
        (b"[" + b'"a,b,[c",' * 300_000 + b"1]", False),
        (b'["' + b"{{a}}, " * 500_000 + b'"]', False),
        (b'["' + b'\\"{{a}}, ' * 500_000 + b'"]', False),
        (b'"",' * 100 + b"{," * 1_000_000, True),
        (b'""' * 1_600_002 + b"," * 800_001, True),
    ],
    ids=range(15),
)
def test_dense_json_is_refused(body: bytes, is_refused: bool) -> None:  # noqa: FBT001 (a parameter)
    """800,000 values, 200,000 fields or lists, or 40,000 objects would need much time and memory."""
    answer = read(body)
    assert ("values" in answer.refusal) == is_refused
    if is_refused:
        assert "JSON of more than 800,000 values, or 40,000 objects" in answer.refusal


def test_a_deadline_ends_decompressing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step checks the time, lets other tasks run, and can be cancelled."""
    zeros = deflated(bytes(50_000_000), 31)
    headers = httpx.Headers({"Content-Encoding": "gzip"})
    request = httpx.Request("GET", "https://api.test/", extensions={"max_response_bytes": 10**9})
    steps = lambda: decompressed(zeros, httpx.Response(200, headers=headers), request, Broken)  # noqa: E731
    began = time.monotonic()
    monkeypatch.setattr(thread_deadline, "at", began)
    with pytest.raises(TimeoutError):
        finish(steps(), TimeoutError)
    monkeypatch.undo()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            answer = await afinish(steps())
            assert len(answer.content) == 50_000_000
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert turns > 10


def test_reading_stops_at_the_limit() -> None:
    """An endless body is abandoned and its generator closed."""
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000
        finally:
            closed.append("closed")

    class Parts:
        """Parts that cannot be closed."""

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            return b"y" * 1_000

    assert read_parts(iter([b"x" * 600, b"y" * 600, b"z"]), 1_000) == b"x" * 600 + b"y" * 600
    assert anyio.run(aread_parts, endless(), 2_500) == b"x" * 3_000
    assert closed == ["closed"]
    assert anyio.run(aread_parts, Parts(), 2_500) == b"y" * 3_000
