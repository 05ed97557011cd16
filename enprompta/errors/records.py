"""The small records that errors carry, loaded on first use: creating their classes takes more than a millisecond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The rate limit that the API last reported (reference: "Rate Limits")."""

    limit: int
    """Requests allowed per window."""
    remaining: int
    """Requests left in the window."""
    reset_at: datetime
    """When the window ends, in UTC, by the server's clock."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of an error's `details` (reference: "Error Response Format")."""

    field: str | None
    """The invalid parameter; None if the API does not name one."""
    message: str
    """The problem with it."""


@dataclass(unsafe_hash=True)  # never changed; not frozen, which would take three times as long to create
class Attempt:
    """One attempt of a call, with its result and duration."""

    number: int
    """The number of the attempt, starting at 1."""
    duration: float
    """Seconds from sending the request to the end of the response or the failure."""
    status_code: int | None = None
    """The response's status code; None if there was no response."""
    error: str | None = None
    """A description of the failure; None if there was a response."""
    wait: float = 0.0
    """Seconds waited after this attempt, before the next one."""
    request_id: str | None = None
    """The server's id of the request; None if it sent none."""
