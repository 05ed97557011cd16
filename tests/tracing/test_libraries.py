"""Calls through the real packages of OpenAI, Anthropic and LangChain carry the prompt version they used."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.errors import ConfigurationError
from enprompta.models import LivePrompt
from enprompta.tracing import Tracing
from tests.tracing.models import ModelServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta import Enprompta
    from tests.tracing.receiver import Receiver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.step("tracing"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the instrumentors need Python 3.11"),
]

LIVE = LivePrompt.model_validate(
    {"id": "pmt_1", "slug": "greet", "label": "production", "version": {"number": 7}, "content": "Greet {{name}}."}
)


@pytest.fixture
def models() -> Iterator[ModelServer]:
    """A server of models."""
    with ModelServer() as server:
        yield server


def openai(models: ModelServer, text: str) -> None:
    """A call of each kind, blocking."""
    import openai

    with openai.OpenAI(api_key="k", base_url=f"{models.url}/v1", max_retries=0) as client:
        messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
        client.chat.completions.create(model="small", messages=messages)
        for _ in client.chat.completions.create(model="small", messages=messages, stream=True):
            pass


def openai_in_tasks(models: ModelServer, text: str) -> None:
    """Calls in tasks, one of them a stream."""
    import openai

    async def scenario() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{models.url}/v1", max_retries=0) as client:

            async def one(*, stream: bool) -> None:
                messages: Any = [{"role": "user", "content": text}]
                got: Any = await client.chat.completions.create(model="small", messages=messages, stream=stream)
                if stream:
                    async for _ in got:
                        pass

            await asyncio.gather(one(stream=False), one(stream=True), one(stream=False))

    asyncio.run(scenario())


def openai_in_a_thread(models: ModelServer, text: str) -> None:
    """A call in a thread."""
    thread = threading.Thread(target=openai, args=(models, text))
    thread.start()
    thread.join()


def anthropic(models: ModelServer, text: str) -> None:
    """A call, a system prompt and a stream."""
    import anthropic

    with anthropic.Anthropic(api_key="k", base_url=models.url, max_retries=0) as client:
        message: Any = {"role": "user", "content": text}
        client.messages.create(model="claude", max_tokens=9, messages=[message])
        client.messages.create(model="claude", max_tokens=9, system=text, messages=[{"role": "user", "content": "Hi."}])
        with client.messages.stream(model="claude", max_tokens=9, messages=[message]) as stream:
            for _ in stream.text_stream:
                pass


def langchain(models: ModelServer, text: str) -> None:
    """A call, a stream and an async call."""
    from langchain_core.messages import SystemMessage
    from langchain_openai import ChatOpenAI

    made: Any = {"model": "small", "api_key": "k", "base_url": f"{models.url}/v1", "max_retries": 0}
    chat = ChatOpenAI(**made)
    chat.invoke([SystemMessage(text), ("user", "Hi.")])
    for _ in chat.stream(text):
        pass
    asyncio.run(_ainvoke(chat, text))


async def _ainvoke(chat: Any, text: str) -> None:
    await chat.ainvoke(text)


CASES: list[tuple[str, Callable[[ModelServer, str], None], int]] = [
    ("openai", openai, 2),
    ("openai", openai_in_tasks, 3),
    ("openai", openai_in_a_thread, 2),
    ("anthropic", anthropic, 3),
    ("langchain", langchain, 3),
]


@pytest.mark.filterwarnings("ignore")  # of the libraries
@pytest.mark.parametrize("capture", ["all", "none"])
@pytest.mark.parametrize(("library", "program", "count"), CASES, ids=[case[1].__name__ for case in CASES])
def test_calls_are_linked(  # noqa: PLR0917 (parameters and fixtures)
    library: str, program: Any, count: int, capture: Any, models: ModelServer, client: Enprompta, receiver: Receiver
) -> None:
    """With no further line in the program, each model call has the prompt's name, version, label and id."""
    with Tracing(client, interval=60, capture=capture) as tracing:
        tracing.instrument(library)
        tracing.instrument(library)  # again does nothing
        program(models, LIVE.render(name="Ada"))
        assert tracing.flush()
        with pytest.raises(ConfigurationError, match="instrumented already"), Tracing(client) as second:
            second.instrument(library)
    linked = [span.attributes for span in receiver.spans if "enprompta.prompt.id" in span.attributes]
    assert len(linked) == len(receiver.spans) == count
    for attributes in linked:
        assert attributes["gen_ai.prompt.name"] == "greet"
        assert attributes["gen_ai.prompt.version"] == "7"
        assert attributes["enprompta.prompt.id"] == "pmt_1"
        assert attributes["enprompta.prompt.label"] == "production"
        assert attributes["output.value"]
    if capture == "none":
        assert not [span.text for span in receiver.spans if "Greet" in span.text or "fine" in span.text]


@pytest.mark.filterwarnings("ignore")
def test_tool_calls_and_empty_answers(models: ModelServer, client: Enprompta, receiver: Receiver) -> None:
    """Turns without a text have an output all the same."""
    with Tracing(client, interval=60) as tracing:
        tracing.instrument("openai")
        for answer in (None, ""):
            models.answer = answer
            openai(models, "Hi.")
        models.answer = "fine, thanks"
        assert tracing.flush()
    outputs = [span.attributes["output.value"] for span in receiver.spans]
    assert len(outputs) == 4
    assert all(outputs)
    assert all("look_up" in output for output in outputs[:2])


def test_an_instrumentor_that_refuses(client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrumentor that cannot work with the installed library is an error with its reason."""
    from openinference.instrumentation.openai import OpenAIInstrumentor

    monkeypatch.setattr(OpenAIInstrumentor, "instrumentation_dependencies", lambda self: ["openai > 999"])
    with Tracing(client) as tracing, pytest.raises(ConfigurationError, match="999"):
        tracing.instrument("openai")
