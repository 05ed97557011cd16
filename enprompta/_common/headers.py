"""Check the names and values of HTTP headers that callers pass, and the credentials that headers carry."""

from __future__ import annotations

import os
import re
from typing import cast

from enprompta._common.narrowing import is_mapping
from enprompta.errors import ConfigurationError

KEYED_METHODS = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests carry an `Idempotency-Key`; `docs/openapi.yaml` states the same rule."""
_RESERVED_HEADERS = {
    "authorization": "it is built from api_key, or from client_id and client_secret",
    "content-type": "the API accepts JSON only",
    "idempotency-key": "pass idempotency_key= to the call; sharing one key between calls would merge them",
    "host": "it is taken from base_url",
    "content-length": "it is computed",
    "transfer-encoding": "bodies are sent in one piece",
}
_MAX_KEY = 255  # characters of an idempotency key
_MAX_VALUE = 8_000  # characters; servers commonly refuse headers of more than 8 KiB
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, 5.6.2: token
_QUOTES = frozenset("\"'`\u201c\u201d\u2018\u2019\u201e\u201a\u00ab\u00bb")
_USUAL = re.compile(r"(?!(?i:enprompta_))[\w.~+/-]+=*", re.ASCII)  # the common case
# Compiled on first use, because most credentials have no problem.
_ASSIGNMENT = r"(?i:export\s|set\s|setenv\s|env\s|\$env:|ENPROMPTA_\w*\s*[=:])"
_HEADER = r"(?i:authorization\s*:|bearer\s)"


def check_headers(headers: object) -> None:
    """Reject headers that cannot be sent, or that the client sets itself.

    Raises:
        ConfigurationError: The message names the header, never its value.
    """
    if not is_mapping(headers):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(_HEADER_NAME, name):
            raise ConfigurationError(f"{name!r} is not a valid header name")
        if name.lower() in _RESERVED_HEADERS:
            raise ConfigurationError(f"header {name} cannot be set: {_RESERVED_HEADERS[name.lower()]}")
        if not is_header_text(value):
            raise ConfigurationError(
                f"the value of header {name} must be printable ASCII on one line, without leading or trailing spaces"
            )
        if len(cast("str", value)) > _MAX_VALUE:
            raise ConfigurationError(f"the value of header {name} is longer than {_MAX_VALUE:,} characters")


def is_header_text(value: object) -> bool:
    """True if a header can carry the value: printable ASCII on one line, no outer spaces (RFC 9110, 5.5)."""
    text = _text(value)
    return text is not None and text.isascii() and text.isprintable() and text == text.strip()


def idempotency_key(given: object) -> str:
    """Return the caller's idempotency key, or a new one for None.

    Raises:
        ConfigurationError: A header cannot carry the key, or it is too long for the API.
    """
    if given is None:
        return os.urandom(16).hex()
    text = _text(given) or ""
    if not 0 < len(text) <= _MAX_KEY or not is_header_text(text):
        raise ConfigurationError(
            f"idempotency_key must be printable ASCII text on one line, of 1 to {_MAX_KEY} characters"
        )
    return text


def _text(value: object) -> str | None:
    """Return the text of a string, also of a subclass that overrides methods; None for anything else."""
    if type(value) is str:
        return value
    return str.__str__(cast("str", value)) if issubclass(type(value), str) else None


def problem_of(text: str, *, ascii_only: bool) -> str | None:
    """Describe the problem of a credential and its fix, without showing it; None if it is valid."""
    if _USUAL.fullmatch(text):
        return None
    stripped = text.strip()
    if not text:
        return "is empty: check where it is read from"
    if not _QUOTES.isdisjoint({stripped[:1], stripped[-1:]}):
        problem = "is written in quotes, which are not a part of it: take them away where it is read from"
    elif re.match(_ASSIGNMENT, stripped):
        problem = "holds a whole assignment: keep only what stands behind the equals sign"
    elif re.match(_HEADER, stripped):
        problem = 'begins as a header does: leave out "Authorization:" and "Bearer"'
    elif " " in text or not text.isprintable():
        problem = (
            "holds a blank, a line break or another invisible character: copy it again "
            "(a file or variable it was read from may end with a line break)"
        )
    elif ascii_only and not text.isascii():
        problem = "holds a character outside of ASCII, which no key has: copy it again"
    else:
        problem = None
    return problem
