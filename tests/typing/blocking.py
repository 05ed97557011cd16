"""Static types of the blocking client. Never run: checked by pyright, mypy and pyrefly, all strict.

Lines that must be errors are marked for pyright and mypy, which report unused marks; pyrefly ignores the marks and must
report the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import httpx
from typing_extensions import assert_type

from enprompta import (
    APIError,
    APIResponse,
    APIStatusError,
    Attempt,
    Call,
    Enprompta,
    EnpromptaError,
    FieldError,
    Page,
    RateLimit,
    RateLimitError,
)
from enprompta.models import (
    Execution,
    ExecutionStats,
    LiveMessage,
    LivePrompt,
    Prompt,
    PromptVariable,
    PromptVariableParam,
    Template,
    TemplateFork,
)

client = Enprompta(
    api_key="ep_x", timeout=None, max_retries=1, default_headers={"X-Team": "a"}, http_client=httpx.Client()
)
with client as entered:
    assert_type(entered, Enprompta)
view = client.with_options(timeout=3, headers={"X-Team": "b"})
assert_type(view, Enprompta)
assert_type(client.rate_limit, RateLimit | None)
assert_type(client.base_url, str)
assert_type(client.is_closed, bool)


def results() -> None:
    """Each method returns its model."""
    prompt = client.prompts.get("p")
    assert_type(prompt, Prompt)
    assert_type(prompt.id, str)
    assert_type(prompt.description, str | None)
    assert_type(prompt.tags, list[str])
    assert_type(prompt.variables, list[PromptVariable])
    assert_type(prompt.created_at, datetime | None)
    assert_type(client.prompts.create(title="t", content="c"), Prompt)
    assert_type(client.prompts.update("p", description=None, tags=("a", "b")), Prompt)
    client.prompts.delete("p")
    assert_type(client.prompts.execute("p", variables={"x": 1}, temperature=1, idempotency_key="k"), Execution)
    live = client.prompts.get_live("hi", label="staging", ttl=None, fallback=lambda slug: slug)
    assert_type(live, LivePrompt)
    assert_type(live.error, EnpromptaError | None)
    assert_type(live.render(topic="t"), str | list[LiveMessage])
    assert_type(live.render_text({"first-name": 1}), str)
    assert_type(prompt.render(topic="t"), str)
    assert_type(client.prompts.get_live("hi", fallback=[{"role": "user", "content": "c"}]), LivePrompt)
    assert_type(client.prompts.preload(["hi", ("hi", "staging")]), list[LivePrompt])
    assert_type(client.prompts.invalidate("hi"), int)
    assert_type(client.prompts.live_cache.metrics.hits, int)
    assert_type(client.executions.get("e"), Execution)
    assert_type(client.executions.stats(group_by="day"), Sequence[ExecutionStats])
    assert_type(client.templates.get("t"), Template)
    assert_type(client.templates.fork("t"), TemplateFork)
    assert_type(view.prompts.get("p", timeout=None, max_retries=0, headers={"X-A": "b"}), Prompt)


def variables_of_both_kinds() -> None:
    """Variables are models or plain dicts, whose keys are checked."""
    written: PromptVariableParam = {"name": "topic", "type": "text", "required": True}
    client.prompts.create(title="t", content="c", variables=[PromptVariable(name="a"), written, {"name": "b"}])
    client.prompts.create(title="t", content="c", variables=[{"nam": "b"}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def listings() -> None:
    """A listing is a page, iterates over items, and returns pages."""
    page = client.prompts.list(limit=5, visibility="PRIVATE")
    assert_type(page, Page[Prompt])
    assert_type(page.data, list[Prompt])
    assert_type(page.next_page(), Page[Prompt])
    assert_type(page.has_next_page(), bool)
    assert_type(page.pagination.next_cursor, str | None)
    assert_type(page.pages(), Iterator[Page[Prompt]])
    for prompt in client.prompts.list():
        assert_type(prompt, Prompt)
    for execution in client.executions.list(start_date="2024-01-17"):
        assert_type(execution, Execution)
    assert_type([one.id for one in client.templates.list()], list[str])


def raw_responses() -> None:
    """The same methods return an `APIResponse` of their result."""
    raw = client.with_raw_response
    response = raw.prompts.get("p")
    assert_type(response, APIResponse[Prompt])
    assert_type(response.data, Prompt)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.attempts, tuple[Attempt, ...])
    assert_type(response.rate_limit, RateLimit | None)
    assert_type(raw.prompts.list(), APIResponse[Page[Prompt]])
    assert_type(raw.prompts.get_live("p"), APIResponse[LivePrompt])
    assert_type(raw.prompts.delete("p"), APIResponse[None])
    assert_type(raw.executions.stats(), APIResponse[Sequence[ExecutionStats]])


def any_endpoint() -> None:
    """`run` has the result type of its call."""
    assert_type(client.run(Call("GET", "/x", Prompt)), Prompt)
    assert_type(client.run(Call("GET", "/x", list[Prompt])), list[Prompt])
    assert_type(client.run(Call("GET", "/x", Page[Prompt])), Page[Prompt])
    assert_type(client.run_raw(Call("GET", "/x", Prompt)), APIResponse[Prompt])


def errors() -> None:
    """Errors have typed attributes."""
    try:
        results()
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
        assert_type(error.rate_limit, RateLimit | None)
    except APIStatusError as error:
        assert_type(error.details, tuple[FieldError, ...])
        assert_type(error.request_id, str | None)
        assert_type(error.code, str | None)
    except APIError as error:
        assert_type(error.attempts, tuple[Attempt, ...])


def mistakes() -> None:
    """Each of these lines is an error in all three checkers."""
    client.prompts.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.get(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.get(prompt_id="p")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.get("p", timeuot=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.get("p", timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.get_live("p", fallback=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.get_live("p", ttl="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.with_raw_response.prompts.get_live("p", ttl=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.get("p", idempotency_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.create(title="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.create("t", "c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.create(title="t", content="c", visibility="SECRET")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.update("p", title=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.list(lable="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.prompts.list(limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.prompts.get("p").titel  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    client.with_raw_response.prompts.get("p").title  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    client.with_options(retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.promts  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    Enprompta("ep_x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Enprompta(http_client=httpx.AsyncClient())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
