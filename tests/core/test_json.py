"""JSON written by other languages is read, and the result can be printed, pickled and dumped."""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import Call, Page
from enprompta._common.json_reading import MAX_DEPTH, MAX_DIGITS, read_json
from enprompta._core.decode import UndecodableError, decode
from enprompta.models import Execution, LivePrompt


def nested(levels: int, inside: str = "", brackets: str = "[]") -> str:
    """Nest lists, or objects with `{}`, this many levels deep."""
    opening = '{"a":' if brackets == "{}" else "["
    return opening * levels + (inside or ("1" if brackets == "{}" else "")) + brackets[1] * levels


LONG = "9" * (MAX_DIGITS + 1)

# The members of an execution beside its id and output, and what has to come of them.
ODD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "half a pair": (rb'"model":"a \ud83c"', {"model": "a \ufffd"}),
    "the second half": (rb'"model":"\udf89\ud83c\ud83c\udf89"', {"model": "\ufffd\ufffd\U0001f389"}),
    "half a pair in names": (rb'"a\ud83c":1,"a\ud83d":"\ud83c"', {"a\ufffd": 1, "a\ufffd\ufffd": "\ufffd"}),
    "half a pair in a list": (rb'"x":["\ud83c",{"y":"\ud83c"}]', {"x": ["\ufffd", {"y": "\ufffd"}]}),
    "half a pair in variables": (rb'"variables":{"n":"\ud83c"}', {"variables": {"n": "\ufffd"}}),
    "half a pair as bytes": (b'"model":"\xed\xa0\xbc \xed\xa0\xbc\xed\xbe\x89"', {"model": "\ufffd \U0001f389"}),
    "no UTF-8": (b'"model":"caf\xe9 \xff"', {"model": "caf\ufffd \ufffd"}),
    "no UTF-8 and half a pair": (b'"model":"\xe9\\ud83c"', {"model": "\ufffd\ufffd"}),
    "control characters": (b'"model":"a\n\x00b"', {"model": "a\n\x00b"}),
    "a name twice": (rb'"model":"first","model":"\ud83c"', {"model": "\ufffd"}),
    "NaN for a float": (b'"cost":NaN,"latency":2', {"cost": None, "latency": 2.0}),
    "infinity for a float": (b'"cost":-Infinity', {"cost": None}),
    "infinity for an integer": (b'"tokens":Infinity', {"tokens": None}),
    "NaN for a date": (b'"createdAt":NaN', {"created_at": None}),
    "too large for a float": (b'"cost":1e400,"latency":' + b"9" * 400, {"cost": None, "latency": None}),
    "too large for a date": (b'"createdAt":1e300', {"created_at": None}),
    "too long for numbers": (f'"tokens":{LONG},"cost":-{LONG}'.encode(), {"tokens": None, "cost": None}),
    "too long for a date": (f'"createdAt":{LONG}'.encode(), {"created_at": None}),
    "too long for an id": (f'"promptId":{LONG}'.encode(), {"prompt_id": LONG}),
    "an integer of JavaScript's": (b'"tokens":1e21', {"tokens": 10**21}),
    "a fraction for an integer": (b'"tokens":1.5,"cost":1.5', {"tokens": None, "cost": 1.5}),
    "a long integer": (f'"x":{10**1000}'.encode(), {"x": 10**1000}),
    "an integer too long to print": (f'"x":{LONG}'.encode(), {"x": LONG}),
    "infinity in an unknown field": (rb'"x":[Infinity],"y":"\ud83c"', {"x": [math.inf]}),
    "nested lists": (f'"x":{nested(400)}'.encode(), {}),
    "nested objects": (f'"x":{nested(700, brackets="{}")}'.encode(), {}),
    "nested for ever": (f'"x":{nested(50_000)}'.encode(), {}),
    "nested in variables": (f'"variables":{{"x":{nested(400)}}}'.encode(), {}),
    "nested twice": (f'"x":{nested(400)},"y":{nested(300)},"z":"[[[","w":1'.encode(), {"z": "[[[", "w": 1}),
    "nested text": (f'"x":{nested(300, chr(34) + chr(92) + chr(34) + "]" + chr(34))}'.encode(), {}),
    "everything": (
        rb'"x":NaN,"tokens":Infinity,"z":"\udc00","w":' + f"{LONG},".encode() + b'"y":' + nested(400).encode(),
        {"tokens": None, "z": "\ufffd", "w": LONG},
    ),
}  # fmt: skip


def row(members: bytes) -> bytes:
    """Return an execution as JSON."""
    return b'{"id":"e","output":"paid",' + members + b"}"


def read(returns: Any, body: bytes) -> Any:
    """Read a body into a type."""
    return decode(Call("GET", "/x", returns), body)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", [b"%s", b'{"success":true,"data":%s}', b"\xef\xbb\xbf %s"])
def test_an_object_with_malformed_values_is_read(name: str, form: bytes) -> None:
    """The object is read; the odd value prints, pickles, copies and can be dumped."""
    members, expected = ODD[name]
    execution: Execution = read(Execution, form % row(members))
    assert (execution.id, execution.output) == ("e", "paid")
    assert {field: getattr(execution, field) for field in expected} == expected
    repr(execution).encode()
    assert pickle.loads(pickle.dumps(execution)).output == copy.deepcopy(execution).output == "paid"
    assert Execution.model_validate_json(execution.model_dump_json()).output == "paid"


@pytest.mark.parametrize("name", ODD)
def test_one_malformed_row_does_not_lose_a_page(name: str) -> None:
    """The other rows keep their values, numbers included."""
    fine = b'{"id":"f","output":"fine","tokens":7,"cost":0.5,"latency":9,"createdAt":"2024-01-17T10:15:00Z"}'
    page = read(
        Page[Execution], b'{"data":[%s,%s,%s],"pagination":{"total_count":NaN}}' % (fine, row(ODD[name][0]), fine)
    )
    assert [one.output for one in page.data] == ["fine", "paid", "fine"]
    assert page.data[0] == page.data[2] == read(Execution, fine)
    assert page.pagination.total_count is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'"output":"?%s"' % (rb"a\ud83c" * 2_000_000), "?" + "a\ufffd" * 2_000_000),
        (b'"output":"?%s"' % (b"a\xed\xa0\xbc" * 2_000_000), "?" + "a\ufffd" * 2_000_000),
        (b'"output":"paid","x":%s' % nested(1_000_000).encode(), "paid"),
    ],
    ids=["halves", "raw halves", "levels"],
)
def test_a_million_malformed_values_take_little_time(body: bytes, expected: str) -> None:
    """Parsing is one step, which no deadline interrupts."""
    began = time.process_time()
    assert read(Execution, b'{"id":"e",%s}' % body).output == expected
    assert time.process_time() - began < 1.2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_halves_in_other_encodings(encoding: str) -> None:
    """They are read; a hundred thousand of them would take minutes, and are refused."""
    text = '{"id":"e","output":"%s"}'
    assert read(Execution, (text % "a\ud83c\U0001f600").encode(encoding, "surrogatepass")).output == "a\ufffd\U0001f600"
    many = (text % ("\U0001f600" * 200_000)).encode(encoding)
    assert read(Execution, many).output == "\U0001f600" * 200_000
    start, end = text.split("%s")
    halves = "\ud83c".encode(encoding, "surrogatepass")
    halves = start.encode(encoding) + halves * 5_000_000 + end.encode(encoding)
    began = time.process_time()
    with pytest.raises(UndecodableError, match="not whole JSON"):
        read(Execution, halves)
    assert time.process_time() - began < 0.5


def test_a_text_with_every_spare_character_and_many_halves() -> None:
    """Its halves are replaced, and so are its question marks."""
    spare = "".join(map(chr, range(0xE000, 0xE010)))
    body = '{"id":"e","output":"%s?"}' % (spare + r"\ud83c" * 100_001)
    assert read(Execution, body.encode()).output == spare + "\ufffd" * 100_002


def test_a_wrong_shape_stays_an_error() -> None:
    """A missing or misfitting required field is refused, also in a body with odd values."""
    for body in (b'{"data":NaN}', b"[NaN]", b'{"id":{},"cost":NaN}'):
        with pytest.raises(UndecodableError, match="another shape"):
            read(Execution, body)
    with pytest.raises(UndecodableError, match="another shape"):
        read(Page[Execution], b'{"data":NaN}')
    with pytest.raises(UndecodableError, match=r"another shape at data\.id"):
        read(Execution, rb'{"data":{"x":"\ud83c"}}')


@pytest.mark.parametrize("body", [b'{"id":"e","x":NaN', b'{"id":"e",}', rb'{"id":"\ud83c', b"[" * 500, b"{'id':'e'}"])
def test_a_truncated_body_is_an_error(body: bytes) -> None:
    """A truncated body or other text is refused."""
    with pytest.raises(UndecodableError, match="not whole JSON"):
        read(Execution, body)


def test_an_envelope_with_a_malformed_value_is_not_an_object() -> None:
    """The slow path too does not read the envelope as a model without required fields."""
    from enprompta.models import Health

    call = Call("GET", "/health", Health, enveloped=False)
    assert decode(call, rb'{"success":true,"data":{"status":"ok \ud83c"}}').status == "ok \ufffd"


@pytest.mark.parametrize(("number", "expected"), [('"v3"', "v3"), ("3", 3), ('"3"', 3), ("null", None)])
def test_the_number_of_a_live_version_may_be_text(number: str, expected: object) -> None:
    """A service may number or name versions."""
    live = read(LivePrompt, b'{"data":{"id":"l","version":{"number":%s}}}' % number.encode())
    assert live.version.number == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-32-be", "utf-8-sig"])
def test_other_encodings_are_read(encoding: str) -> None:
    """UTF-16 and UTF-32 are detected by zeros or the byte order mark."""
    assert read(Execution, '{"data":{"id":"é"}}'.encode(encoding)).id == "é"


def test_a_program_may_allow_fewer_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Python's limit is lower, long digits stay text, because the number could not be printed."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert read_json(b"[%s]" % (b"9" * 700)) == ["9" * 700]
    finally:
        sys.set_int_max_str_digits(before)


def test_a_call_from_deep_inside_a_recursion_is_refused() -> None:
    """If the stack has no room for the nesting, the body is refused without a `RecursionError`."""
    body = nested(MAX_DEPTH).encode()

    def dive(depth: int) -> bool:
        try:
            read_json(body)
        except ValueError as error:
            return "nested too deeply" in str(error)
        return depth < 5_000 and dive(depth + 1)

    try:
        assert dive(0)
    except RecursionError:  # a version of Python that counts the levels of C apart
        assert sys.version_info >= (3, 12)


surrogates = st.text(st.characters() | st.characters(categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | surrogates,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(surrogates, inner, max_size=3),
    max_leaves=20,
)


@given(values)
def test_whatever_python_writes_is_read(value: object) -> None:
    """Any output of `json.dumps`, including NaN and lone surrogates, is read without loss and can be encoded."""
    execution: Execution = read(Execution, json.dumps({"id": "e", "output": "paid", "x": value}).encode())
    assert execution.output == "paid"
    json.dumps(execution.x, ensure_ascii=False).encode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["", "\\"])
def test_a_cut_text_takes_linear_time(end: str) -> None:
    """A text with many escaped quotes, without its end, is refused at once."""
    body = "[" * (MAX_DEPTH + 1) + '"' + 'a \\"quoted\\" word, ' * 50_000 + end
    began = time.process_time()
    with pytest.raises(ValueError, match=r"Unterminated|Invalid"):
        read_json(body.encode())
    assert time.process_time() - began < 1.0  # 0.02 s; it took minutes
