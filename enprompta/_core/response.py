"""An answer with everything round it, as `with_raw_response` gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.errors import Attempt, RateLimit

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class APIResponse(Generic[T_co]):
    """What a call gave, and how: `client.with_raw_response.prompts.get(id)`."""

    data: T_co
    """What the method without `with_raw_response` returns."""
    status_code: int
    headers: Mapping[str, str]
    """The answer's headers; names match without regard to case."""
    request_id: str | None
    """The server's id of the request, to quote to support; None when it gave none."""
    rate_limit: RateLimit | None
    """The request budget told with this answer; None when it was not."""
    attempts: tuple[Attempt, ...]
    """Every try of the call, the last one being this answer."""
    content: bytes = field(default=b"", repr=False)
    """The body, decompressed and otherwise as it came; `data` has U+FFFD where half a surrogate pair was escaped."""
