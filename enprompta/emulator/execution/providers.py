"""What runs a rendered prompt: an echo, any OpenAI-compatible server, or a small model (see `local_model`).

The echo answers with the prompt itself, and everything about its answer can be foretold:

- tokens: one for every 4 characters begun, of the prompt and of the answer;
- latency: 10 ms and 1 ms a token, which is told and not waited for;
- cost, of every provider: 0.00005 a token, the rate of the reference's own example (568 tokens, 0.0284).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from enprompta.emulator.errors import invalid
from enprompta.emulator.execution.completion import CompletionResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.emulator.execution.completion import CompletionRequest

_CHARACTERS_PER_TOKEN = 4
_ECHO_LATENCY = 10
_ECHO = "echo"

MODELS: Mapping[str, Sequence[str]] = {
    "openai": ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*"),
    "anthropic": ("claude-*",),
    "google": ("gemini-*",),
}
"""The models that a strict emulator knows, by provider; `*` stands for anything, because new ones come often."""


class Provider(Protocol):
    """Runs prompts."""

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt; a failure is an outcome, never an exception."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...


class Echo:
    """Answers with the prompt."""

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Give the prompt back as asked for, whatever the provider and model it was asked of."""
        tokens = 2 * count_tokens(completion.prompt)
        return CompletionResult(
            provider=completion.provider or _ECHO,
            model=completion.model or "echo-1",
            latency=_ECHO_LATENCY + tokens,
            output=completion.prompt,
            tokens=tokens,
        )

    async def aclose(self) -> None:
        """Let go of nothing."""


class Providers:
    """Chooses who runs a prompt: a real model when there is one, the echo for the provider `echo` and without one.

    Args:
        model: A real model; None to echo whatever the provider asked for.
        known: The providers and models that the echo accepts, as in `MODELS`; None to accept any. A real model knows
            by itself what it has.
    """

    def __init__(self, model: Provider | None, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self._echo = Echo()
        self._model = model
        self._known = known

    def check(self, provider: str | None, model: str | None) -> None:
        """Raise the 400 for a provider or a model that this emulator does not know, if it is strict."""
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
            "The emulator is strict: its argument `models` adds one, and strict_models=False accepts any"
        )

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt where it is to be run."""
        provider: Provider = self._echo
        if self._model is not None and completion.provider != _ECHO:
            provider = self._model
        return await provider.complete(completion)

    async def aclose(self) -> None:
        """Let go of what the providers hold."""
        if self._model is not None:
            await self._model.aclose()


def count_tokens(text: str) -> int:
    """Count tokens by the rule of the echo."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
