"""The request that a call sends, and the result that its response becomes."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from types import NoneType
from typing import Any

import httpx
import pytest

import enprompta
from enprompta import (
    APIResponse,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncPage,
    Call,
    ConfigurationError,
    NotFoundError,
    Page,
    RateLimit,
    WorkflowFailedError,
)
from enprompta.models import Execution, LivePrompt, Prompt, PromptVariable, TemplateFork, WorkflowStep

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello {{name}}"}
BUDGET = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1705486500"}


def ok(data: Any = PROMPT, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    """Answer with data in the envelope."""
    return httpx.Response(status, json={"success": True, "data": data}, headers=headers)


def sent_json(request: httpx.Request) -> Any:
    """Read the body of a request."""
    return json.loads(request.content)


def test_a_call_gives_its_model(api: Any) -> None:
    """A 200 is decoded into the return type of the method."""
    api.answers(ok())
    prompt = api.run(lambda client: client.prompts.get("pmt_1"))
    assert type(prompt) is Prompt
    assert prompt.title == "Greeting"
    (request,) = api.requests
    assert (request.method, str(request.url)) == ("GET", "https://api.test/api/v1/prompts/pmt_1")
    assert request.content == b""


MEMBER = {"id": "tm", "userId": "u", "role": "ADMIN"}
HOOK = {"id": "h", "secret": "s"}
RUN = {"id": "r", "status": "running"}
STEP = {"id": "s", "prompt_id": "p", "depends_on": ["r"]}
WIRE_STEP = {"id": "s", "promptId": "p", "dependsOn": ["r"]}


# call, method, path, body, and the data of the response
REQUESTS: list[tuple[Any, str, str, Any, Any]] = [
    (lambda c: c.prompts.get("p"), "GET", "/prompts/p", None, PROMPT),
    (
        lambda c: c.prompts.create(title="t", content="c"),
        "POST", "/prompts", {"title": "t", "content": "c"}, PROMPT,
    ),
    (lambda c: c.prompts.update("p", title="t"), "PUT", "/prompts/p", {"title": "t"}, PROMPT),
    (lambda c: c.prompts.update("p"), "PUT", "/prompts/p", {}, PROMPT),
    (lambda c: c.prompts.delete("p"), "DELETE", "/prompts/p", None, None),
    (
        lambda c: c.prompts.list(limit=5, search="a b", team_id="t"),
        "GET", "/prompts?limit=5&search=a+b&teamId=t", None, [],
    ),
    (lambda c: c.prompts.execute("p"), "POST", "/prompts/p/execute", {}, {"id": "e"}),
    (lambda c: c.executions.get("e"), "GET", "/executions/e", None, {"id": "e"}),
    (lambda c: c.executions.list(prompt_id="p"), "GET", "/executions?promptId=p", None, []),
    (lambda c: c.executions.stats(group_by="day"), "GET", "/executions/stats?groupBy=day", None, [{"key": "d"}]),
    (lambda c: c.templates.list(category="x"), "GET", "/templates?category=x", None, []),
    (lambda c: c.templates.get("t"), "GET", "/templates/t", None, PROMPT),
    (lambda c: c.templates.fork("t"), "POST", "/templates/t/fork", {}, {"promptId": "p"}),
    (lambda c: c.templates.fork("t", title="mine"), "POST", "/templates/t/fork", {"title": "mine"}, {"promptId": "p"}),
    (lambda c: c.workflows.list(search="x"), "GET", "/workflows?search=x", None, []),
    (
        lambda c: c.workflows.create(name="n", steps=[STEP, WorkflowStep(**STEP)]),
        "POST", "/workflows", {"name": "n", "steps": [WIRE_STEP, WIRE_STEP]}, {"id": "w", "name": "n"},
    ),
    (lambda c: c.workflows.get("w"), "GET", "/workflows/w", None, {"id": "w", "name": "n"}),
    (lambda c: c.workflows.update("w", name="m"), "PUT", "/workflows/w", {"name": "m"}, {"id": "w", "name": "m"}),
    (lambda c: c.workflows.delete("w"), "DELETE", "/workflows/w", None, None),
    (lambda c: c.workflows.execute("w", input={"a": 1}), "POST", "/workflows/w/execute", {"input": {"a": 1}}, RUN),
    (lambda c: c.workflows.list_executions("w"), "GET", "/workflows/w/executions", None, []),
    (lambda c: c.workflows.get_execution("w", "a/b"), "GET", "/workflows/w/executions/a%2Fb", None, RUN),
    (lambda c: c.workflows.cancel_execution("w", "r"), "POST", "/workflows/w/executions/r/cancel", None, RUN),
    (lambda c: c.teams.list(limit=3), "GET", "/teams?limit=3", None, []),
    (lambda c: c.teams.create(name="n"), "POST", "/teams", {"name": "n"}, {"id": "t", "name": "n"}),
    (lambda c: c.teams.get("t"), "GET", "/teams/t", None, {"id": "t", "name": "n"}),
    (
        lambda c: c.teams.update("t", description=None),
        "PUT", "/teams/t", {"description": None}, {"id": "t", "name": "n"},
    ),
    (lambda c: c.teams.delete("t"), "DELETE", "/teams/t", None, None),
    (lambda c: c.teams.list_members("t"), "GET", "/teams/t/members", None, [MEMBER]),
    (
        lambda c: c.teams.add_member("t", email="a@b.c", role="ADMIN"),
        "POST", "/teams/t/members", {"email": "a@b.c", "role": "ADMIN"}, MEMBER,
    ),
    (
        lambda c: c.teams.update_member("t", "u", role="VIEWER"),
        "PUT", "/teams/t/members/u", {"role": "VIEWER"}, MEMBER,
    ),
    (lambda c: c.teams.remove_member("t", "u"), "DELETE", "/teams/t/members/u", None, None),
    (lambda c: c.teams.leave("t"), "POST", "/teams/t/leave", None, None),
    (lambda c: c.webhooks.list(), "GET", "/webhooks", None, [HOOK]),
    (
        lambda c: c.webhooks.create(name="n", url="https://x.test", events=["prompt.executed"]),
        "POST", "/webhooks", {"name": "n", "url": "https://x.test", "events": ["prompt.executed"]}, HOOK,
    ),
    (lambda c: c.webhooks.get("h"), "GET", "/webhooks/h", None, HOOK),
    (lambda c: c.webhooks.update("h", is_active=False), "PUT", "/webhooks/h", {"isActive": False}, HOOK),
    (lambda c: c.webhooks.enable("h"), "PUT", "/webhooks/h", {"isActive": True}, HOOK),
    (lambda c: c.webhooks.disable("h"), "PUT", "/webhooks/h", {"isActive": False}, HOOK),
    (lambda c: c.webhooks.delete("h"), "DELETE", "/webhooks/h", None, None),
    (lambda c: c.webhooks.test("h"), "POST", "/webhooks/h/test", None, {"id": "d"}),
    (lambda c: c.webhooks.list_deliveries("h"), "GET", "/webhooks/h/deliveries", None, [{"id": "d"}]),
    (lambda c: c.webhooks.retry_delivery("h", "d"), "POST", "/webhooks/h/deliveries/d/retry", None, {"id": "d"}),
    (lambda c: c.webhooks.rotate_secret("h"), "POST", "/webhooks/h/rotate-secret", None, {"secret": "s"}),
    (lambda c: c.usage.get(), "GET", "/usage", None, {"plan": "pro"}),
    (lambda c: c.usage.history(group_by="model"), "GET", "/usage/history?groupBy=model", None, [{"key": "m"}]),
    (lambda c: c.usage.billing(), "GET", "/billing", None, {"plan": "pro"}),
    (lambda c: c.usage.invoices(), "GET", "/billing/invoices", None, [{"id": "i"}]),
    (lambda c: c.health(detailed=True), "GET", "/health?detailed=true", None, {"status": "healthy"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("do", "method", "url", "body", "data"), REQUESTS, ids=[f"{method} {url}" for _, method, url, *_ in REQUESTS]
)
def test_each_method_sends_its_request(api: Any, do: Any, method: str, url: str, body: Any, data: Any) -> None:  # noqa: PLR0917 (a row)
    """Method, address and body match the API reference; writes have an idempotency key."""
    api.answers(httpx.Response(204) if data is None else ok(data))
    result = api.run(do)
    (request,) = api.requests
    assert (request.method, str(request.url)) == (method, f"https://api.test/api/v1{url}")
    assert (sent_json(request) if request.content else None) == body
    assert (result is None) == (data is None)
    assert ("Idempotency-Key" in request.headers) == (method in {"POST", "PUT"})


def run_of(status: str, **more: Any) -> httpx.Response:
    """Answer with a workflow run."""
    return ok({"id": "r", "status": status, **more})


def test_waiting_asks_less_and_less_often_until_the_run_has_ended(api: Any) -> None:
    """A run is started once and polled until it ends; progress is reported when something has changed."""
    api.answers(run_of("pending"), run_of("running"), run_of("running"), run_of("completed", output="done"))
    seen: list[str] = []
    run = api.run(
        lambda c: c.workflows.execute_and_wait(
            "w", input={"a": 1}, on_progress=lambda one: seen.append(one.status), idempotency_key="k", timeout=2
        )
    )
    assert (run.status, run.output) == ("completed", "done")
    assert seen == ["pending", "running", "completed"]
    assert [one.method for one in api.requests] == ["POST", "GET", "GET", "GET"]
    assert [one.headers.get("Idempotency-Key") for one in api.requests] == ["k", None, None, None]
    assert api.waits[0] == 0.5
    assert api.waits == sorted(api.waits)
    assert {one.extensions["timeout"]["read"] for one in api.requests} == {2}


def test_waiting_ends_as_it_was_asked_to(api: Any) -> None:
    """A failed run is returned, or raised with its step; a timeout reports that the run continues."""
    step = {"stepId": "s", "status": "failed", "error": "boom"}
    for status, more, says in (
        ("failed", {"steps": [step]}, "at step 's': boom"),
        ("cancelled", {"error": "x"}, ": x"),
    ):
        api.answers(run_of("running"), run_of(status, **more))
        assert api.run(lambda c: c.workflows.wait("w", "r")).status == status
        api.answers(run_of(status, **more))
        with pytest.raises(WorkflowFailedError, match=f"ended as {status}.*{says}") as caught:
            api.run(lambda c: c.workflows.wait("w", "r", raise_on_failure=True))
        assert caught.value.execution.status == status
    api.answers(run_of("running"))
    with pytest.raises(APITimeoutError, match="still running and wait_timeout has passed"):
        api.run(lambda c: c.workflows.wait("w", "r", wait_timeout=0))
    with pytest.raises(ConfigurationError, match="wait_timeout must be 0 seconds or more"):
        api.run(lambda c: c.workflows.wait("w", "r", wait_timeout=-1))


def test_a_flow_raises_the_error_of_its_call(api: Any) -> None:
    """If a request of a flow fails, the flow raises what the single call would raise."""
    api.answers(run_of("running"), httpx.Response(404))
    with pytest.raises(NotFoundError):
        api.run(lambda c: c.workflows.wait("w", "r"))


def test_every_request_has_the_headers_of_the_reference(api: Any) -> None:
    """Content-Type is sent with GET and DELETE too; the key is a bearer token; the User-Agent names the library."""
    api.answers(*(ok(), ok(), ok(), httpx.Response(204)))
    client = api.scripted(api_key="ep_live_1", default_headers={"X-Team": "blue"})
    api.run(lambda c: c.prompts.get("p"), client)
    api.run(lambda c: c.prompts.create(title="t", content="c"), client)
    api.run(lambda c: c.prompts.update("p", title="t"), client)
    api.run(lambda c: c.prompts.delete("p"), client)
    for request in api.requests:
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Authorization"] == "Bearer ep_live_1"
        assert request.headers["User-Agent"].startswith(f"enprompta-python/{enprompta.__version__} python/3.")
        assert request.headers["X-Team"] == "blue"
        assert request.headers["Host"] == "api.test"
    for request in (api.requests[0], api.requests[3]):
        assert "Content-Length" not in request.headers
        assert request.content == b""


def test_the_callers_user_agent_replaces_ours(api: Any) -> None:
    """A header is sent once, in any case in which it is given."""
    api.answers(ok())
    client = api.scripted(default_headers={"user-agent": "mine/1"})
    api.run(lambda c: c.prompts.get("p"), client)
    assert api.requests[0].headers.get_list("User-Agent") == ["mine/1"]


def test_update_distinguishes_null_from_omitted(api: Any) -> None:
    """`update(description=None)` clears the description; omitted fields are not sent."""
    api.answers(ok(), ok())
    api.run(lambda c: c.prompts.update("p", description=None))
    api.run(lambda c: c.prompts.update("p", title="t", tags=[]))
    assert [sent_json(request) for request in api.requests] == [{"description": None}, {"title": "t", "tags": []}]


def test_execute_nests_the_options_of_the_model(api: Any) -> None:
    """Flat keywords become the API's `options`; omitted ones are absent."""
    api.answers(ok({"id": "exe_1"}), ok({"id": "exe_2"}))
    execution = api.run(
        lambda c: c.prompts.execute(
            "p", variables={"name": "Ada"}, provider="openai", model="gpt-4o", temperature=0, max_tokens=5, top_p=0.5,
            stop_sequences=["."],
        )
    )  # fmt: skip
    assert type(execution) is Execution
    assert sent_json(api.requests[0]) == {
        "provider": "openai",
        "model": "gpt-4o",
        "variables": {"name": "Ada"},
        "options": {"temperature": 0, "maxTokens": 5, "topP": 0.5, "stopSequences": ["."]},
    }
    api.run(lambda c: c.prompts.execute("p", temperature=1.5))
    assert sent_json(api.requests[1]) == {"options": {"temperature": 1.5}}


def test_create_takes_models_and_dicts(api: Any) -> None:
    """Variables may be declared in either form, and are sent with the API's names."""
    api.answers(ok(status=201))
    variables = [PromptVariable(name="a", required=False), {"name": "b", "type": "number"}]
    api.run(
        lambda c: c.prompts.create(title="t", content="{{a}} {{b}}", variables=variables, team_id=None, tags=("x",))
    )
    assert sent_json(api.requests[0]) == {
        "title": "t",
        "content": "{{a}} {{b}}",
        "teamId": None,
        "tags": ["x"],
        "variables": [{"name": "a", "required": False}, {"name": "b", "type": "number"}],
    }


def test_dates_of_filters_are_utc(api: Any) -> None:
    """A datetime is sent in UTC, a naive one is taken as UTC, and text is sent unchanged."""
    api.answers(ok([]))
    naive, aware = datetime(2024, 1, 17, 10, 15), datetime(2024, 1, 18, tzinfo=timezone.utc)  # noqa: DTZ001
    api.run(lambda c: c.executions.list(start_date=naive, end_date=aware))
    assert dict(api.requests[0].url.params) == {"startDate": "2024-01-17T10:15:00Z", "endDate": "2024-01-18T00:00:00Z"}


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://api.test/api/v1", "https://api.test/api/sdk/prompts/hi?label=production"),
        ("https://api.test/api/v1/", "https://api.test/api/sdk/prompts/hi?label=production"),
        ("https://proxy.test/tenant/7/api/v1", "https://proxy.test/tenant/7/api/sdk/prompts/hi?label=production"),
        ("http://127.0.0.1:8787/api/v1", "http://127.0.0.1:8787/api/sdk/prompts/hi?label=production"),
        ("https://api.test/v2", "https://api.test/sdk/prompts/hi?label=production"),
        ("https://api.test", "https://api.test/sdk/prompts/hi?label=production"),
    ],
)
def test_live_prompts_are_beside_the_versioned_api(api: Any, base_url: str, address: str) -> None:
    """`get_live` sends its request below the API root, which is the parent of any base URL."""
    api.answers(httpx.Response(200, json={"id": "p", "content": "hi", "_meta": {"a": 1}}))
    client = api.scripted(base_url=base_url)
    assert client.base_url == base_url.rstrip("/")
    live = api.run(
        lambda c: c.with_raw_response.run(Call("GET", "/api/sdk/prompts/hi", LivePrompt, {"label": "production"})),
        client,
    )
    assert live.data.content == "hi"
    assert str(api.requests[0].url) == address


@pytest.mark.parametrize("prompt_id", ["../teams", "a/b?x=1", ".", "..", "żółw", "%2e%2e", "a b#c", "🐢", "a\r\nX: 1"])
def test_an_id_addresses_one_object_only(api: Any, prompt_id: str) -> None:
    """Whatever the id, the request addresses one object below /prompts, and httpx does not change the URL."""
    api.answers(ok(), httpx.Response(204), ok())
    api.run(lambda c: c.prompts.get(prompt_id))
    api.run(lambda c: c.prompts.delete(prompt_id))
    api.run(lambda c: c.prompts.execute(prompt_id))
    for request, after in zip(api.requests, ["", "", "/execute"], strict=True):
        path = request.url.raw_path.decode("ascii")
        assert re.fullmatch(rf"/api/v1/prompts/[^/?#\s]+{after}", path)
        assert path.removesuffix(after).rpartition("/")[2] not in {".", ".."}


@pytest.mark.parametrize("prompt_id", ["", None, 7, b"p", "\ud800"])
def test_an_id_that_is_none_is_refused_at_once(api: Any, prompt_id: Any) -> None:
    """An invalid id sends no request."""
    for do in (lambda c: c.prompts.get(prompt_id), lambda c: c.prompts.delete(prompt_id)):
        with pytest.raises(ConfigurationError, match=r"prompt_id (is empty|is None|must be text)|lone surrogate"):
            api.run(do)
    assert api.sent == 0


@pytest.mark.parametrize(
    "do",
    [
        lambda c: c.prompts.list(search="\ud800"),
        lambda c: c.prompts.list(limit=10**5_000),
        lambda c: c.executions.list(start_date=object()),
        lambda c: c.prompts.create(title="\ud800", content=""),
        lambda c: c.prompts.execute("p", variables={"x": object()}),
        lambda c: c.prompts.execute("p", temperature=float("nan")),
        lambda c: c.prompts.create(title="t", content="c", idempotency_key="a\nb"),
        lambda c: c.prompts.create(title="t", content="c", idempotency_key=""),
        lambda c: c.prompts.create(title="t", content="c", idempotency_key=7),
        lambda c: c.prompts.get("p", timeout=-1),
        lambda c: c.prompts.get("p", timeout="3"),
        lambda c: c.prompts.get("p", max_retries=True),
        lambda c: c.prompts.get("p", headers={"Authorization": "x"}),
        lambda c: c.prompts.get("p", headers={"X-A": "ż"}),
        lambda c: c.run(Call("GET", "prompts", dict)),
    ],
    ids=range(15),
)
def test_a_call_that_cannot_be_sent_is_a_configuration_error(api: Any, do: Any) -> None:
    """Values that a request cannot carry are rejected before anything is sent."""
    with pytest.raises(ConfigurationError):
        api.run(do)
    assert api.sent == 0


@pytest.mark.parametrize(
    "do",
    [
        lambda c: c.prompts.get("a" * 70_000),
        lambda c: c.prompts.list(search="a" * 70_000),
        lambda c: c.run(Call("GET", "/a\nb", dict)),
    ],
    ids=["id", "query", "path"],
)
def test_an_address_that_cannot_be_is_a_configuration_error(api: Any, do: Any) -> None:
    """An id or search too long for a URL, and an unquoted path, are rejected before anything is sent."""
    with pytest.raises(ConfigurationError):
        api.run(do)
    assert api.sent == 0


def test_an_unknown_keyword_is_a_type_error(api: Any) -> None:
    """A misspelled keyword is a TypeError that suggests the right keyword and names the public method."""
    wrong: dict[str, Any] = {
        r"prompts.get() got 'timeuot'; did you mean 'timeout'?": lambda c: c.prompts.get("p", timeuot=3),
        r"prompts.execute() got 'temprature'; did you mean 'temperature'?": lambda c: c.prompts.execute(
            "p", temprature=1
        ),
        r"prompts.list() got 'serach'; did you mean 'search'?": lambda c: c.prompts.list(serach="x"),
        r"prompts.list() got 'teamId'; did you mean 'team_id'?": lambda c: c.prompts.list(teamId="x"),
        r"prompts.get_live() got 'fallbak'; did you mean 'fallback'?": lambda c: c.prompts.get_live("s", fallbak="x"),
        r"with_options() got 'max_retires'; did you mean 'max_retries'?": lambda c: c.with_options(max_retires=3),
        r"health() got 'detail'; did you mean 'detailed'?": lambda c: c.health(detail=True),
        r"add_hook() got an unexpected keyword argument 'x'; it takes ": lambda c: c.add_hook(x=1),
        r"remove_hook() is missing 'hook'": lambda c: c.remove_hook(),
        r"reset_rate_limit() takes no arguments, 1 was given": lambda c: c.reset_rate_limit(1),
        r"workflows.wait() got an unexpected keyword argument 'zzz'; it takes wait_timeout, ": (
            lambda c: c.workflows.wait("w", "e", zzz=1)
        ),
    }
    for text, do in wrong.items():
        with pytest.raises(TypeError, match="^" + re.escape(text)):
            api.run(do)
        if not text.startswith(("prompts.get_live", "with_options", "add_", "remove_", "reset_")):
            with pytest.raises(TypeError, match="^" + re.escape(text)):
                api.run(lambda c, do=do: do(c.with_raw_response))
    assert api.sent == 0


def test_deletion_returns_none_for_any_body(api: Any) -> None:
    """204 without a body and 200 with any body return None."""
    for answer in (httpx.Response(204), ok({"deleted": True}), httpx.Response(200, text="<p>gone")):
        api.answers(answer)
        assert api.run(lambda c: c.prompts.delete("p")) is None


def test_with_raw_response_gives_everything_round_the_data(api: Any) -> None:
    """An `APIResponse` has the status, headers, request id, budget and attempts besides the result."""
    api.answers(ok(status=201, headers={"X-Request-Id": "req_1", "ETag": "e", **BUDGET}))
    response = api.run(lambda c: c.with_raw_response.prompts.create(title="t", content="c"))
    assert type(response) is APIResponse
    assert type(response.data) is Prompt
    assert (response.status_code, response.request_id, response.headers["etag"]) == (201, "req_1", "e")
    assert response.rate_limit == RateLimit(60, 0, datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc))
    (attempt,) = response.attempts
    assert (attempt.number, attempt.status_code, attempt.request_id, attempt.wait) == (1, 201, "req_1", 0.0)
    assert attempt.duration >= 0


def test_raw_responses_of_any_call(api: Any) -> None:
    """`run_raw` equals `run` on `with_raw_response`, and reports whose responses it returns."""
    api.answers(ok(status=201), ok(status=201))
    call = Call("POST", "/beta", Prompt)
    first = api.run(lambda c: c.with_raw_response.run(call))
    second = api.run(lambda c: c.with_raw_response.run_raw(call))
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert type(second) is APIResponse
    api.answers(httpx.Response(200, json={"status": "healthy"}, headers={"X-Request-Id": "req_1"}))
    health = api.run(lambda c: c.with_raw_response.health())
    assert (health.data.status, health.request_id) == ("healthy", "req_1")
    assert repr(api.client.with_raw_response) == f"<raw responses of {api.client!r}>"


def test_calls_that_belong_together(api: Any) -> None:
    """A flow returns its own result under `with_raw_response` too, because its calls are internal."""
    api.answers(ok(), ok({**PROMPT, "id": "pmt_2"}))

    def both() -> Any:
        first = yield Call("GET", "/prompts/one", Prompt)
        second = yield Call("GET", f"/prompts/{first.id}", Prompt)
        return [first.id, second.id]

    assert api.run(lambda c: c.with_raw_response.run_flow(both())) == ["pmt_1", "pmt_2"]
    assert [request.url.path for request in api.requests] == ["/api/v1/prompts/one", "/api/v1/prompts/pmt_1"]


def test_a_raw_listing_has_a_page_that_fetches_the_next(api: Any) -> None:
    """The page in an `APIResponse` fetches the next one like any other."""
    more = {"has_more": True, "next_cursor": "c2"}
    api.answers(
        httpx.Response(200, json={"data": [PROMPT], "pagination": more}),
        httpx.Response(200, json={"data": [], "pagination": {"has_more": False}}),
    )
    response = api.run(lambda c: c.with_raw_response.prompts.list())
    assert type(response.data) is (AsyncPage if api.is_async else Page)
    assert response.rate_limit is None
    assert api.run(lambda _: response.data.next_page()).data == []


def test_run_calls_an_endpoint_without_a_method(api: Any) -> None:
    """A custom call returns its type: a model, list, dict, None or page."""
    api.answers(ok({"a": 1}), ok([PROMPT]), ok(), httpx.Response(202, text="odd"))
    params = {"x": True, "y": None}
    assert api.run(lambda c: c.run(Call("GET", "/beta", dict[str, int], params=params))) == {"a": 1}
    assert str(api.requests[0].url) == "https://api.test/api/v1/beta?x=true"
    assert [one.id for one in api.run(lambda c: c.run(Call("GET", "/beta", list[Prompt])))] == ["pmt_1"]
    response = api.run(lambda c: c.with_raw_response.run(Call("PATCH", "/beta", Prompt, json={"a": 1})))
    assert response.data.id == "pmt_1"
    assert sent_json(api.requests[2]) == {"a": 1}
    assert api.run(lambda c: c.run(Call("POST", "/beta", NoneType))) is None
    api.answers(ok([PROMPT]))
    page = api.run(lambda c: c.run(Call("GET", "/beta", Page[Prompt])))
    assert type(page) is (AsyncPage if api.is_async else Page)
    assert [one.id for one in page.data] == ["pmt_1"]


def test_run_says_when_json_is_not_read_into_a_type(api: Any) -> None:
    """The error says that the type cannot be decoded, whatever the service answered."""
    api.answers(ok())
    with pytest.raises(ConfigurationError, match="a call cannot return"):
        api.run(lambda c: c.run(Call("GET", "/beta", httpx.Client)))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (httpx.Response(200), "an empty body"),
        (httpx.Response(204), "an empty body"),
        (httpx.Response(200, text="<!doctype html>SECRET"), "HTML or XML instead of JSON"),
        (httpx.Response(200, content=b'{"data": {"id": "SECRET'), "not whole JSON"),
        (httpx.Response(200, json={"data": {"id": "SECRET"}}), "another shape at data.title"),
        (httpx.Response(201, json={"success": False, "error": {"code": "SECRET"}}), "another shape at data"),
    ],
    ids=range(6),
)
def test_a_2xx_that_is_not_what_was_promised(api: Any, answer: httpx.Response, complaint: str) -> None:
    """The error is an `APIResponseError` with the request id; it shows nothing of the body and keeps all of it."""
    answer.headers["X-Request-Id"] = "req_9"
    api.answers(answer)
    with pytest.raises(APIResponseError, match=complaint) as caught:
        api.run(lambda c: c.prompts.get("p"))
    error = caught.value
    assert str(error).startswith(f"GET /prompts/p returned {answer.status_code} with ")
    assert str(error).endswith("(request id: req_9)")
    assert (error.status_code, error.request_id, error.body) == (answer.status_code, "req_9", answer.content)
    assert error.headers["x-request-id"] == "req_9"
    assert "SECRET" not in str(error)
    assert len(error.attempts) == api.sent == 1


def test_a_long_unreadable_body_is_kept_in_part(api: Any) -> None:
    """An error keeps at most 64 KiB of a body."""
    api.answers(httpx.Response(200, content=b"<" + b"x" * 200_000))
    with pytest.raises(APIResponseError) as caught:
        api.run(lambda c: c.prompts.get("p"))
    assert len(caught.value.body) == 65_536
    assert "request id" not in str(caught.value)


def test_redirects_are_not_followed(api: Any) -> None:
    """The key is sent only to the configured host, even if the caller's HTTP client would follow redirects."""
    if not api.server:
        api.http_client.follow_redirects = True
    for status in (301, 302, 303, 307, 308):
        api.answers(httpx.Response(status, headers={"Location": "https://evil.test/"}))
        with pytest.raises(APIStatusError, match=r"redirects are not followed \(to https://evil.test/\)") as caught:
            api.run(lambda c: c.prompts.get("p"))
        assert caught.value.status_code == status
        assert api.sent == 1


def test_the_budget_last_seen_is_on_the_client(api: Any) -> None:
    """`client.rate_limit` is None until a response reports it; errors report it too, other responses change nothing."""
    assert api.client.rate_limit is None
    api.answers(ok(), ok(headers=BUDGET), ok(), httpx.Response(404, headers={**BUDGET, "X-RateLimit-Remaining": "7"}))
    api.run(lambda c: c.prompts.get("p"))
    assert api.client.rate_limit is None
    for _ in range(2):
        api.run(lambda c: c.prompts.get("p"))
        assert api.client.rate_limit == RateLimit(60, 0, datetime(2024, 1, 17, 10, 15, tzinfo=timezone.utc))
    with pytest.raises(NotFoundError):
        api.run(lambda c: c.prompts.get("p"))
    assert api.client.rate_limit.remaining == 7
    assert api.client.with_options(timeout=1).rate_limit.remaining == 7


def test_a_fork_names_the_new_prompt(api: Any) -> None:
    """`fork` returns the id of the user's new prompt."""
    api.answers(ok({"promptId": "pmt_2"}, status=201))
    fork = api.run(lambda c: c.templates.fork("t"))
    assert type(fork) is TemplateFork
    assert fork.prompt_id == "pmt_2"
