"""A value that does not fit an optional field costs that field, never the object, the page or a paid execution."""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from enprompta import APIResponseError, Call, Page, models
from enprompta._core.decode import UndecodableError, decode
from enprompta.models import Execution, Health, LivePrompt, Prompt, Usage, Workflow
from enprompta.models.base import Model
from enprompta.pagination import next_call

MISFITS: list[object] = ["", "fast", "maybe", [], [1], {}, {"a": [{}]}, True, 1.5, -1, 10**400, "2024-99-99", None]
FINE = {"id": "f", "tokens": 7, "cost": 0.5, "createdAt": "2024-01-17T10:15:00Z"}
API_MODELS: list[type[Model]] = [
    one for name in models.__all__ if isinstance(one := getattr(models, name), type) and issubclass(one, Model)
]


def read(returns: Any, value: object, *, enveloped: bool = True) -> Any:
    """Decode a value written as JSON, or bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode(Call("GET", "/x", returns, enveloped=enveloped), body)


@pytest.mark.parametrize("enveloped", [True, False])
def test_every_invalid_field_of_an_execution_is_absent(enveloped: bool) -> None:  # noqa: FBT001
    """The output arrives; each misfit is None or empty; unknown fields stay."""
    data = {
        "id": 5, "output": "paid", "variables": [], "createdAt": "", "latency": "fast", "tokens": {}, "cost": [1],
        "status": {"now": "done"}, "promptId": ["p"], "provider": False, "new": [1],
    }  # fmt: skip
    execution: Execution = read(Execution, {"data": data} if enveloped else data)
    assert (execution.id, execution.output, execution.variables, execution.model_extra) == (
        "5",
        "paid",
        {},
        {"new": [1]},
    )
    absent = ("created_at", "latency", "tokens", "cost", "status", "prompt_id", "provider")
    assert [getattr(execution, name) for name in absent] == [None] * len(absent)


def test_rows_beside_an_invalid_one_keep_their_values() -> None:
    """Each row is read on its own: text that reads as a number or a time stays, in the same column too."""
    rows = [FINE, {"id": "a", "tokens": "many", "createdAt": ""}, {"id": "b", "tokens": "8", "cost": "0.25"}]
    page = read(Page[Execution], {"data": rows, "pagination": {"total_count": "many", "next_cursor": "n"}})
    assert [(one.tokens, one.cost) for one in page.data] == [(7, 0.5), (None, None), (8, 0.25)]
    assert page.data[0].created_at == datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc)
    assert (page.pagination.total_count, page.pagination.next_cursor) == (None, "n")


def test_a_nested_invalid_value_costs_only_its_field() -> None:
    """The innermost optional field around a misfit is absent: the object around it stays."""
    prompt = {"id": "p", "title": "t", "content": "c"}
    variables = [{"name": "n", "required": "maybe", "options": "a"}, {"name": "m", "required": True}]
    inner = read(Prompt, {"data": {**prompt, "variables": variables}}).variables
    assert [(one.name, one.required, one.options) for one in inner] == [("n", None, []), ("m", True, [])]
    assert read(Prompt, {"data": {**prompt, "tags": ["a"], "variables": [{"name": "n"}, {}]}}).tags == ["a"]
    usage = read(Usage, {"data": {"tokens": "none", "requestsPerDay": {"limit": "x", "remaining": 3}}})
    assert (usage.tokens, usage.requests_per_day.limit, usage.requests_per_day.remaining) == (None, None, 3)


@pytest.mark.parametrize("model", API_MODELS, ids=lambda model: model.__name__)
def test_every_optional_field_of_every_model(model: type[Model]) -> None:
    """Whatever an optional field holds, the object is read; it pickles, copies and can be dumped and read again."""
    least: dict[str, Any] = {
        field.alias or name: "1" for name, field in model.model_fields.items() if field.is_required()
    }
    for name, field in model.model_fields.items():
        if field.is_required() or name in model._ESSENTIAL_FIELDS:
            continue
        for misfit in MISFITS:
            value = read(model, {"success": True, "data": {**least, field.alias or name: misfit}})
            assert type(value) is model
            assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value.model_copy() == value
            model.model_validate_json(value.model_dump_json(by_alias=True))
            repr(value)


@given(st.dictionaries(st.sampled_from(["tokens", "cost", "createdAt", "variables", "status"]), st.from_type(object)))
def test_an_execution_is_never_lost(members: dict[str, object]) -> None:
    """No JSON value in an optional field costs the output."""
    body = json.dumps({"data": {**members, "id": "e", "output": "paid"}}, default=lambda _: {}, skipkeys=True)
    assert read(Execution, body.encode()).output == "paid"


@pytest.mark.parametrize(
    ("returns", "data", "place"),
    [
        (Execution, {"output": "x", "tokens": {}}, "data.id"),
        (Prompt, {"id": "p", "title": [], "content": "c", "version": "v"}, "data.title"),
        (Workflow, {"id": "w", "steps": "x"}, "data.name"),
        (Page[Execution], [FINE, {"tokens": {}}], "data.1.id"),
        (Sequence[Execution], [FINE, "x"], "data.1"),
        (LivePrompt, {"id": "l", "messages": "x", "content": "c"}, "data.messages"),
        (LivePrompt, {"id": "l", "messages": [{"role": "user"}], "version": "v3"}, "data.messages.0.content"),
        (LivePrompt, {"id": "l", "content": ["c"], "version": "v3"}, "data.content"),
    ],
)
def test_a_required_field_stays_required(returns: Any, data: object, place: str) -> None:
    """The error names the place. The text of a live prompt is required: another text must not be served instead."""
    with pytest.raises(UndecodableError, match=f"another shape at {place}:"):
        read(returns, {"data": data})


def test_a_live_prompt_without_its_details_is_served() -> None:
    """A malformed version or slug does not cost the text; the prompt's cache information works."""
    live: LivePrompt = read(
        LivePrompt, {"data": {"id": "l", "content": "c", "version": "v3", "slug": {}, "variables": "x"}}
    )
    assert (live.content, live.version, live.slug, live.variables, live.is_stale) == ("c", None, None, {}, False)


@pytest.mark.parametrize("pagination", ["x", [1], 5, {"next_cursor": {}}, {"next_cursor": ["n"], "has_more": "maybe"}])
def test_a_page_without_a_readable_cursor_is_not_the_last_one(pagination: object) -> None:
    """Its rows arrive; a loop over the listing raises after them instead of ending early."""
    page = read(Page[Execution], {"data": [FINE], "pagination": pagination})
    assert [one.id for one in page.data] == ["f"]
    with pytest.raises(APIResponseError, match="incomplete"):
        next_call(Call("GET", "/x", Page[Execution]), page.pagination)


def test_an_empty_list_is_an_empty_pagination() -> None:
    """PHP writes an empty object as a list."""
    page = read(Page[Execution], {"data": [FINE], "pagination": []})
    assert next_call(Call("GET", "/x", Page[Execution]), page.pagination) is None


def test_an_envelope_is_not_read_as_an_object_without_required_fields() -> None:
    """Only a call that expects no envelope may return an object with an unknown field `data`."""
    assert read(Usage, {"data": {"plan": "pro", "cost": {}}}).plan == "pro"
    assert read(Health, {"status": {}, "data": 1}, enveloped=False).model_extra == {"data": 1}


def test_a_callers_own_class_stays_strict() -> None:
    """The fields of a class that is not the API's are the caller's to define."""

    class Mine(BaseModel):
        id: str
        n: int | None = None

    with pytest.raises(UndecodableError, match=r"data\.n"):
        read(Mine, {"data": {"id": "m", "n": {}}})


def test_a_page_of_invalid_values_takes_little_time() -> None:
    """The slow path is one further pass, however many rows and fields have misfits."""
    row = {"id": "e", "tokens": {}, "cost": [], "createdAt": "", "latency": "fast", "variables": []}
    fast, slow = ({"data": [one] * 20_000} for one in (FINE, row))
    read(Page[Execution], {"data": [row]})  # compiled
    seconds: list[float] = []
    for body in (json.dumps(fast).encode(), json.dumps(slow).encode()):
        began = time.process_time()
        assert len(read(Page[Execution], body).data) == 20_000
        seconds.append(time.process_time() - began)
    assert seconds[1] < 20 * seconds[0]
