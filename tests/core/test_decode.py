"""Bodies are decoded into the promised type, leniently; errors say how they differ and show nothing of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import NoneType
from typing import Annotated, Any

import httpx
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter
from pydantic_core import from_json
from typing_extensions import NotRequired, TypedDict

from enprompta import Call, ConfigurationError, Page
from enprompta._core import decode as decoding
from enprompta._core.decode import UndecodableError, decode
from enprompta.models import (
    Execution,
    ExecutionStats,
    Health,
    LivePrompt,
    Prompt,
    PromptVariable,
    Team,
    Template,
    TemplateFork,
    TraceAnalytics,
    Webhook,
    Workflow,
    WorkflowExecution,
)

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello {{name}}"}


def read(returns: Any, value: object, *, enveloped: bool = True) -> Any:
    """Decode a value written as JSON, or bytes unchanged."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode(Call("GET", "/x", returns, enveloped=enveloped), data)


@pytest.mark.parametrize("enveloped", [True, False])
@pytest.mark.parametrize("body", [PROMPT, {"success": True, "data": PROMPT}, {"data": PROMPT, "more": 1}])
def test_an_object_is_read_with_and_without_its_envelope(body: object, enveloped: bool) -> None:  # noqa: FBT001
    """The API reference shows both forms, so both are read."""
    assert read(Prompt, body, enveloped=enveloped).id == "pmt_1"


@pytest.mark.parametrize("enveloped", [True, False])
@pytest.mark.parametrize("body", [[PROMPT], {"success": True, "data": [PROMPT]}])
def test_a_list_is_read_with_and_without_its_envelope(body: object, enveloped: bool) -> None:  # noqa: FBT001
    """Lists and pages of models follow the same rule."""
    assert [one.id for one in read(list[Prompt], body, enveloped=enveloped)] == ["pmt_1"]
    assert [one.id for one in read(Sequence[Prompt], body, enveloped=enveloped)] == ["pmt_1"]
    page = read(Page[Prompt], body, enveloped=enveloped)
    assert [one.id for one in page.data] == ["pmt_1"]
    assert page.pagination.has_more is None


@pytest.mark.parametrize("body", [{"data": [], "pagination": None}, {"data": None}, {"data": []}, [], None])
def test_a_page_of_nothing_is_empty(body: object) -> None:
    """Null data, null pagination or neither of them make an empty last page."""
    page = read(Page[Prompt], body)
    assert page.data == []
    assert page.pagination.next_cursor is None


def test_an_envelope_is_not_taken_for_an_object_without_required_fields() -> None:
    """The content of the envelope is read, also if its fields are all optional."""
    health = read(Health, {"success": True, "data": {"status": "healthy", "data": 1}}, enveloped=False)
    assert (health.status, health.model_extra) == ("healthy", {"data": 1})
    assert read(Health, {"status": "degraded", "data": 1}, enveloped=False).status == "degraded"
    with pytest.raises(UndecodableError, match="another shape at data"):
        read(Health, {"success": False, "data": None}, enveloped=False)


def test_pagination_is_read() -> None:
    """Every field of `pagination` is read in either spelling, unknown ones too."""
    told = {"has_more": True, "next_cursor": "n", "previous_cursor": "p", "total_count": 9, "limit": 1, "took": 3}
    pagination = read(Page[Prompt], {"data": [PROMPT], "pagination": told}).pagination
    assert (pagination.has_more, pagination.next_cursor, pagination.previous_cursor) == (True, "n", "p")
    assert (pagination.total_count, pagination.limit, pagination.model_extra) == (9, 1, {"took": 3})
    camel = read(Page[Prompt], {"data": [], "pagination": {"hasMore": True, "nextCursor": 7}}).pagination
    assert (camel.has_more, camel.next_cursor) == (True, "7")


def test_both_spellings_are_read() -> None:
    """Resources are camelCase on the wire; snake_case is read too."""
    for name in ("createdAt", "created_at"):
        prompt = read(Prompt, {**PROMPT, name: "2024-01-17T10:15:00Z"})
        assert prompt.created_at == datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc)


def test_new_fields_are_kept() -> None:
    """Unknown fields are kept, also in nested objects."""
    prompt = read(Prompt, {**PROMPT, "starred": {"by": "me"}, "variables": [{"name": "n", "mask": "*"}]})
    assert prompt.starred == {"by": "me"}
    assert prompt.variables[0].model_extra == {"mask": "*"}


def test_unknown_values_of_enumerations_pass() -> None:
    """Unknown values of an enumeration are kept as text."""
    prompt = read(Prompt, {**PROMPT, "visibility": "ORG", "variables": [{"name": "n", "type": "date"}]})
    assert prompt.visibility == "ORG"
    assert prompt.variables[0].type == "date"
    assert read(Execution, {"id": "e", "status": "queued"}).status == "queued"
    assert read(WorkflowExecution, {"id": "w", "status": "paused"}).status == "paused"


@pytest.mark.parametrize(
    ("returns", "least"),
    [
        (Prompt, PROMPT),
        (Template, PROMPT),
        (Execution, {"id": "e"}),
        (ExecutionStats, {}),
        (TemplateFork, {"promptId": "p"}),
        (LivePrompt, {"id": "l"}),
        (Team, {"id": "t", "name": "n"}),
        (Workflow, {"id": "w", "name": "n"}),
        (PromptVariable, {"name": "n"}),
    ],
)
def test_missing_and_null_optional_fields_are_none_or_empty(returns: Any, least: dict[str, Any]) -> None:
    """Optional fields may be missing or null; lists are then empty."""
    bare = read(returns, {"data": least})
    null = {field.alias: None for field in returns.model_fields.values() if field.alias not in least}
    with_nulls = read(returns, {"data": {**null, **least}})
    assert with_nulls.model_dump() == bare.model_dump()
    for name in ("tags", "variables", "steps", "options"):
        if name in returns.model_fields:
            assert not getattr(with_nulls, name)
            assert isinstance(getattr(with_nulls, name), (list, dict))


def test_ids_that_are_numbers_become_text() -> None:
    """An id is always text."""
    assert read(Prompt, {**PROMPT, "id": 17}).id == "17"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "an empty body"),
        (b" \r\n ", "an empty body"),
        (b"<!doctype html><title>x</title>", "HTML or XML instead of JSON"),
        (b"  <html>", "HTML or XML instead of JSON"),
        (b'{"data": {"id": "pmt_1", "ti', "not whole JSON"),
        (b"null and void", "not whole JSON"),
        (b"\xff\xfe", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b"null", "JSON of another shape at its top"),
        (b'"hunter2"', "JSON of another shape at its top"),
        (b'{"data": {"id": "pmt_1"}}', "JSON of another shape at data.title"),
        (b'{"data": null}', "JSON of another shape at data"),
        (b'{"success": false, "error": {"code": "X"}}', "JSON of another shape at data"),
        (b'{"data": {"id": "a", "title": "b", "content": ["hunter2"], "version": "v"}}', "at data.content"),
        (b'{"id": "a", "title": "b", "content": ["hunter2"]}', "JSON of another shape"),
    ],
    ids=range(15),
)
def test_what_was_not_promised_is_explained_without_being_shown(body: bytes, complaint: str) -> None:
    """The message says where the response differs and never quotes it."""
    with pytest.raises(UndecodableError, match=complaint) as caught:
        read(Prompt, body)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"success": true}'])
def test_a_call_that_returns_nothing_ignores_the_body(body: bytes) -> None:
    """The status decides if a deletion succeeded."""
    assert read(NoneType, body) is None


def test_plain_types_are_returned_too() -> None:
    """`client.run` accepts any type that JSON can be read into."""
    assert read(dict[str, Any], {"data": {"a": 1}}) == {"a": 1}
    assert read(dict, {"a": 1}) == {"a": 1}
    assert read(int, b"3") == 3
    assert read(list[int], {"data": [1]}) == [1]


def test_a_type_that_json_is_not_read_into_is_the_callers_mistake() -> None:
    """The error names the type."""
    with pytest.raises(ConfigurationError, match=r"cannot return .*httpx.*Client"):
        read(httpx.Client, {})


def test_many_threads_may_read_a_type_for_the_first_time_at_once() -> None:
    """Concurrent compilation of a validator is harmless."""
    start, seen = threading.Barrier(8), list[str]()

    class Fresh(Prompt):
        """A type without a cached reader."""

    def work() -> None:
        start.wait()
        seen.append(read(Page[Fresh], {"data": [PROMPT]}).data[0].id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["pmt_1"] * 8


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "id", "title", "content", "pagination", "has_more", "x"]), inner)
    ),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_decoded_or_raises_one_error(body: bytes) -> None:
    """Any body gives a value or an `UndecodableError`."""
    for returns in (Prompt, Page[Prompt], Sequence[ExecutionStats], LivePrompt):
        try:
            read(returns, body)
        except UndecodableError as error:
            assert str(error)  # noqa: PT017 (either outcome is right)


def memory_of(action: Callable[[], object]) -> int:
    """Return the most memory that an action takes, in bytes."""
    tracemalloc.start()
    action()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


ROWS = b",".join([b'{"x":1}'] * 40_000)
TEXTS = b",".join([b'"x"'] * 100_000)
ENTRIES = b",".join(b'"k%d":"x"' % number for number in range(40_000))


@pytest.mark.parametrize(
    ("returns", "body", "wrong"),
    [
        (Page[Execution], b'{"data":[%s]}', TEXTS),
        (Page[Execution], b'{"success":true,"data":[%s]}', ROWS),
        (Sequence[Execution], b"[%s]", TEXTS),
        (Sequence[Prompt], b"[%s]", ROWS),
        (list[list[int]], b"[[1],[%s]]", TEXTS),
        (dict[str, list[Execution]], b'{"a":[%s]}', TEXTS),
        (dict[str, int], b'{"data":{%s}}', ENTRIES),
        (dict[str, Execution], b'{"data":{%s}}', ENTRIES),
        (dict[str, int] | None, b'{"data":{%s}}', ENTRIES),
        (dict[int, str], b'{"data":{%s}}', ENTRIES),
        (Prompt, b'{"id":"p","title":["t"],"content":"c","variables":[%s]}', TEXTS),
        (Prompt, b'{"data":{"x":[%s]}}', TEXTS),
        (Prompt, b'{"data":{"id":"p","content":"c","title":[%s]}}', TEXTS),
        (Webhook, b'{"data":{"x":{%s}}}', ENTRIES),
        (LivePrompt, b'{"id":"p","messages":[%s]}', TEXTS),
        (set[int], b"[%s]", TEXTS),
        (tuple[int, ...], b"[%s]", TEXTS),
    ],
    ids=range(17),
)
def test_one_problem_is_enough_to_refuse_a_body(returns: Any, body: bytes, wrong: bytes) -> None:
    """Any number of wrong elements takes the memory of the parsed body and of one problem."""
    with pytest.raises(UndecodableError) as small:
        read(returns, body % wrong[: wrong.index(b",")])
    whole = body % wrong

    def refused() -> None:
        with pytest.raises(UndecodableError) as caught:
            read(returns, whole)
        assert str(caught.value) == str(small.value)

    # Which of the parsers shares equal texts depends on their versions.
    parsed = max(memory_of(lambda: json.loads(whole)), memory_of(lambda: from_json(whole)))
    assert memory_of(refused) < 1.5 * parsed + 500_000


@pytest.mark.parametrize(
    ("returns", "body", "enveloped"),
    [
        (Health, b'{"components":{%s}}', False),
        (TraceAnalytics, b'{"data":{"statusCounts":{%s}}}', True),
        (Prompt, b'{"data":{"id":"p","title":"t","content":"c","version":{%s}}}', True),
        (Prompt, b'{"data":{"id":"p","title":"t","content":"c","tags":{%s}}}', True),
    ],
)
def test_a_field_of_wrong_entries_takes_little_memory(returns: Any, body: bytes, enveloped: bool) -> None:  # noqa: FBT001
    """A misfit in an optional field takes the memory of the parsed body, as if it fitted."""
    whole = body % ENTRIES
    decode(Call("GET", "/x", returns, enveloped=enveloped), body % b'"a":"b"')
    memory = memory_of(lambda: decode(Call("GET", "/x", returns, enveloped=enveloped), whole))
    assert memory < 2.2 * memory_of(lambda: json.loads(whole)) + 500_000


RESIDENT = """
import re, sys
from pathlib import Path
from enprompta import Call, Page
from enprompta._core.decode import UndecodableError, decode
from enprompta.models import Health, LivePrompt, Prompt

def most_memory() -> int:
    # Unlike `ru_maxrss`, this does not count the process that started this one.
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


Prompt(id="p", title="t", content="c")  # pydantic has a validator of the class from now on
returns, form = eval(sys.argv[1]), sys.argv[2]
body = (form % ",".join(f'"k{number:08}":1' for number in range(120_000))).encode()
call = Call("GET", "/x", returns, enveloped=form.startswith('{"data"'))
before = most_memory()
try:
    decode(call, body)
except UndecodableError:
    pass
print((most_memory() - before) / len(body))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("returns", "body"),
    [
        ("Health", '{"components":{%s}}'),
        ("Prompt", '{"data":{"x":{%s}}}'),
        ("Page[Prompt]", '{"data":[{"x":{%s}}]}'),
        ("Prompt", '{"data":{"id":"p","title":"t","content":"c","version":{%s}}}'),
        ("Prompt", '{"data":{"id":"p","title":"t","content":"c","variables":[{"x":{%s}}]}}'),
        ("LivePrompt", '{"data":{"id":"p","messages":[{"x":{%s}}]}}'),
        ("dict[str, Prompt]", '{"data":{%s}}'),
    ],
)
def test_the_memory_that_a_process_takes_for_wrong_bodies(returns: str, body: str) -> None:
    """The process grows by little more than the parsed body, which takes 8 times the 2 MB of entries.

    Python does not count all of the memory that pydantic takes.
    """
    done = subprocess.run([sys.executable, "-c", RESIDENT, returns, body], capture_output=True, text=True, check=True)
    # Until 2.12, pydantic copies objects into errors if the program has made one of their class itself.
    assert float(done.stdout) < (20 if tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 12) else 30)


class Shape(TypedDict):
    """A required and an optional key."""

    name: str
    default: NotRequired[int]


@dataclass
class Point:
    """A required and an optional field."""

    x: int
    y: int = 0


class Mixed(BaseModel):
    """Another package's model, with every kind of field."""

    shape: Shape
    points: list[Point]
    either: Annotated[Point | Shape, Field(union_mode="left_to_right")]
    nested: Mixed | None = None
    checked: Annotated[int, AfterValidator(abs)] = 0


def test_a_large_body_that_fits_is_read_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large body is not parsed into Python objects before it becomes models, which would take half as long again."""

    def from_start(body: bytes, **options: Any) -> object:
        assert len(body) < 5_000
        return from_json(body, **options)

    monkeypatch.setattr(decoding, "from_json", from_start)
    assert len(read(Sequence[Prompt], {"data": [PROMPT] * 4_000})) == 4_000


@pytest.mark.parametrize("one", [Point(1), Shape(name="s")])
def test_large_bodies_are_read_as_small_ones(one: Any) -> None:
    """The size makes no difference to values, and none to the problem that the error reports."""
    inner = TypeAdapter[Any](Any).dump_python(one)
    mixed = {"shape": {"name": "n"}, "points": [{"x": 1}], "either": inner, "checked": -1}
    value = {**mixed, "nested": mixed, "other": "x" * 100_000}
    read_mixed = read(Mixed, value)
    assert read_mixed == Mixed(
        shape={"name": "n"}, points=[Point(1)], either=one, checked=1,
        nested=Mixed(shape={"name": "n"}, points=[Point(1)], either=one, checked=1),
    )  # fmt: skip
    assert type(read_mixed.either) is type(one)
    for key, wrong in (("shape", {}), ("points", [{"y": 1}]), ("either", {}), ("nested", {**mixed, "points": 1})):
        errors = list[str]()
        for other in ("x", "x" * 100_000):
            with pytest.raises(UndecodableError) as caught:
                read(Mixed, {**mixed, "other": other, key: wrong})
            errors.append(str(caught.value))
        assert errors[0] == errors[1]


def test_an_incomplete_body_is_reported_as_incomplete() -> None:
    """An incompletely read body is not parsed; a call that returns nothing does not need it."""
    with pytest.raises(UndecodableError, match=r"^too long$"):
        decode(Call("GET", "/x", Prompt), b'{"id":"p","title":"t","content":"c"}', "too long")
    assert decode(Call("DELETE", "/x", NoneType), b"", "too long") is None


FINE = {"id": "x", "title": "t", "content": "c" * 400}


@pytest.mark.parametrize("returns", [Page[Prompt], Sequence[Prompt]])
@pytest.mark.parametrize("form", ["plain", "enveloped", "within"])
def test_a_long_list(returns: Any, form: str) -> None:
    """Its first items are read alone first; a wrong one after them is found too, and a right list is read."""

    def read_list(items: list[Any], more: object = 1) -> Any:
        inner: Any = {"prompts": items, "total": len(items)} if form == "within" else items
        body = json.dumps(inner if form == "plain" else {"success": True, "more": more, "data": inner}).encode()
        assert len(body) > 100_000
        call = Call("GET", "/x", returns, enveloped=form != "plain", within="prompts" if form == "within" else "")
        found: Any = decode(call, body)
        return found.data if isinstance(found, Page) else found

    assert len(read_list([FINE] * 300)) == 300
    assert len(read_list([FINE] * 300, more="x" * 10_000)) == 300
    assert [one.id for one in read_list([{**FINE, "content": "x" * 200_000}, FINE])] == ["x", "x"]
    for at in (0, 299):
        items: list[Any] = [FINE] * 300
        items[at] = {"title": "t"}
        with pytest.raises(UndecodableError, match=rf"{at}\.id: Field required"):
            read_list(items)


@pytest.mark.parametrize("body", [b'{"data": 5, "x": "%s"}', b'["%s"', b'{"data": [{"x":"%s"}', b'[[{]"%s"]'])
def test_a_long_body_that_is_no_list(body: bytes) -> None:
    """It is refused as a short one is."""
    with pytest.raises(UndecodableError, match=r"another shape at data: |not whole JSON|Field required"):
        read(Page[Prompt], body % (b"x" * 200_000))
