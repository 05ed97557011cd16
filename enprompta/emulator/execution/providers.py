"""Providers that run a rendered prompt: an echo, an OpenAI-compatible server (`upstream`), or `local_model`.

The echo returns the prompt itself, with predictable numbers:

- tokens: the number of characters divided by 4, rounded up, for the prompt and for the answer;
- latency: 10 ms plus 1 ms per token, reported but not waited for.

The cost is the same for all providers: 0.00005 per token, as in the reference's example (568 tokens, 0.0284).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from enprompta.emulator.errors import invalid
from enprompta.emulator.stores.executions import CompletionResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHARACTERS_PER_TOKEN = 4
_ECHO_LATENCY = 10
_ECHO = "echo"
_SLOW = "slow"
_SLOW_SECONDS = 30.0

MODELS: Mapping[str, Sequence[str]] = {
    "openai": ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*"),
    "anthropic": ("claude-*",),
    "google": ("gemini-*",),
}
"""Models that a strict emulator knows, by provider; `*` matches anything, because new models appear often."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A rendered prompt to run on a model."""

    prompt: str
    provider: str | None
    model: str | None
    options: Mapping[str, object]
    """Model options by the API's names, such as `maxTokens`."""


class Provider(Protocol):
    """A provider that runs prompts."""

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt; a failure is a result with an error, never an exception."""
        ...

    async def aclose(self) -> None:
        """Release the provider's resources."""
        ...


class Echo:
    """A provider that returns the prompt."""

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Return the prompt as the output, for any provider and model; the model `echo`/`slow` takes 30 seconds."""
        tokens = 2 * count_tokens(completion.prompt)
        is_slow = completion.provider == _ECHO and completion.model == _SLOW
        if is_slow:  # to try what happens while a prompt or a workflow runs
            await asyncio.sleep(_SLOW_SECONDS)
        return CompletionResult(
            provider=completion.provider or _ECHO,
            model=completion.model or "echo-1",
            latency=_ECHO_LATENCY + tokens + (int(_SLOW_SECONDS * 1000) if is_slow else 0),
            output=completion.prompt,
            tokens=tokens,
        )

    async def aclose(self) -> None:
        """Do nothing: the echo has no resources."""


class Providers:
    """Chooses the provider: the configured model if there is one, else the echo; `echo` always selects the echo.

    Args:
        model: The configured model; None to echo all prompts.
        known: Providers and models that the echo accepts, as in `MODELS`; None to accept any. A configured model checks
            names itself.
    """

    def __init__(self, model: Provider | None, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self._echo = Echo()
        self._model = model
        self._known = known

    def check(self, provider: str | None, model: str | None) -> None:
        """Raise a 400 for an unknown provider or model if the emulator is strict."""
        if self._known is None or self._model is not None or provider == _ECHO:
            return
        if provider is not None and provider not in self._known:
            raise invalid([{"field": "provider", "message": self._unknown("provider", provider, list(self._known))}])
        patterns = [it for name, models in self._known.items() if provider in {None, name} for it in models]
        if model is not None and not any(fnmatchcase(model, pattern) for pattern in patterns):
            raise invalid([{"field": "model", "message": self._unknown("model", model, patterns)}])

    @staticmethod
    def _unknown(kind: str, name: str, known: list[str]) -> str:
        return (
            f"Unknown {kind} {name!r}; known: {', '.join(known)}. "
            "The emulator is strict: add one with its argument `models`, or accept any with strict_models=False"
        )

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt with the provider chosen for it."""
        provider: Provider = self._echo
        if self._model is not None and completion.provider != _ECHO:
            provider = self._model
        return await provider.complete(completion)

    async def aclose(self) -> None:
        """Release the resources of the providers."""
        if self._model is not None:
            await self._model.aclose()


def count_tokens(text: str) -> int:
    """Count tokens as the echo does: 4 characters each, rounded up."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
