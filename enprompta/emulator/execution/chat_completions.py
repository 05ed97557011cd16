"""Parsing of chat completions from OpenAI-compatible servers, including invalid ones; no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass

from enprompta.emulator.wire import JSONObject, list_of, object_of

_MAX_TOKENS = 2**31 - 1  # more than any model uses; monthly sums still fit SQLite's integers
_SHOWN = 300


class UpstreamError(Exception):
    """The upstream's response is not a completion; the message completes "The upstream failed: it …"."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The text and token count of a completion."""

    output: str
    tokens: int | None
    """Input and output tokens; None if the server reports none, or an impossible number."""


def parse(content: bytes) -> object:
    """Parse JSON.

    Raises:
        UpstreamError: The content is not JSON, or is nested too deeply.
    """
    try:
        value: object = json.loads(content)
    except RecursionError as error:
        raise UpstreamError("its answer is nested too deeply") from error
    except ValueError as error:
        raise UpstreamError("its answer is not JSON") from error
    return value


def first_model(answer: object) -> str:
    """Return the first model of a list of models.

    Raises:
        UpstreamError: The list has no model.
    """
    models = list_of(object_of(answer).get("data"))
    model = object_of(models[0]).get("id") if models else None
    if not isinstance(model, str) or not model:
        raise UpstreamError("it lists no model; name one with `model`")
    return as_text(model)


def read_completion(answer: object) -> Reply:
    """Return the text of the first choice and the token count.

    Raises:
        UpstreamError: The response has no text: it is an error, a refusal, a tool call, filtered, or not a completion.
    """
    fields = object_of(answer)
    choices = list_of(fields.get("choices"))
    if not choices:
        if fields.get("error"):
            raise UpstreamError(f"it reported an error: {_message_of(fields['error'])}")
        raise UpstreamError("it answered with something other than a chat completion")
    choice = object_of(choices[0])
    if choice.get("error"):
        raise UpstreamError(f"it reported an error: {_message_of(choice['error'])}")
    message = object_of(choice.get("message"))
    if not message:
        raise UpstreamError("it answered with something other than a chat completion")
    return Reply(_text_of(message, choice.get("finish_reason")), _tokens_of(object_of(fields.get("usage"))))


def as_text(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text_of(message: JSONObject, finish_reason: object) -> str:
    parts = [object_of(part) for part in list_of(message.get("content"))]
    refusals = [message.get("refusal"), *(part.get("refusal") for part in parts)]
    if refusal := " ".join(each for each in refusals if isinstance(each, str) and each):
        raise UpstreamError(f"the model refused: {_shown(refusal)}")
    if finish_reason == "content_filter":
        raise UpstreamError("a content filter withheld the model's answer")
    text = _joined(message.get("content"))
    if text:
        return as_text(text)
    if calls := _called(message):
        raise UpstreamError(f"the model called {calls} instead of answering, and prompts have no tools")
    if finish_reason == "error":
        raise UpstreamError("it ended the answer with an error and gave no reason")
    if finish_reason == "length":
        raise UpstreamError("the model reached its limit of tokens before it wrote any text")
    if text is None:
        raise UpstreamError("it answered with something other than a chat completion: its message has no text")
    return text


def _joined(content: object) -> str | None:
    """Return the content as one string, joining its text parts; None if it has no text."""
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else object_of(part).get("text") for part in list_of(content)]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def _called(message: JSONObject) -> str:
    """Name the tools that a message calls; an empty string if it calls none."""
    calls = [object_of(call) for call in list_of(message.get("tool_calls"))]
    functions = [call.get("function") or call.get("custom") for call in calls]
    functions += [message["function_call"]] if message.get("function_call") else []
    names = [object_of(function).get("name") for function in functions]
    return ", ".join(f"the tool {_shown(str(name))!r}" if name else "a tool" for name in names)


def _tokens_of(usage: JSONObject) -> int | None:
    total = _count(usage.get("total_tokens"))
    if total is not None:
        return total
    both = [_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))]
    known = [count for count in both if count is not None]
    return _count(sum(known)) if len(known) == len(both) else None


def _count(value: object) -> int | None:
    """Return a number of tokens; None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_TOKENS:
        return None
    return int(value) if value == int(value) else None


def _message_of(error: object) -> str:
    """Return the message of an error object, or the whole object as JSON."""
    message = object_of(error).get("message") or error
    return _shown(message if isinstance(message, str) else json.dumps(message))


def _shown(text: str) -> str:
    return as_text(text)[:_SHOWN]
