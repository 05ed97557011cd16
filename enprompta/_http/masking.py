"""What must not be shown of one request: the client's credentials, and what was sent in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._common.redaction import Mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx


def mask_for(request: httpx.Request, secrets: Iterable[str]) -> Mask:
    """Make the mask of one request: the client's secrets, and the key or token that was sent."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Mask((*secrets, sent))
