"""Options of the MCP server."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

Permission = Literal["execute", "write"]
"""`execute` lets clients execute prompts, which costs credits; `write` lets them create and update prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Offers and limits of an MCP server.

    Raises:
        ConfigurationError: A permission is unknown or a number is out of range.
    """

    allow: Collection[Permission] = ()
    """Permissions beyond reading."""
    label: str | None = None
    """Serve the live version under this label, such as `production`; None serves the newest version."""
    category: str | None = None
    """Offer only prompts of this category; None offers all."""
    team_id: str | None = None
    """Offer only prompts of this team; None offers all."""
    max_executions: int = 20
    """Executions that clients may start in the lifetime of the server, all clients together."""
    max_usd: float | None = None
    """USD after which no further execution starts; None means no limit. Executions then run one at a time."""
    max_writes: int = 20
    """Prompts that clients may create or update in the lifetime of the server, all clients together."""
    poll_interval: float = 60.0
    """Seconds between two looks at the prompt list while a client listens for changes."""
    max_chars: int = 20_000
    """Characters of text in a tool result; longer texts are cut, and clients read on with `offset`."""
    max_prompts: int = 1000
    """Prompts that are offered, at one request per 100; the API's order decides which."""

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigurationError: A permission is unknown or a number is out of range.
        """
        unknown = sorted(set(self.allow) - set(get_args(Permission)))
        if unknown:
            raise ConfigurationError(f"allow takes execute and write, not {', '.join(map(repr, unknown))}")
        for name, least in (("max_executions", 0), ("max_writes", 0), ("max_chars", 100), ("max_prompts", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not (math.isfinite(self.poll_interval) and self.poll_interval > 0):
            raise ConfigurationError(f"poll_interval must be a positive number of seconds, not {self.poll_interval}")
        if self.max_usd is not None and not (math.isfinite(self.max_usd) and self.max_usd >= 0):
            raise ConfigurationError(f"max_usd must be a number of USD, not {self.max_usd}")
