"""A completion: the request to a model, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_COST_PER_TOKEN = 0.00005


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A rendered prompt to run on a model."""

    prompt: str
    provider: str | None
    model: str | None
    options: Mapping[str, object]
    """Model options by the API's names, such as `maxTokens`."""


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """The result of a completion: an output or an error."""

    provider: str
    model: str
    latency: int
    """Milliseconds."""
    output: str | None = None
    """Text of the answer; None if the completion failed."""
    tokens: int = 0
    error: str | None = None
    """Reason of the failure; None if the completion succeeded."""

    @property
    def cost(self) -> float:
        """Cost in the currency of the plan."""
        return round(self.tokens * _COST_PER_TOKEN, 6)
