"""`client.traces`: listings by offset, results within a field, retried writes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from enprompta import APIResponseError, Page
from enprompta.models import TraceSpan


def page(ids: list[str], **position: Any) -> httpx.Response:
    """Answer with a page of traces."""
    return httpx.Response(200, json={"success": True, "data": {"traces": [{"id": one} for one in ids], **position}})


def ids(traces: list[Any]) -> list[str]:
    """Return the ids of traces."""
    return [one.id for one in traces]


def test_a_listing_by_offset_is_walked_to_its_end(api: Any) -> None:
    """Each page is asked for by the number of traces before it, with the filters of the call."""
    api.answers(
        page(["a", "b"], total=4, limit=2, offset=1),
        page(["c"], total=4, limit=2, offset=3),
    )
    found = api.items(lambda c: c.traces.list(limit=2, offset=1, session_id="s"))
    assert ids(found) == ["a", "b", "c"]
    assert [dict(one.url.params) for one in api.requests] == [
        {"limit": "2", "offset": "1", "sessionId": "s"},
        {"limit": "2", "offset": "3", "sessionId": "s"},
    ]


@pytest.mark.parametrize(
    ("position", "has_more"),
    [
        ({"total": 5, "limit": 2, "offset": 0}, True),
        ({"total": 2, "limit": 2, "offset": 0}, False),
        ({"total": 5}, True),
        ({"limit": 2}, True),
        ({"limit": 3}, False),
        ({}, False),
        ({"total": None, "limit": None, "offset": None}, False),
    ],
)
def test_what_the_position_leaves_out_is_counted(api: Any, position: dict[str, Any], has_more: bool) -> None:  # noqa: FBT001
    """Without a total, a full page has another one after it; without an offset, it is the one that was asked for."""
    api.answers(page(["a", "b"], **position))
    first = api.run(lambda c: c.traces.list(limit=2))
    assert first.has_next_page() == has_more
    assert first.pagination.total_count == position.get("total")


def test_an_empty_page_ends_a_walk(api: Any) -> None:
    """A total that is larger than what arrives does not make a walk endless."""
    api.answers(page(["a"], total=9, limit=1, offset=0), page([], total=9, limit=1, offset=1))
    assert ids(api.items(lambda c: c.traces.list(limit=1))) == ["a"]


def test_a_service_that_ignores_the_offset_is_an_error(api: Any) -> None:
    """The same page again and again raises after the second one, and never loops."""
    api.always(lambda _: page(["a", "b"], total=9, limit=2, offset=0))
    with pytest.raises(APIResponseError, match="an offset that was followed before"):
        api.items(lambda c: c.traces.list(limit=2))
    assert api.sent == 2


@pytest.mark.parametrize("data", [{"trace": {"id": "t"}}, {"id": "t"}])
@pytest.mark.parametrize("is_enveloped", [True, False])
def test_results_are_read_within_their_field_and_without(api: Any, data: dict[str, Any], *, is_enveloped: bool) -> None:
    """A trace is read from `data.trace`, and from any simpler form."""
    api.answers(httpx.Response(200, json={"success": True, "data": data} if is_enveloped else data))
    assert api.run(lambda c: c.traces.get("t")).id == "t"


def test_spans_with_numbers_that_json_does_not_have(api: Any) -> None:
    """A list within a field is a sequence; numbers that JSON does not have become None."""
    api.answers(httpx.Response(200, content=b'{"data": {"spans": [{"id": "s", "cost": NaN, "metadata": null}]}}'))
    spans = api.run(lambda c: c.traces.spans("t"))
    assert [(one.id, one.cost, one.metadata) for one in spans] == [("s", None, None)]
    assert isinstance(spans[0], TraceSpan)


def test_pages_with_invalid_numbers_keep_their_position(api: Any) -> None:
    """The slow path of reading keeps total and offset."""
    api.answers(
        httpx.Response(
            200, content=b'{"data": {"traces": [{"id": "a", "cost": Infinity}], "total": 2, "limit": 1, "offset": 0}}'
        )
    )
    first: Page[Any] = api.run(lambda c: c.traces.list(limit=1))
    assert (first.data[0].cost, first.has_next_page()) == (None, True)


def test_writes_are_retried_with_one_key(api: Any) -> None:
    """A failed attempt is repeated with the same idempotency key, and absent arguments are not sent."""
    api.answers(httpx.Response(503), httpx.Response(201, json={"success": True, "data": {"traceId": "t"}}))
    made = api.run(lambda c: c.traces.record(provider="p", model="m", input="i", output="", latency_ms=1.5))
    assert made.trace_id == "t"
    assert json.loads(api.requests[0].content) == {
        "provider": "p", "model": "m", "input": "i", "output": "", "latencyMs": 1.5,
    }  # fmt: skip
    assert len({one.headers["Idempotency-Key"] for one in api.requests}) == 1
    api.answers(httpx.Response(201, json={"data": {"spanId": "s", "traceId": "t"}}))
    span = api.run(lambda c: c.traces.create_span("t", name="n", span_type="LLM", input={"a": None}, output=None))
    assert (span.span_id, span.trace_id) == ("s", "t")
    assert json.loads(api.requests[-1].content) == {
        "name": "n", "spanType": "LLM", "input": {"a": None}, "output": None,
    }  # fmt: skip


def test_totals_of_a_period(api: Any) -> None:
    """`analytics` sends the number of days and returns totals."""
    api.answers(httpx.Response(200, json={"success": True, "data": {"totalTraces": 3, "totalTokens": 40}}))
    totals = api.run(lambda c: c.traces.analytics(days=7))
    assert (totals.total_traces, totals.total_tokens) == (3, 40)
    assert [dict(one.url.params) for one in api.requests] == [{"days": "7"}]
