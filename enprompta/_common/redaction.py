"""Takes credentials out of what somebody else wrote: a server, a proxy or an echo may send back what it was sent.

Used where an error is made, and for the records that hooks get; an answer that is as promised costs nothing. The
emulator uses it too, for what the server of a model sends back.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enprompta.errors import Attempt

SHORTEST = 6  # characters; something shorter is no secret, and taking it out would make texts unreadable
MASKED = "<secret>"

_PLAIN = re.compile(r"[\w.~-]+", re.ASCII)  # what neither JSON nor a URL nor HTML writes in another way


class Mask:
    """What must not be shown, and how to hide it.

    Args:
        secrets: The credentials themselves.
    """

    __slots__ = ("_hidden",)

    def __init__(self, secrets: Iterable[str]) -> None:
        # Each with a part of it that every way of writing leaves alone: what does not hold that needs no closer look.
        self._hidden = [
            (max(_PLAIN.findall(secret), key=len, default=""), secret)
            # The longest first, for one may be a part of another.
            for secret in sorted({*secrets}, key=len, reverse=True)
            if len(secret) >= SHORTEST
        ]

    def text(self, text: str) -> str:
        """Hide the secrets in a text."""
        for part, secret in self._hidden:
            if part in text:
                text = re.sub(_any_form(secret), MASKED, text)
        return text

    def body(self, body: bytes) -> bytes:
        """Hide the secrets in a body, before it is parsed: so nothing that is read out of it holds them."""
        if any(part.encode("ascii") in body for part, _ in self._hidden):
            return self.text(body.decode("latin-1")).encode("latin-1")  # which maps each byte to one letter and back
        return body

    def headers(self, headers: httpx.Headers) -> httpx.Headers:
        """Hide the secrets in headers; those that hold none are given back as they are."""
        parts = [part.encode("ascii") for part, _ in self._hidden]
        if not any(part in text for pair in headers.raw for text in pair for part in parts):
            return headers
        return httpx.Headers([(self.text(name), self.text(value)) for name, value in headers.multi_items()])

    def attempts(self, attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
        """Hide the secrets in the ids that a server gave to requests."""
        return tuple(replace(one, request_id=one.request_id and self.text(one.request_id)) for one in attempts)

    def hides(self, error: BaseException) -> bool:
        """Tell whether an exception, or one it came of, speaks of a secret."""
        seen: BaseException | None = error
        while seen is not None:
            text = str(seen)
            if self.text(text) != text:
                return True
            seen = seen.__cause__ or seen.__context__
        return False


def _any_form(secret: str) -> str:
    """A regular expression for a secret as it is, in JSON, a URL, HTML or a repr, or in one of these within another."""
    return "".join(re.escape(letter) if _PLAIN.match(letter) else _any_form_of(letter) for letter in secret)


def _any_form_of(letter: str) -> str:
    code = f"{ord(letter):02x}"
    itself = r"\\+" if letter == "\\" else rf"\\*\x{code}"
    return rf"(?:{itself}|(?i:%(?:25)*{code})|\\+u00{code}|&#?\w+;)"
