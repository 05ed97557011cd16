"""The result of a call with its HTTP response, as returned by `with_raw_response`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.errors import Attempt, RateLimit

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class APIResponse(Generic[T_co]):
    """Result of a call with status, headers and attempts: `client.with_raw_response.prompts.get(id)`."""

    data: T_co
    """The result that the method returns without `with_raw_response`."""
    status_code: int
    headers: Mapping[str, str]
    """Response headers, with case-insensitive names."""
    request_id: str | None
    """Request id from the server, to quote to support; None if it sent none."""
    rate_limit: RateLimit | None
    """Rate limit from the response headers; None if they are missing or invalid."""
    attempts: tuple[Attempt, ...]
    """All attempts of the call; the last one is this response."""
    content: bytes = field(default=b"", repr=False)
    """Response body, decompressed but otherwise unchanged; in `data`, U+FFFD replaces lone surrogates."""
