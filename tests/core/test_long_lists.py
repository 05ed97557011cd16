"""Long lists are read in pieces, with the results and errors of short lists, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from types import NoneType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import Call, Page
from enprompta._core.decode import UndecodableError, decode
from enprompta._core.long_lists import decode_in_steps
from enprompta.models import Prompt

FINE: dict[str, Any] = {"id": "x", "title": 'a "}],{[', "content": "é" * 200 + "},", "variables": [{"name": "n"}] * 3}
WITHOUT_ID = {"title": "t", "content": "c"}
FORMS: dict[str, tuple[str, str]] = {
    "plain": ("%s", ""),
    "enveloped": ('{"success":true,"note":"[","links":{"data":[[]]},"data" : %s,"pagination":{"next_cursor":"n"}}', ""),
    "after much else": ("\ufeff" + '{"note":"' + "x" * 100_000 + '","data":%s}', ""),
    "within": ('{"data":{"total":9000,"offset":100,"prompts":%s,"limit":800},"success":true}', "prompts"),
    "within, without an envelope": ('{"prompts":%s}', "prompts"),
}


def steps_of(steps: Generator[None, None, Any]) -> tuple[int, Any]:
    """Run steps; return their number and their result."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return count, done.value
        count += 1


def read(returns: Any, body: bytes, within: str = "", *, enveloped: bool = True) -> tuple[int, Any]:
    """Decode a body in steps; return their number and the result."""
    return steps_of(decode_in_steps(Call("GET", "/x", returns, enveloped=enveloped, within=within), body))


def listing(items: list[Any], form: str = '{"data":%s}') -> bytes:
    """Write a body with a list of items."""
    return (form % json.dumps(items)).encode()


def models_of(found: Any) -> list[Any]:
    """Return the items of a page or a list."""
    return getattr(found, "data", found)


@pytest.mark.parametrize("returns", [Page[Prompt], Sequence[Prompt], list[Prompt]])
@pytest.mark.parametrize("form", FORMS)
def test_a_long_list_is_read_as_a_short_one(returns: Any, form: str) -> None:
    """Every item is read, also those with a misfit or half an emoji, and the page knows its place."""
    text, within = FORMS[form]
    items: list[Any] = [{**FINE, "id": f"p{number}"} for number in range(800)]
    items[300:302] = [{**FINE, "version": {}}, {**FINE, "title": "\ud83c"}]
    items[500] = {**FINE, "content": "],}," * 100_000}  # longer than a piece
    body = listing(items, text)
    call = Call("GET", "/x", returns, enveloped=form not in {"plain", "within, without an envelope"}, within=within)
    count, found = steps_of(decode_in_steps(call, body))
    expected: Any = decode(call, body)
    assert count > 10
    assert type(found) is type(expected)
    assert [one.id for one in models_of(found)] == [one["id"] for one in items]
    assert models_of(found) == models_of(expected)
    assert getattr(found, "pagination", None) == getattr(expected, "pagination", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.lists(st.dictionaries(st.text(), json_values), min_size=1), st.integers(1, 60), st.sampled_from([None, 1]))
def test_any_objects_are_read(items: list[dict[str, Any]], size: int, indent: int | None) -> None:
    """Wherever a list is cut, its items stay whole, with any blanks between them."""
    text = json.dumps({"data": items, "x": [1]}, indent=indent, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("enprompta._core.long_lists._PIECE", size)
        _, found = read(list[dict[str, Any]], text.encode())
    assert found == items


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", [0, 500, 999])
@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (WITHOUT_ID, ".id: Field required"),
        ({**FINE, "title": []}, ".title: Input should be a valid string"),
        (None, ": Input should be an object"),
        ([[1]], ": Input should be an object"),
        (1, ": Input should be an object"),
    ],
)
def test_a_wrong_item_is_named(form: str, at: int, wrong: object, problem: str) -> None:
    """The error names the index in the whole list."""
    text, within = FORMS[form]
    items: list[Any] = [FINE] * 1_000
    items[at:] = [wrong] * (1_000 - at)
    place = {"plain": "", "within": r"data\.prompts\.", "within, without an envelope": r"prompts\."}.get(
        form, r"data\."
    )
    enveloped = form not in {"plain", "within, without an envelope"}
    with pytest.raises(UndecodableError, match=rf"another shape at {place}{at}{problem}"):
        read(Page[Prompt], listing(items, text), within, enveloped=enveloped)


LONG = listing([FINE] * 1_000)


@pytest.mark.parametrize(
    "body",
    [
        LONG[:-1],
        LONG[:-2],
        LONG[:-2] + b",]}",
        LONG[:-2] + b" 1]}",
        LONG[: len(LONG) // 2],
        LONG[: len(LONG) // 2] + b"}",
        LONG.replace(b'"id"', b"id") + b" " * 100,
        LONG[:-1] + b',"x":}',
        LONG + b"x",
    ],
    ids=range(9),
)
def test_a_damaged_list_is_no_json(body: bytes) -> None:
    """A cut, a missing comma or anything else that is no JSON is reported as such, wherever it is."""
    with pytest.raises(UndecodableError, match=r"^a body that is not whole JSON$"):
        read(Page[Prompt], body)


@pytest.mark.parametrize(
    ("returns", "body"),
    [
        (Sequence[int], listing([1] * 200_000)),
        (Page[Prompt], listing([])),
        (Page[Prompt], b'{"data":null}'),
        (Prompt, b'{"data":%s}' % json.dumps(FINE).encode()),
        (dict[str, Any], b'{"data":{"a":[{}]}}'),
        (NoneType, b"[{}]"),
        (Page[Prompt], b'{"x":"%s",' % (b"x" * 1_100_000) + LONG[1:]),
        (Page[Prompt], b'{"x":[%s],' % b",".join([b'{"data":[]}'] * 20) + LONG[1:]),
        (Page[Prompt], LONG[:-1] + b',"data":[]}'),
        (Page[Prompt], LONG[:-1] + b',"data":%s}' % json.dumps([FINE] * 3).encode()),
        (Sequence[dict[str, Any]], LONG[:-2] + b',{"x":%s}]}' % (b"[" * 100_000 + b"]" * 100_000)),
        (Page[Prompt], LONG.decode().encode("utf-16")),
    ],
    ids=range(12),
)
def test_other_bodies_are_decoded_at_once(returns: Any, body: bytes) -> None:
    """No list of objects, a late or second list, nesting too deep to cut: the result is that of `decode`."""
    _, found = read(returns, body)
    expected: Any = decode(Call("GET", "/x", returns), body)
    assert vars(found) == vars(expected) if isinstance(found, Page) else found == expected


def test_a_rejected_body_stays_rejected() -> None:
    """A body that was not read completely is not decoded."""
    with pytest.raises(UndecodableError, match=r"^too long$"):
        next(decode_in_steps(Call("GET", "/x", Page[Prompt]), LONG, "too long"))


RESIDENT = """
import json, re, sys
from pathlib import Path
from enprompta import Call, Page
from enprompta._core.decode import UndecodableError
from enprompta._core.long_lists import decode_in_steps
from enprompta.models import Prompt

def most_memory() -> int:
    # Unlike `ru_maxrss`, this does not count the process that started this one.
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

fine, wrong = json.dumps({"id": "p", "title": "t", "content": "c" * 300, "tags": ["a"]}), sys.argv[2]
count = 10_000
first = int(count * float(sys.argv[1]))
body = ('{"data":[%s]}' % ",".join([fine] * first + [wrong] * (count - first))).encode()
call = Call("GET", "/x", Page[Prompt])


def refused(body: bytes, index: int) -> None:
    try:
        for _ in decode_in_steps(call, body):
            pass
    except UndecodableError as error:
        assert f"data.{index}" in str(error)


refused(('{"data":[%s,%s]}' % (fine, wrong)).encode(), 1)  # compiles what it needs
before = most_memory()
refused(body, first)
print((most_memory() - before) / len(body))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("wrong", ['{"title":"t"}', "null", "[[1],[2]]"])
@pytest.mark.parametrize("part", ["0.5", "0.99"])
def test_a_late_wrong_item_takes_little_memory(part: str, wrong: str) -> None:
    """The process grows by less than twice the body."""
    done = subprocess.run([sys.executable, "-c", RESIDENT, part, wrong], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.0
