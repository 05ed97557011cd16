"""A call raises only `EnpromptaError`, and every error can be pickled."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import enprompta
from enprompta import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    Attempt,
    ConfigurationError,
    EnpromptaError,
    TemplateError,
    WorkflowFailedError,
)
from enprompta.batch import ExecutionFailedError
from enprompta.models import Execution, WorkflowExecution

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUSES = (400, 401, 402, 403, 404, 405, 409, 422, 429, 500, 503)


def every_class(base: type[EnpromptaError]) -> set[type[EnpromptaError]]:
    """Return a class and all its subclasses."""
    return {base}.union(*(every_class(one) for one in base.__subclasses__()))


def same(one: EnpromptaError, other: EnpromptaError) -> bool:
    """Return True if two errors have the same content; compared as text, because NaN does not equal itself."""
    return (type(one), one.args, repr(vars(one))) == (type(other), other.args, repr(vars(other)))


def causes_pickle(error: BaseException) -> None:
    """Check that the causes of an error can be pickled too: where Dask is loaded, they are pickled with the error."""
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            assert type(pickle.loads(pickle.dumps(cause))) is type(cause)
            causes_pickle(cause)


def make(cls: type[EnpromptaError]) -> EnpromptaError:
    """Build an error of a class with all possible attributes."""
    attempts = (Attempt(1, 0.5, 503, wait=1.0, request_id="r"), Attempt(2, 0.1, error="reset"))
    answer = {"request_id": "r", "headers": {"a": "b"}, "attempts": attempts}
    for base, carried in (
        (APIStatusError, {"status_code": 418, "retry_after": 1.0, **answer}),
        (APIResponseError, {"status_code": 200, "body": b"<", **answer}),
        (APIError, {"attempts": attempts}),
        (TemplateError, {"missing": ["a"], "unknown": ("b",)}),
        (WorkflowFailedError, {"execution": WorkflowExecution(id="w")}),
        (ExecutionFailedError, {"execution": Execution(id="e")}),
    ):
        if issubclass(cls, base):
            return cls("m", **carried)
    return cls("m")


@pytest.mark.parametrize(
    "cls", sorted(every_class(EnpromptaError), key=lambda cls: cls.__name__), ids=lambda it: it.__name__
)
def test_every_error_pickles_with_all_it_carries(cls: type[EnpromptaError]) -> None:
    """Pickling preserves class, text, args, attributes and notes."""
    error = make(cls)
    error.add_context("more")
    error.note = "mine"  # type: ignore[attr-defined]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(error, protocol)), error)
    assert same(copy.copy(error), error)
    assert same(copy.deepcopy(error), error)
    assert str(error) == error.message == "m; more"
    assert cls.__doc__


def test_the_tree_is_the_one_that_is_drawn() -> None:
    """Every public error is in the docstring's tree, below the base class shown there."""
    drawn = enprompta.errors.__doc__ or ""
    for cls in every_class(EnpromptaError):
        if cls.__module__ == "enprompta.errors":
            assert cls.__name__ in drawn
            assert cls.__name__ in enprompta.errors.__all__
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(TemplateError, ValueError)
    assert issubclass(enprompta.APITimeoutError, (APIConnectionError, TimeoutError))


@pytest.mark.parametrize("status", STATUSES)
def test_an_error_of_a_call_pickles(api: Any, status: int) -> None:
    """An error raised by a call, with headers, budget, decoded body and every attempt, can be pickled."""
    body = {
        "error": {"code": "X", "message": "no", "details": [{"field": "f", "message": "bad"}], "request_id": "req_1"}
    }
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9", "Retry-After": "0"}
    api.answers(httpx.Response(status, json=body, headers=headers))
    with pytest.raises(APIStatusError) as caught:
        api.run(lambda c: c.prompts.get("p"), api.scripted(max_retries=0))
    error = pickle.loads(pickle.dumps(caught.value))
    assert same(error, caught.value)
    assert (error.status_code, error.request_id, error.details[0].field) == (status, "req_1", "f")
    assert error.headers["RETRY-AFTER"] == "0"
    assert error.rate_limit.remaining == 0
    assert error.retry_after == 0.0
    assert error.body == body
    assert error.attempts[0].status_code == status


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("x"), httpx.ConnectError("x"), httpx.Response(200, text="<")], ids=repr
)
def test_an_error_without_a_readable_answer_pickles(api: Any, failure: Any) -> None:
    """Connection errors and unreadable responses can be pickled too."""
    api.answers(failure)
    with pytest.raises(APIError) as caught:
        api.run(lambda c: c.prompts.get("p"), api.scripted(max_retries=0))
    assert same(pickle.loads(pickle.dumps(caught.value)), caught.value)


CALLS = [
    lambda c: c.prompts.get("p"),
    lambda c: c.prompts.create(title="t", content="c"),
    lambda c: c.prompts.delete("p"),
    lambda c: c.prompts.list(),
    lambda c: c.prompts.get_live("p"),
    lambda c: c.executions.stats(),
    lambda c: c.templates.fork("t"),
    lambda c: c.with_raw_response.prompts.list(),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "success",
                    "data",
                    "pagination",
                    "has_more",
                    "next_cursor",
                    "error",
                    "code",
                    "message",
                    "details",
                    "type",
                    "id",
                    "title",
                    "content",
                    "variables",
                    "version",
                    "createdAt",
                    "promptId",
                ]
            )
            | st.text(max_size=3),
            inner,
        )
    ),
)
bodies = st.binary() | st.text().map(str.encode) | json_values.map(lambda value: json.dumps(value).encode())
header_names = [
    "X-Request-Id",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "Date",
]
header_names += [
    "Content-Type",
    "Content-Encoding",
    "Location",
    "Set-Cookie",
    "Transfer-Encoding",
    "Content-Length",
    "ETag",
]
header_values = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20).map(
    lambda it: it.encode("latin-1")
)
header_values |= st.sampled_from(
    [b"gzip", b"utf-16", b"text/html; charset=nonsense", b"0", b"1", b"99999999999999999999"]
)


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body as received from the network: encoded in any way that the headers claim."""

    def __init__(self, body: bytes) -> None:
        self._parts = iter([body])

    def __iter__(self) -> Any:
        return self._parts

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """Collect garbage while the warning filters of the test apply."""
    yield
    gc.collect()


# httpx does not close its generator if a body cannot be decoded, and trio warns about that.
@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")
@pytest.mark.usefixtures("nothing_left_behind")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(
    st.sampled_from(CALLS),
    st.integers(200, 599) | st.just(999),
    bodies,
    st.dictionaries(st.sampled_from(header_names), header_values, max_size=5),
)
def test_nothing_foreign_leaves_a_call(api: Any, do: Any, status: int, body: bytes, headers: dict[str, bytes]) -> None:
    """For any status, headers and body, a call returns its result or raises an `EnpromptaError` that can be pickled."""
    pairs = [(name.encode(), value) for name, value in headers.items()]

    api.always(lambda _: httpx.Response(status, headers=pairs, stream=Stream(body)))
    try:
        api.run(do)
    except EnpromptaError as error:
        assert isinstance(error, (APIStatusError, APIResponseError, APIConnectionError))  # noqa: PT017 (results are valid too)
        assert same(pickle.loads(pickle.dumps(error)), error)  # noqa: PT017
        causes_pickle(error)
    assert api.client.rate_limit is None or api.client.rate_limit.limit >= 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(st.text())
def test_any_id_is_refused_or_asked_for(api: Any, prompt_id: str) -> None:
    """A path that reaches the service unquotes to the id, in one segment; other ids are rejected before sending."""
    api.always(lambda _: httpx.Response(204))
    try:
        api.run(lambda c: c.prompts.delete(prompt_id))
    except ConfigurationError:
        assert api.sent == 0
        assert prompt_id.strip() != prompt_id or not prompt_id or any("\ud800" <= one <= "\udfff" for one in prompt_id)
        return
    (request,) = api.requests
    *before, segment = request.url.raw_path.decode("ascii").split("/")
    assert before == ["", "api", "v1", "prompts"]
    assert unquote(segment, errors="strict") == prompt_id
