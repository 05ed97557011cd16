"""Provider for servers with OpenAI's `/v1/chat/completions`: Ollama, vLLM, llama.cpp and others.

The server is not trusted to be correct: every response, valid or not, becomes a result with an output or a readable
error.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from enprompta._common.redaction import Redactor
from enprompta.emulator.execution.providers import count_tokens
from enprompta.emulator.stores.executions import CompletionResult
from enprompta.emulator.wire import JSONObject, list_of, object_of
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.emulator.execution.providers import CompletionRequest

_MAX_TOKENS = 2**31 - 1  # more than any model uses; monthly sums still fit SQLite's integers
MASKED_LOGIN = "***"
_SHOWN = 300  # characters of an upstream's error message that an execution's `error` quotes
_MAX_ANSWER = 16 * 1024 * 1024  # bytes, decompressed
_MAX_ATTEMPTS = 5
_BUSY = frozenset({429, 503})
_SECONDS = re.compile(r"[0-9]{1,9}")
_OPTION_NAMES = {"temperature": "temperature", "maxTokens": "max_tokens", "topP": "top_p", "stopSequences": "stop"}


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


class Upstream:
    """An OpenAI-compatible server.

    Args:
        url: URL of the server, with or without `/v1`. A login in it is sent as basic authentication and never shown.
        key: Bearer token; None if the server needs none.
        timeout: Seconds that a prompt may take, including the waits between retries.

    Raises:
        ConfigurationError: The URL or the key cannot be used.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 120.0) -> None:
        self._base, login = split_login(url)
        self._headers = {"Accept": "application/json"}
        if login is not None:
            self._headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        elif key:
            if not key.isascii() or not key.isprintable():
                raise ConfigurationError("The upstream's key must be printable ASCII on one line")
            self._headers["Authorization"] = f"Bearer {key}"
        name, _, password = (login or "").partition(":")  # some servers use the API key as the user name
        sent = self._headers.get("Authorization", "").partition(" ")[2]
        self._mask = Redactor(secret for secret in (key, name, password, sent) if secret)
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._default_model: str | None = None

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt on the server."""
        started = time.monotonic()
        provider, model = completion.provider or "upstream", completion.model or self._default_model
        try:
            # A deadline for the whole call: httpx's timeout applies to each read, so a slow trickle never reaches it.
            model, reply = await asyncio.wait_for(self._ask(completion, model, started), self._timeout)
        except (httpx.HTTPError, httpx.InvalidURL, asyncio.TimeoutError, OSError, UpstreamError) as error:
            return CompletionResult(provider, model or "unknown", _since(started), error=self._complaint(error))
        tokens = reply.tokens
        if tokens is None:  # some servers report no tokens, or impossible numbers
            tokens = count_tokens(completion.prompt) + count_tokens(reply.output)
        return CompletionResult(provider, model, _since(started), reply.output, tokens)

    async def aclose(self) -> None:
        """Close the connections to the server."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, completion: CompletionRequest, model: str | None, started: float) -> tuple[str, Reply]:
        if model is None:
            model = self._default_model = first_model(await self._call("GET", "/models", started))
        options = {_OPTION_NAMES[name]: value for name, value in completion.options.items() if name in _OPTION_NAMES}
        message = {"role": "user", "content": completion.prompt}
        body = {"model": model, "messages": [message], **options}
        return model, read_completion(await self._call("POST", "/chat/completions", started, body))

    async def _call(self, method: str, path: str, started: float, body: dict[str, object] | None = None) -> object:
        """Send a request and return the parsed response; retry if the server is busy and sends `Retry-After`."""
        response, content = await self._send(method, path, body)
        attempt = 1
        while not response.is_success:
            complaint = f"it answered {response.status_code}: {self._shown(content)}"
            wait = _retry_after(response.headers.get("retry-after", "")) if response.status_code in _BUSY else None
            if wait is None or attempt == _MAX_ATTEMPTS:
                raise UpstreamError(complaint)
            if wait >= self._timeout - (time.monotonic() - started):
                raise UpstreamError(f"{complaint} (retry after {wait:g} s, longer than the execution may take)")
            await asyncio.sleep(wait)
            response, content = await self._send(method, path, body)
            attempt += 1
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "text/event-stream" or content.startswith(b"data:"):
            raise UpstreamError("it streamed its answer, though it was not asked to")
        try:
            return parse(content)
        except UpstreamError as error:
            raise UpstreamError(f"{error}: {self._shown(content)}") from error

    async def _send(self, method: str, path: str, body: dict[str, object] | None) -> tuple[httpx.Response, bytes]:
        if self._client is None:  # created on the loop that uses it, and without loading certificates for http
            verify = self._base.startswith("https:")
            self._client = httpx.AsyncClient(
                headers=self._headers, timeout=self._timeout, verify=verify, trust_env=False
            )
        content = bytearray()
        async with self._client.stream(method, self._base + path, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MAX_ANSWER:
                    raise UpstreamError(f"its answer is larger than {_MAX_ANSWER} bytes")
        return response, bytes(content)

    def _shown(self, content: bytes) -> str:
        """Return the start of a response, with secrets redacted: some servers quote the key that they refuse."""
        return self._mask.text(content[: 4 * _SHOWN].decode("utf-8", "replace"))[:_SHOWN]

    def _complaint(self, error: Exception) -> str:
        if isinstance(error, (asyncio.TimeoutError, httpx.TimeoutException)):
            return f"The upstream {self._base} did not answer within {self._timeout:g} seconds"
        reason = as_text(self._mask.text(str(error) or type(error).__name__))
        return f"The upstream {self._base} failed: {reason}"


def split_login(url: str) -> tuple[str, str | None]:
    """Split an upstream's URL into the base URL, without login and ending in `/v1`, and the login; None without one.

    Raises:
        ConfigurationError: It is not an http or https URL; the message never shows the login.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 0) >= 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):  # such as a port that is not a number, or an unclosed bracket
        usable = False
        parts = None
    if parts is None or not usable:
        shown = re.sub(r"(?s)^(\w+://)?.*@", rf"\1{MASKED_LOGIN}@", url)
        raise ConfigurationError(f"The upstream must be an http:// or https:// URL, not {shown!r}")
    userinfo, at, host = parts.netloc.rpartition("@")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    base = urlunsplit((parts.scheme, host, f"{path}/v1", "", ""))
    name, _, password = userinfo.partition(":")
    return base, f"{unquote(name)}:{unquote(password)}" if at else None


def shown_url(url: str) -> str:
    """Return an upstream's URL for display, with the login redacted."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{MASKED_LOGIN}@{host}" if at else host, query="", fragment=""))


def _retry_after(text: str) -> float | None:
    """Parse `Retry-After`, seconds or a date, as seconds from now; None if it is neither."""
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() - time.time())


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
