"""Data frames of pages: the same columns and types for every page, in polars and pandas."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import AsyncEnprompta, Enprompta, Page, models, tables
from enprompta._common.frame_columns import columns_of
from enprompta.batch import BatchResult
from enprompta.models import Execution, Pagination, Prompt, UsageRecord, WebhookDelivery, Workflow, WorkflowExecution
from enprompta.models.base import Model
from enprompta.tables import Records

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = [one for _, one in inspect.getmembers(models, inspect.isclass) if issubclass(one, Model) and one is not Model]
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2)))
FULL: list[Any] = [
    Execution(id="e", prompt_id="p", status="completed", output="o", tokens=5, cost=0.5, latency=3, provider="x",
              model="m", variables={"a": {"b": [1, None]}}, created_at=NOON, error={"why": 1}),
    Execution(id="f", variables={"other": "x"}, error="text", created_at=NOON.replace(tzinfo=None)),
    Prompt(id="p", title="t", content="c", tags=["a", "b"], version=3, created_at=NOON,
           variables=[{"name": "a", "default": 5, "options": [1, "x"], "new": 1}, {"name": "b", "default": {"x": 1}}]),
    Workflow.model_validate({"id": "w", "name": "n", "steps": [{"id": "s", "promptId": "p", "variables": {"a": 1},
                                                                 "dependsOn": ["x"]}]}),
    WorkflowExecution.model_validate({"id": "r", "input": {"a": 1}, "output": {"x": [1]},
                                      "steps": [{"stepId": "s", "tokens": 5}]}),
    UsageRecord(key="k", date=date(2026, 1, 1), tokens=5, cost=1),
]  # fmt: skip


@pytest.fixture(params=["polars", "pandas"])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Create a frame in either library."""
    pytest.importorskip(request.param)
    made: Callable[..., Any] = getattr(tables, f"to_{request.param}")
    return made


def schema(frame: Any) -> dict[str, str]:
    """Return the columns of a frame and their types."""
    return {str(name): str(kind) for name, kind in zip(frame.columns, frame.dtypes, strict=True)}


def concatenated(frames: list[Any]) -> Any:
    """Concatenate frames, as strictly as their library allows."""
    import pandas as pd
    import polars as pl

    return pd.concat(frames, ignore_index=True) if isinstance(frames[0], pd.DataFrame) else pl.concat(frames)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_empty_page_has_its_columns(make: Callable[..., Any], model: type[Model]) -> None:
    """Empty frames, and frames of empty rows, have the columns and types of the model."""
    empty = make([], model=model)
    assert list(empty.columns) == list(model.model_fields)
    assert len(empty) == 0
    nothing = model.model_construct(**dict.fromkeys(model.model_fields))
    assert schema(make([nothing])) == schema(empty)
    assert "Null" not in str(schema(empty).values())
    assert len(concatenated([empty, make([nothing]), make([nothing])])) == 2


@pytest.mark.parametrize("row", FULL, ids=lambda row: type(row).__name__)
def test_pages_concatenate(make: Callable[..., Any], row: Any) -> None:
    """Full, sparse and empty pages can be concatenated, and keep their types."""
    model = type(row)
    full, empty = make([row]), make([], model=model)
    nothing = make([model.model_construct(**dict.fromkeys(model.model_fields))])
    assert schema(full) == schema(nothing) == schema(empty)
    both = concatenated([nothing, full, empty, full])
    assert schema(both) == schema(full)
    assert len(both) == 3


def test_values_survive_a_round_trip() -> None:
    """Times are in UTC; nested models are structs and free-form fields JSON in polars, objects in pandas."""
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    executions, prompt, workflow = FULL[:2], FULL[2], FULL[3]
    frame = tables.to_polars(executions)
    assert frame["variables"].to_list() == ['{"a": {"b": [1, null]}}', '{"other": "x"}']
    assert frame["error"].to_list() == ['{"why": 1}', "text"]
    assert frame["created_at"].to_list() == [
        datetime(2026, 1, 2, 10, tzinfo=timezone.utc),
        datetime(2026, 1, 2, 12, tzinfo=timezone.utc),
    ]
    assert tables.to_polars([prompt])["variables"].to_list()[0] == [
        {"name": "a", "type": None, "required": None, "default": "5", "description": None, "options": ["1", "x"]},
        {"name": "b", "type": None, "required": None, "default": '{"x": 1}', "description": None, "options": []},
    ]
    assert tables.to_polars([prompt])["tags"].to_list() == [["a", "b"]]
    assert tables.to_polars([workflow])["steps"][0][0]["depends_on"] == ["x"]
    pandas = tables.to_pandas(executions)
    assert pandas["variables"].to_list() == [{"a": {"b": [1, None]}}, {"other": "x"}]
    assert str(pandas["created_at"].dtype) == "datetime64[us, UTC]"
    assert (pandas["tokens"].sum(), str(pandas["tokens"].dtype)) == (5, "Int64")
    assert tables.to_pandas([FULL[5]])["date"].to_list() == [date(2026, 1, 1)]


def test_what_no_type_holds_is_kept(make: Callable[..., Any]) -> None:
    """An integer beyond 64 bits or a lone surrogate changes a column's type, but loses no value."""
    rows = [Execution(id="a", tokens=2**70, output="\ud800", variables={"\ud800": 1}), Execution(id="b", tokens=1)]
    frame = make(rows)
    assert [str(value) for value in frame["tokens"]] == [str(2**70), "1"]
    assert "d800" in ascii(next(iter(frame["output"])))
    other = make([Execution(id="a", new="\ud800"), Execution(id="b", new="x")])  # type: ignore[call-arg]
    assert "d800" in ascii(next(iter(other["new"])))


def test_a_time_that_utc_cannot_hold_is_kept(make: Callable[..., Any]) -> None:
    """A time whose UTC form lies outside the years 1 to 9999 changes its column's type, in both libraries."""
    frame = make([Execution.model_validate({"id": "a", "createdAt": "0001-01-01T00:00:00+23:59"})])
    assert str(next(iter(frame["created_at"]))).startswith("0001-01-01 00:00:00")


def test_unknown_fields_and_other_rows(make: Callable[..., Any]) -> None:
    """Unknown fields are columns too; rows of several classes, or of none, have all columns."""
    frame = make([Execution(id="a", new=1), Execution(id="b", newer="x")])  # type: ignore[call-arg]
    assert list(frame.columns)[-2:] == ["new", "newer"]
    mixed = make([Execution(id="a"), UsageRecord(key="k")])
    assert {"prompt_id", "requests"} <= set(mixed.columns)
    assert list(make([1, "x"], model=Execution).columns) == ["value"]
    assert list(make(iter([1, 2]))["value"]) == [1, 2]
    assert len(make([])) == 0


def test_a_model_in_itself_is_json() -> None:
    """A recursive field ends the nesting."""

    class Tree(Model):
        """A tree."""

        left: Tree | None = None
        pairs: list[tuple[int, int]] | None = None
        either: int | str | None = None
        price: float | int | None = None

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    kinds = {name: each.kind for name, each in columns_of(Tree).items()}
    assert kinds == {"left": "json", "pairs": "list", "either": "json", "price": "json"}
    pytest.importorskip("polars")
    frame = tables.to_polars([Tree(left=Tree(), pairs=[(1, 2)], either="x", price=1)])
    assert frame["pairs"].to_list() == [["[1, 2]"]]


def test_rows_that_are_no_models_are_one_column() -> None:
    """Polars cannot read the annotations of a row's result: the column is text."""
    pytest.importorskip("polars")
    (text,) = tables.to_polars([BatchResult(0, {"name": "Ada"}, {"name": "Ada"})])["value"].to_list()
    assert "BatchResult" in text


def client(data: Any) -> httpx.MockTransport:
    """Answer every request with `data`."""
    answer = {"success": True, "data": data, "pagination": {"hasMore": False}}
    return httpx.MockTransport(lambda _: httpx.Response(200, json=answer))


async def first_page(transport: httpx.MockTransport) -> Any:
    """List executions with the async client."""
    http = httpx.AsyncClient(transport=transport)
    async with http, AsyncEnprompta(api_key="ep_x", http_client=http, limiter=None) as asynchronous:
        return await asynchronous.executions.list()


@pytest.mark.parametrize("method", ["to_polars", "to_pandas"])
def test_what_clients_return_knows_its_model(method: str) -> None:
    """Empty pages of both clients, empty lists of records, and their copies have the columns of their model."""
    import asyncio

    pytest.importorskip(method.removeprefix("to_"))
    with httpx.Client(transport=client([])) as http, Enprompta(api_key="ep_x", http_client=http, limiter=None) as sync:
        page, history = sync.executions.list(), sync.usage.history()
    found: list[Any] = [page, asyncio.run(first_page(client([])))]
    for each in found:
        assert list(getattr(each, method)().columns) == list(Execution.model_fields)
    assert isinstance(history, Records)
    for records in (history, history[:1], copy.copy(history), pickle.loads(pickle.dumps(history))):
        assert list(getattr(records, method)().columns) == list(UsageRecord.model_fields)
    assert list(getattr(Page([], Pagination(), WebhookDelivery), method)().columns) == list(
        WebhookDelivery.model_fields
    )
