"""Redact credentials in text from elsewhere: a server or a proxy may echo what it received.

A secret is found in plain form, with any of its characters escaped (JSON, URL, HTML, Python), broken over lines, in
base64 and in hexadecimal; JSON bodies are searched again after decoding. Credentials of this API are also found by
their pattern, whichever account they belong to.

Applied to errors and to the records of hooks; a successful call without hooks does not pay for it. The emulator applies
it to responses of model servers.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta._common.narrowing import JSON, is_dict, is_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from enprompta.errors import Attempt


SHORTEST = 6  # characters; redacting shorter secrets would only make messages unreadable
MASKED = "<secret>"
_LONG = 1_000_000  # characters; a longer text is searched for everything, without a look ahead

# Patterns of API keys, webhook secrets and bearer tokens.
_SHAPED = re.compile(r"(?:ep_(?:live|test)_|whsec_)[\w-]{6,}", re.ASCII | re.IGNORECASE)
_BEARER = re.compile(r"(?<=earer )[\w.~+/-]{16,}=*", re.ASCII | re.IGNORECASE)
_ESCAPES = re.compile(r"[\\%&]|\n|\r")
_PLAIN = re.compile(r"[\w.~-]+", re.ASCII)  # characters that JSON, URLs and HTML never escape
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class Redactor:
    """Replaces secrets in text, JSON, bodies and headers by `<secret>`."""

    __slots__ = ("_hidden", "_patterns")

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, because one secret may be part of another.
        self._hidden = sorted({one for one in secrets if len(one) >= SHORTEST}, key=len, reverse=True)
        self._patterns: list[tuple[str, tuple[str, ...], re.Pattern[str]]] | None = None

    def _searched(self) -> list[tuple[str, tuple[str, ...], re.Pattern[str]]]:
        """Compile the search for each secret: a part that is rarely escaped, its encodings, any escaped form."""
        if self._patterns is None:
            self._patterns = [
                (
                    max(_PLAIN.findall(secret), key=len, default="").lower(),
                    _encodings(secret),
                    re.compile(_any_form(secret), re.IGNORECASE),
                )
                for secret in self._hidden
            ]
        return self._patterns

    def text(self, text: str) -> str:
        """Redact the secrets in a text."""
        is_long = len(text) > _LONG
        escaped = is_long or _ESCAPES.search(text) is not None
        lowered = "ep_ whsec_ earer " if is_long else text.lower()  # a copy of a long text costs too much memory
        for part, encodings, pattern in self._searched():
            if escaped or part in lowered:
                text = pattern.sub(MASKED, text)
            for encoding in encodings:
                if encoding in text:
                    text = text.replace(encoding, MASKED)
        if "ep_" in lowered or "whsec_" in lowered:
            text = _SHAPED.sub(MASKED, text)
        return _BEARER.sub(MASKED, text) if "earer " in lowered else text

    def value(self, value: JSON) -> JSON:
        """Redact the secrets in decoded JSON, including its keys."""
        if isinstance(value, str):
            return self.text(value)
        if is_dict(value):
            return {self.text(name): self.value(one) for name, one in value.items()}
        if is_list(value):
            return [self.value(one) for one in value]
        return value

    def body(self, body: bytes) -> bytes:
        """Redact the secrets in a body; one without secrets is returned unchanged."""
        text = body.decode("latin-1")  # maps each byte to one character and back
        masked = self.text(text)
        found = body if masked == text else masked.encode("latin-1")
        if b"\\u00" not in found and b"\0" not in found:
            return found
        # JSON with escaped ASCII letters, or in UTF-16, must be decoded to search its text.
        try:
            decoded = json.loads(found)
            clean = self.value(decoded)
        except (ValueError, RecursionError):
            return found
        return found if clean == decoded else json.dumps(clean).encode()

    def headers(self, headers: httpx.Headers) -> httpx.Headers:
        """Redact the secrets in headers; headers without secrets are returned unchanged."""
        pairs = headers.multi_items()
        masked = [(self.text(name), self.text(value)) for name, value in pairs]
        if masked == pairs:
            return headers
        return type(headers)([(name.encode(), value.encode()) for name, value in masked])  # httpx refuses other text

    def attempts(self, attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
        """Redact the secrets in the request ids of attempts."""
        return tuple(replace(one, request_id=one.request_id and self.text(one.request_id)) for one in attempts)

    def hides(self, error: BaseException) -> bool:
        """True if an exception, or one of its causes, quotes a secret."""
        seen: BaseException | None = error
        while seen is not None:
            text = str(seen)
            if self.text(text) != text:
                return True
            seen = seen.__cause__ or seen.__context__
        return False


def _any_form(secret: str) -> str:
    """Return a regular expression for a secret in any form; a lookahead for its first character skips quickly."""
    start = rf"(?=[\\%&{re.escape(secret[0])}])"
    broken = r"(?:=?(?:[\r\n]|\\{1,8}[rn]){1,4}[ \t]{0,8})?"
    return start + broken.join(_any_form_of(letter) for letter in secret)


def _any_form_of(letter: str) -> str:
    """Return a regular expression for a character, plain or escaped any number of times."""
    code = f"{ord(letter):02x}"
    itself = r"\\{1,16}" if letter == "\\" else rf"\\{{0,8}}\x{code}" if not letter.isalnum() else letter
    either = "".join(f"[{one}{one.upper()}]" if one.isalpha() else one for one in code)
    forms = (
        rf"%(?:25){{0,8}}{either}|\\{{1,8}}u00{either}|\\{{1,8}}u\{{0{{0,4}}{either}\}}|\\{{1,8}}x{either}"
        rf"|\\{{1,8}}{ord(letter):03o}|&(?:amp;){{0,4}}#0{{0,5}}{ord(letter)};|&(?:amp;){{0,4}}#[xX]0{{0,4}}{either};"
    )
    if not letter.isalnum():
        forms += r"|&(?:amp;){0,4}[a-zA-Z]{2,8};"
    # Longest form first, because "&" begins "&amp;".
    return rf"(?:{itself}|{forms})" if letter.isalnum() else rf"(?:{forms}|{itself})"


def _encodings(secret: str) -> tuple[str, ...]:
    """List the secret in hexadecimal and in base64, without the characters that depend on its neighbors."""
    raw = secret.encode(errors="replace")
    found = {raw.hex(), raw.hex().upper()}
    for shift in range(3):
        written = base64.b64encode(b"\0" * shift + raw).decode("ascii").rstrip("=")
        # The first characters mix with what precedes the secret, the last one with what follows.
        core = written[(0, 2, 3)[shift] : -1]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return tuple(sorted((one for one in found if len(one) >= 2 * SHORTEST), key=len, reverse=True))


def mask_for(request: httpx.Request, secrets: Iterable[str]) -> Redactor:
    """Return the redactor of a request, for the client's secrets and the key or token that was sent."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return _mask(frozenset((*secrets, sent)))


@lru_cache(maxsize=16)
def _mask(secrets: frozenset[str]) -> Redactor:
    """Return a cached redactor: compiling one takes longer than using it."""
    return Redactor(secrets)


def without_credentials(error: Exception, mask: Redactor) -> Exception:
    """Replace the requests on an exception and its causes by copies without body and credentials.

    HTTP libraries attach the request to their exceptions, and error reporters and debuggers show it.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        rest += one.__cause__, one.__context__
        for holder in (one, getattr(one, "response", None)):
            if (request := _request_of(holder)) is not None:
                holder.request = _shown(request, mask)  # type: ignore[union-attr] # it has one
    return error


def _request_of(holder: object) -> httpx.Request | None:
    with suppress(RuntimeError):  # httpx raises it if there is none
        request: httpx.Request | None = getattr(holder, "request", None)
        return request if hasattr(getattr(request, "headers", None), "multi_items") else None
    return None


def _shown(request: httpx.Request, mask: Redactor) -> httpx.Request:
    headers = [
        (name, MASKED if name.lower() in CREDENTIAL_HEADERS else mask.text(value))
        for name, value in request.headers.multi_items()
    ]
    return type(request)(request.method, mask.text(str(request.url)), headers=headers)
