"""Takes credentials out of what somebody else wrote: a server, a proxy or an echo may send back what it was sent.

Used where an error is made, and for the records that hooks get; an answer that is as promised costs nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST = 6  # characters; something shorter is no secret, and taking it out would make texts unreadable
MASKED = "<secret>"


class Mask:
    """What must not be shown, and how to hide it.

    Args:
        secrets: The credentials themselves.
    """

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= SHORTEST:
                in_json = json.dumps(secret)[1:-1]
                # As it is, in JSON by either way of writing a slash, and in a URL.
                forms.update((secret, in_json, in_json.replace("/", "\\/"), quote(secret, safe="")))
        self._forms = sorted(forms, key=len, reverse=True)  # the longest first, for one may be part of another

    def text(self, text: str) -> str:
        """Hide the secrets in a text."""
        for form in self._forms:
            text = text.replace(form, MASKED)
        return text

    def body(self, body: bytes) -> bytes:
        """Hide the secrets in a body, before it is parsed: so nothing that is read out of it holds them."""
        for form in self._forms:
            body = body.replace(form.encode("ascii"), MASKED.encode("ascii"))
        return body

    def headers(self, headers: httpx.Headers) -> httpx.Headers:
        """Hide the secrets in headers; those that hold none are given back as they are."""
        forms = [form.encode("ascii") for form in self._forms]
        if not any(form in part for pair in headers.raw for part in pair for form in forms):
            return headers
        return httpx.Headers([(self.text(name), self.text(value)) for name, value in headers.multi_items()])

    def hides(self, error: BaseException) -> bool:
        """Tell whether an exception, or one it came of, speaks of a secret."""
        seen: BaseException | None = error
        while seen is not None:
            text = str(seen)
            if self.text(text) != text:
                return True
            seen = seen.__cause__ or seen.__context__
        return False


def mask_for(request: httpx.Request, secrets: Iterable[str]) -> Mask:
    """Make the mask of one request: the client's secrets, and the key or token that was sent."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Mask((*secrets, sent))
