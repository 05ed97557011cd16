"""A prompt to run on a model, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_COST_PER_TOKEN = 0.00005


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A prompt to run."""

    prompt: str
    provider: str | None
    model: str | None
    options: Mapping[str, object]
    """By their names on Enprompta's wire."""


@dataclass(frozen=True, slots=True)
class CompletionResult:
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
