"""What runs a rendered prompt: an echo, any OpenAI-compatible server, or a small model (see `local_model`).

The echo answers with the prompt itself, and everything about its answer can be foretold:

- tokens: one for every 4 characters begun, of the prompt and of the answer;
- latency: 10 ms and 1 ms a token, which is told and not waited for;
- cost, of every provider: 0.00005 a token, the rate of the reference's own example (568 tokens, 0.0284).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import httpx

from enprompta._common.redaction import Mask
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHARACTERS_PER_TOKEN = 4
_COST_PER_TOKEN = 0.00005
_ECHO_LATENCY = 10
_SHOWN = 300  # characters of an upstream's complaint that an execution's `error` quotes
_OPTION_NAMES = {"temperature": "temperature", "maxTokens": "max_tokens", "topP": "top_p", "stopSequences": "stop"}


@dataclass(frozen=True, slots=True)
class Completion:
    """A prompt to run."""

    prompt: str
    provider: str | None
    model: str | None
    options: Mapping[str, object]
    """By their names on Enprompta's wire."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a prompt ran."""

    provider: str
    model: str
    latency: int
    """Milliseconds."""
    output: str | None = None
    """The answer; None when it failed."""
    tokens: int = 0
    error: str | None = None
    """Why it failed; None when it completed."""

    @property
    def cost(self) -> float:
        """The price, in the currency of the plan."""
        return round(self.tokens * _COST_PER_TOKEN, 6)


class Provider(Protocol):
    """Runs prompts."""

    async def complete(self, completion: Completion) -> Outcome:
        """Run a prompt; a failure is an outcome, never an exception."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...


class Echo:
    """Answers with the prompt."""

    async def complete(self, completion: Completion) -> Outcome:
        """Give the prompt back as asked for, whatever the provider and model it was asked of."""
        tokens = 2 * count_tokens(completion.prompt)
        return Outcome(
            provider=completion.provider or "echo",
            model=completion.model or "echo-1",
            latency=_ECHO_LATENCY + tokens,
            output=completion.prompt,
            tokens=tokens,
        )

    async def aclose(self) -> None:
        """Let go of nothing."""


class Upstream:
    """Runs prompts on a server that has OpenAI's `/v1/chat/completions`: Ollama, vLLM, llama.cpp and others.

    Args:
        url: The server, with or without its `/v1`.
        key: Its bearer token; None when it asks for none.
        timeout: Seconds a prompt may take.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 120.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"The upstream must be an http:// or https:// URL, not {url!r}")
        base = url.rstrip("/").removesuffix("/chat/completions")
        self._base = base if base.endswith("/v1") else f"{base}/v1"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._mask = Mask(secret for secret in (key, parts.password) if secret)
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None
        self._default_model: str | None = None

    async def complete(self, completion: Completion) -> Outcome:
        """Ask the server, which runs beside the emulator's other work."""
        started = time.monotonic()
        provider, model = completion.provider or "upstream", completion.model or self._default_model
        try:
            # A limit of our own: httpx's is for each read, and a server that drips would never meet it.
            model, output, tokens = await asyncio.wait_for(self._ask(completion, model), self._timeout)
        except (httpx.HTTPError, httpx.InvalidURL, asyncio.TimeoutError, UpstreamError) as error:
            return Outcome(provider, model or "unknown", _since(started), error=self._complaint(error))
        return Outcome(provider, model, _since(started), output, tokens)

    async def aclose(self) -> None:
        """Close the connections to the server."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, completion: Completion, model: str | None) -> tuple[str, str, int]:
        model = model or await self._first_model()
        options = {_OPTION_NAMES[name]: value for name, value in completion.options.items() if name in _OPTION_NAMES}
        message = {"role": "user", "content": completion.prompt}
        answer = await self._call("POST", "/chat/completions", {"model": model, "messages": [message], **options})
        try:
            output = answer["choices"][0]["message"]["content"]
            tokens = answer["usage"]["total_tokens"] if answer.get("usage") else None
        except (KeyError, IndexError, TypeError, AttributeError):
            output = tokens = None
        if not isinstance(output, str):
            raise UpstreamError("it answered with something other than a chat completion")
        if not isinstance(tokens, int):  # not every server counts
            tokens = count_tokens(completion.prompt) + count_tokens(output)
        return model, output, tokens

    async def _first_model(self) -> str:
        answer = await self._call("GET", "/models")
        try:
            model = answer["data"][0]["id"]
        except (KeyError, IndexError, TypeError):
            model = None
        if not isinstance(model, str):
            raise UpstreamError("it lists no model; name one with `model`")
        self._default_model = model
        return model

    async def _call(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:  # noqa: ANN401 (foreign)
        if self._client is None:  # made on the loop that it is used on, and for http without loading certificates
            verify = self._base.startswith("https:")
            self._client = httpx.AsyncClient(
                headers=self._headers, timeout=self._timeout, verify=verify, trust_env=False
            )
        response = await self._client.request(method, self._base + path, json=body)
        if not response.is_success:
            raise UpstreamError(f"it answered {response.status_code}: {self._shown(response)}")
        try:
            return cast("object", json.loads(response.content))
        except ValueError as error:
            raise UpstreamError(f"its answer is not JSON: {self._shown(response)}") from error

    def _shown(self, response: httpx.Response) -> str:
        """Give the beginning of an answer, without the key: some servers quote the one that they refuse."""
        return self._mask.text(response.text)[:_SHOWN]

    def _complaint(self, error: Exception) -> str:
        base = self._mask.text(self._base)
        if isinstance(error, (asyncio.TimeoutError, httpx.TimeoutException)):
            return f"The upstream {base} did not answer within {self._timeout:g} seconds"
        return f"The upstream {base} failed: {str(error) or type(error).__name__}"


class UpstreamError(Exception):
    """The upstream answered, and not with a completion."""


class Providers:
    """Chooses who runs a prompt: a real model when there is one, the echo for the provider `echo` and without one.

    Args:
        model: A real model; None to echo whatever the provider asked for.
    """

    def __init__(self, model: Provider | None) -> None:
        self._echo = Echo()
        self._model = model

    async def complete(self, completion: Completion) -> Outcome:
        """Run a prompt where it is to be run."""
        provider: Provider = self._echo
        if self._model is not None and completion.provider != "echo":
            provider = self._model
        return await provider.complete(completion)

    async def aclose(self) -> None:
        """Let go of what the providers hold."""
        if self._model is not None:
            await self._model.aclose()


def count_tokens(text: str) -> int:
    """Count tokens by the rule of the echo."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
