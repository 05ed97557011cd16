"""Static types of typed outputs, rollouts and provider messages. Never run: checked by pyright, mypy and pyrefly.

The messages are passed to the real packages of the providers, whose parameters decide what fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import anthropic
import openai
from anthropic.types import MessageParam
from langchain_core.prompts import ChatPromptTemplate
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict, assert_type

from enprompta import APIResponse, AsyncEnprompta, Enprompta, Split
from enprompta.batch import AsyncBatchRun, BatchResult, BatchRun
from enprompta.codegen import PromptCall, TypedPromptCall  # noqa: TC001 (as a user imports them)
from enprompta.models import (
    AnthropicMessages,
    ContentPart,
    Execution,
    LiveMessage,
    LivePrompt,
    MessagePlaceholder,
    Prompt,
    Template,
    TypedExecution,
)
from enprompta.outputs import parse_output
from enprompta.templating import TemplateProblem, problems

client = Enprompta()
aclient = AsyncEnprompta()


class Answer(BaseModel):
    """A model."""

    value: int


class Row(TypedDict):
    """A typed dict."""

    value: int


@dataclass
class Point:
    """A dataclass."""

    value: int


def outputs(live: LivePrompt) -> None:
    """The type of `parsed` is that of `output`."""
    done = client.prompts.execute("p", variables={"a": 1}, output=Answer, repair=1, expect_version=3, temperature=0)
    assert_type(done, TypedExecution[Answer])
    assert_type(done.parsed, Answer)
    assert_type(done.executions, tuple[Execution, ...])
    assert_type(done.total_cost, float | None)
    assert_type(client.prompts.execute("p", output=Row).parsed, Row)
    assert_type(client.prompts.execute("p", output=Point).parsed, Point)
    assert_type(client.prompts.execute("p", output=list[Answer]).parsed, list[Answer])
    adapter: TypeAdapter[int | str] = TypeAdapter(int | str)
    assert_type(client.prompts.execute("p", output=adapter).parsed, int | str)
    assert_type(client.prompts.execute("p", output=None), Execution)
    assert_type(client.prompts.execute("p"), Execution)
    assert_type(client.with_raw_response.prompts.execute("p", output=Answer), APIResponse[TypedExecution[Answer]])
    assert_type(client.with_raw_response.prompts.execute("p"), APIResponse[Execution])
    assert_type(parse_output("{}", list[Answer]), list[Answer])
    if live.version is not None:
        client.prompts.execute(live.id, expect_version=live.version)
    client.prompts.execute("p", expect_version=live.version)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.prompts.execute("p", output=Answer(value=1))  # type: ignore[call-overload] # pyright: ignore[reportArgumentType, reportCallIssue]
    client.prompts.execute("p", temprature=1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]


async def awaited() -> None:
    """The async client returns the same when awaited."""
    assert_type(await aclient.prompts.execute("p", output=Answer), TypedExecution[Answer])
    assert_type(await aclient.prompts.execute("p", expect_version="v3"), Execution)
    raw = await aclient.with_raw_response.prompts.execute("p", output=list[Row])
    assert_type(raw.data.parsed, list[Row])
    run = aclient.prompts.execute_many("p", [{"a": 1}], output=Answer, repair=1)
    assert_type(run, AsyncBatchRun[dict[str, int], TypedExecution[Answer]])
    async for result in run:
        assert_type(result, BatchResult[dict[str, int], TypedExecution[Answer]])
    live = await aclient.prompts.get_live("s", label=Split({"production": 9, "canary": 1}, unit="u"))
    assert_type(live, LivePrompt)


def rows() -> None:
    """A row's execution has the type of its output."""
    run = client.prompts.execute_many("p", [{"a": 1}], output=Answer, expect_version=3)
    assert_type(run, BatchRun[dict[str, int], TypedExecution[Answer]])
    for result in run:
        assert_type(result.execution, TypedExecution[Answer] | None)
    assert_type(client.prompts.execute_many("p", [1]), BatchRun[int])


def generated(call: TypedPromptCall[Answer], plain: PromptCall) -> None:
    """A generated function returns its model."""
    assert_type(call.execute(client, expect_version=call.version or 1, repair=1).parsed, Answer)
    assert_type(plain.execute(client), Execution)


def rollouts(user: int) -> None:
    """A label or a split of labels."""
    assert_type(client.prompts.get_live("s", label=Split({"a": 1}, unit=user, salt="x")), LivePrompt)
    client.prompts.get_live("s", label=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    Split({"a": 1})  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def providers(live: LivePrompt, prompt: Prompt, template: Template) -> None:
    """Messages fit the parameters of the real packages."""
    assert_type(live.to_openai(topic="t"), list[ChatCompletionMessageParam])
    openai.OpenAI().chat.completions.create(model="m", messages=live.to_openai({"first-name": "a"}, topic="t"))
    assert_type(live.to_anthropic(), AnthropicMessages)
    assert_type(live.to_anthropic()["messages"], list[MessageParam])
    anthropic.Anthropic().messages.create(model="m", max_tokens=9, **live.to_anthropic(topic="t"))
    ChatPromptTemplate.from_messages(live.to_langchain())
    ChatPromptTemplate.from_messages([*prompt.to_langchain(), ("human", "more")])
    assert_type(template.to_openai(), list[ChatCompletionMessageParam])


def messages(live: LivePrompt) -> None:
    """Parts and placeholders are typed."""
    for message in live.messages or []:
        assert_type(message, LiveMessage)
        assert_type(message.content, str | list[ContentPart])
        if isinstance(message, MessagePlaceholder):
            assert_type(message.name, str)
    assert_type(live.render(history=[{"role": "user", "content": "hi"}]), str | list[LiveMessage])


def templates() -> None:
    """Problems are values."""
    assert_type(problems("{{a b}}", [{"name": "a"}]), list[TemplateProblem])
