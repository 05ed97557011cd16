"""Decode a long list in pieces, so that a wrong item costs little memory and a deadline can end the call.

pydantic parses a whole body before it validates the first item, and keeps every model until the last one is valid. So a
long list is cut between its items, and validated twice: the first time, nothing is kept.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from enprompta._core.call import Call
from enprompta._core.decode import UndecodableError, decode, list_in, parse, parse_start, reader_of, undecodable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from enprompta._core.page import T

_PIECE = 32_768  # bytes, decoded in half a millisecond
_HEAD = 1 << 20  # bytes at the start of a body that are searched for its list
_MAX_OPENINGS = 16  # each is parsed with what precedes it
_ITEM = re.compile(r"[ \t\r\n]*(?=[^ \t\r\n])")
_AFTER_ITEM = re.compile(r"[ \t\r\n]*([],])")
_OBJECT = re.compile(rb"[ \t\r\n]*\{")
# Numbers stay text: Python refuses to convert integers of more than 4,300 digits.
_skip = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


def decode_in_steps(call: Call[T], body: bytes, refusal: str = "") -> Generator[None, None, T]:
    """Decode a large body as `decode` does; yield after each piece of a long list of objects.

    Raises:
        UndecodableError: As `decode` does.
    """
    body = body.removeprefix(BOM_UTF8)
    found = None if refusal else _start_of_list(call, body)
    if found is None:
        return decode(call, body, refusal)
    start, place = found
    piece_call = Call(call.method, call.path, list[reader_of(call).item], enveloped=False)
    spans: list[tuple[int, int]] = []
    count = 0
    try:
        for span in _spans(body, start):
            spans.append(span)
            count += len(_read_piece(piece_call, body, span, (*place, count)))
            yield
    except RecursionError:  # nested too deeply for Python's parser
        spans = []
    head, tail = body[:start], body[spans[-1][1] :] if spans else b""
    if not spans or list_in(parse(head + b"0" + tail), call) != ([0], place):  # the body may name the list twice
        return decode(call, body)
    rest = head + tail  # the body with an empty list
    decode(call, rest)
    items: list[Any] = []
    for span in spans:
        items += _read_piece(piece_call, body, span, (*place, len(items)))
        yield
    return decode(call, rest, items=items)


def _start_of_list(call: Call[Any], body: bytes) -> tuple[int, tuple[str, ...]] | None:
    """Return where a list of objects begins, and the names of the fields around it; None if there is none."""
    if call.returns is type(None) or reader_of(call).item is None:
        return None
    for opening in islice(_openings(call.within).finditer(body, 0, _HEAD), _MAX_OPENINGS):
        start = opening.end()
        items, place = list_in(parse_start(body[:start]), call)
        if items == []:
            return (start, place) if _OBJECT.match(body, start) else None
    return None


@lru_cache(maxsize=64)
def _openings(within: str) -> re.Pattern[bytes]:
    """Return the pattern of what may be the start of the list: at the start of the body, or in a field of that name."""
    names = "|".join(map(re.escape, filter(None, ("data", within))))
    return re.compile(rb'(?:\A|"(?:%b)"[ \t\r\n]*:)[ \t\r\n]*\[' % names.encode())


def _spans(body: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each piece of a list; every piece consists of whole items.

    Raises:
        UndecodableError: The list is not whole JSON.
    """
    size, is_last = _PIECE, False
    while not is_last:
        text = body[start : start + size].decode("latin-1")  # one character for each byte
        end = at = 0
        while not is_last and (item := _ITEM.match(text, at)):
            try:
                _, end_of_item = _skip(text, item.end())
            except ValueError:
                break
            after = _AFTER_ITEM.match(text, end_of_item)
            if after is None:
                break
            end, at, is_last = end_of_item, after.end(), after[1] == "]"
        if end:
            yield start, start + end
            start, size = start + at, _PIECE
        elif len(text) < size:
            raise undecodable(body, None)
        else:
            size *= 2


def _read_piece(call: Call[list[Any]], body: bytes, span: tuple[int, int], place: tuple[str | int, ...]) -> list[Any]:
    """Read the items of a piece.

    Args:
        call: A call that returns a list.
        body: The whole body.
        span: Start and end of the piece.
        place: The names of the fields around the list, and the index of the first item.

    Raises:
        UndecodableError: An item does not fit; the message names its place in the whole body.
    """
    try:
        return decode(call, b"[%b]" % body[slice(*span)])
    except UndecodableError as error:
        problem = error.problem and {**error.problem, "loc": _place_in_body(error.problem["loc"], place)}
    raise undecodable(body, problem)


def _place_in_body(steps: tuple[Any, ...], place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the place in the whole body for one in a piece."""
    *fields, first = place
    index, *inner = steps
    return (*fields, first + index, *inner)
