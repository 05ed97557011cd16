"""Static types of the async client. Never run: checked by pyright, mypy and pyrefly, all strict.

Lines that must be errors are marked for pyright and mypy, which report unused marks; pyrefly ignores the marks and must
report the same lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
from typing_extensions import assert_type

from enprompta import APIResponse, AsyncEnprompta, AsyncPage, AsyncPager, Call, RateLimit
from enprompta.models import Execution, ExecutionStats, LivePrompt, Prompt, Template, TemplateFork

client = AsyncEnprompta(api_key="ep_x", http_client=httpx.AsyncClient())
assert_type(client.with_options(max_retries=0), AsyncEnprompta)
assert_type(client.rate_limit, RateLimit | None)


async def later(slug: str) -> str:
    """Return a fallback that must be awaited."""
    return slug


async def results() -> None:
    """Each method returns its model when awaited."""
    async with client as entered:
        assert_type(entered, AsyncEnprompta)
    assert_type(await client.prompts.get("p"), Prompt)
    assert_type(await client.prompts.create(title="t", content="c"), Prompt)
    assert_type(await client.prompts.update("p", description=None), Prompt)
    await client.prompts.delete("p")
    assert_type(await client.prompts.execute("p", variables={"x": 1}, idempotency_key="k"), Execution)
    assert_type(await client.prompts.get_live("hi", ttl=0, fallback=later), LivePrompt)
    assert_type(await client.prompts.preload(["hi"]), list[LivePrompt])
    assert_type(await client.executions.stats(), Sequence[ExecutionStats])
    assert_type(await client.templates.get("t"), Template)
    assert_type(await client.templates.fork("t"), TemplateFork)
    await client.aclose()


async def listings() -> None:
    """A listing can be awaited for a page, or iterated for items."""
    pager = client.prompts.list(limit=5)
    assert_type(pager, AsyncPager[Prompt])
    page = await pager
    assert_type(page, AsyncPage[Prompt])
    assert_type(page.data, list[Prompt])
    assert_type(await page.next_page(), AsyncPage[Prompt])
    assert_type(page.pages(), AsyncIterator[AsyncPage[Prompt]])
    assert_type(pager.pages(), AsyncIterator[AsyncPage[Prompt]])
    async for prompt in client.prompts.list():
        assert_type(prompt, Prompt)
    async for prompt in page:
        assert_type(prompt, Prompt)
    assert_type([one.id async for one in client.executions.list()], list[str])


async def raw_responses() -> None:
    """The same methods return an `APIResponse` of their result."""
    raw = client.with_raw_response
    response = await raw.prompts.get("p")
    assert_type(response, APIResponse[Prompt])
    assert_type(response.data, Prompt)
    assert_type(await raw.prompts.list(), APIResponse[AsyncPage[Prompt]])
    assert_type(await raw.prompts.delete("p"), APIResponse[None])


async def any_endpoint() -> None:
    """`run` has the result type of its call."""
    assert_type(await client.run(Call("GET", "/x", Prompt)), Prompt)
    assert_type(await client.run(Call("GET", "/x", list[Prompt])), list[Prompt])
    assert_type(await client.run_raw(Call("GET", "/x", Prompt)), APIResponse[Prompt])


async def forgotten() -> None:
    """Every forgotten `await` is an error in all three checkers."""
    client.prompts.get("p")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    client.prompts.delete("p")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    client.prompts.get("p").title  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    client.prompts.list().data  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018
    one: Prompt = client.prompts.get("p")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    many: AsyncPage[Prompt] = client.prompts.list()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del one, many
    for prompt in client.prompts.list():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        del prompt
    with client:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    client.aclose()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def mistakes() -> None:
    """Each of these lines is an error in all three checkers."""
    await client.prompts.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.prompts.get("p", timeuot=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.prompts.create(title="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.prompts.list(lable="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncEnprompta(http_client=httpx.Client())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
