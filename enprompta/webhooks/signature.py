"""Sign deliveries and verify their signatures.

A signature is `sha256=` and the HMAC-SHA256, in lower-case hex, of `JSON.stringify(payload)` with the webhook's
secret. Pass the raw body whenever possible. If a framework keeps only the parsed payload, or a proxy has reformatted
the body, the signature still verifies: the payload is serialized again as JavaScript does (see `ecma_json`), which
is the text that the sender signed.
"""

from __future__ import annotations

import re
from binascii import hexlify
from hmac import compare_digest, digest
from typing import TYPE_CHECKING, Any, Protocol, cast

from enprompta._common.headers import problem_of
from enprompta._common.narrowing import is_iterable
from enprompta.errors import ConfigurationError
from enprompta.webhooks.ecma_json import ecma_json, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    Payload: TypeAlias = bytes | bytearray | memoryview | str | Mapping[str, Any]
    Signature: TypeAlias = "str | bytes | Headers | None"
    Secret: TypeAlias = str | bytes | Sequence[str | bytes]

__all__ = ["SIGNATURE_HEADER", "matching_secret", "sign", "verify_signature"]

SIGNATURE_HEADER = "X-Enprompta-Signature"
"""The name of the signature header."""

DEFAULT_MAX_RESERIALIZED = 65_536
"""Maximum size in bytes of a body that is re-serialized. The limit bounds the cost of a forged body to 15 ms of CPU."""

_HEADER = SIGNATURE_HEADER.lower()
_HEADER_LENGTH = len(_HEADER)
_PREFIX = b"sha256="
_LENGTH = len(_PREFIX) + 64
_WELL_FORMED = re.compile(rb"sha256=[0-9a-f]{64}")


class Headers(Protocol):
    """The headers of a request in any framework: a mapping, or any object with `items()`."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Return the name and value of every header."""
        ...


def verify_signature(
    payload: Payload, signature: Signature, secret: Secret, *, max_reserialized: int = DEFAULT_MAX_RESERIALIZED
) -> bool:
    """Return True if a delivery is signed with the secret.

    Args:
        payload: The raw body, or the parsed payload.
        signature: The value of the `X-Enprompta-Signature` header, or all headers as a mapping with names in any case.
            None, several signatures or a malformed value do not verify.
        secret: The webhook's secret, or several while it is being rotated.
        max_reserialized: Maximum size in bytes of a raw body that is re-serialized and checked again if its own bytes
            do not match, as after a proxy has reformatted it. 0 checks only the bytes. Unchanged bodies verify at any
            size.

    Returns:
        True if one of the secrets signed the delivery. The time taken does not depend on how much of a wrong signature
        is right, nor on its length.

    Raises:
        ConfigurationError: A secret is empty or missing, which would let anyone sign, or `max_reserialized` is
            negative.
    """
    return authenticate(payload, signature, secret, max_reserialized) is not None


def matching_secret(
    payload: Payload, signature: Signature, secret: Secret, *, max_reserialized: int = DEFAULT_MAX_RESERIALIZED
) -> int | None:
    """Return which secret signed a delivery, to find out when an old secret is no longer in use.

    Args:
        payload: As in `verify_signature`.
        signature: As in `verify_signature`.
        secret: As in `verify_signature`.
        max_reserialized: As in `verify_signature`.

    Returns:
        The index of the first secret that matches, 0 for a single secret; None if none matches.

    Raises:
        ConfigurationError: As in `verify_signature`.
    """
    match = authenticate(payload, signature, secret, max_reserialized)
    return None if match is None else match[0]


def sign(payload: Payload, secret: str | bytes) -> str:
    """Sign a delivery as the service does, for senders and tests.

    Args:
        payload: The body to send, or a payload that will be serialized with `ecma_json`.
        secret: The webhook's secret.

    Returns:
        The value for the `X-Enprompta-Signature` header.

    Raises:
        ConfigurationError: The secret is empty.
        TypeError: The payload is neither a body nor a JSON-serializable value.
    """
    body = _raw(payload)
    return _signature(_key(secret), ecma_json(payload).encode() if body is None else body).decode()


def authenticate(
    payload: Payload, signature: Signature, secret: Secret, max_reserialized: int = DEFAULT_MAX_RESERIALIZED
) -> tuple[int, bytes] | None:
    """Find the secret that signed a delivery, and the text that it signed.

    Returns:
        The secret's index and the signed text; None if the delivery is not signed. Parse the signed text: it is
        authentic to the last byte, while the received body may only be equivalent.
    """
    keys = secret_keys(secret)
    check_max_reserialized(max_reserialized)
    claimed = _claimed(signature)
    if len(claimed) != _LENGTH:
        return None  # checked before reading or hashing: a signature of 10 MB costs nothing
    body = payload if type(payload) is bytes else _raw(payload)
    if body is None:
        return _find(keys, claimed, _serialized(payload)) if _WELL_FORMED.fullmatch(claimed) else None
    match = _find(keys, claimed, body)
    # Re-serializing costs a hundred times as much as hashing: only for a well-formed signature and a bounded body.
    if match is None and len(body) <= max_reserialized and _WELL_FORMED.fullmatch(claimed):
        match = _find(keys, claimed, _reserialized(body))
        # Equivalent JSON never differs in just one byte. A forgery may, such as in a digit that rounds to the same
        # double.
        if match is not None and _differs_in_one_byte(body, match[1]):
            return None
    return match


def check_max_reserialized(limit: int) -> None:
    """Raise ConfigurationError if the limit is negative."""
    if limit < 0:
        raise ConfigurationError(f"max_reserialized must be 0 or a positive number of bytes, not {limit}")


def secret_keys(secret: object) -> tuple[bytes, ...]:
    """Return the keys of one or several secrets; raises ConfigurationError if there are none.

    Accepts any object, because a secret is None if its environment variable is not set.
    """
    if isinstance(secret, (str, bytes)):
        return (_key(secret),)
    keys = tuple(map(_key, secret)) if is_iterable(secret) else ()
    if not keys:
        raise ConfigurationError("No webhook secret is given: pass the one that creating the webhook returned")
    return keys


def _key(secret: object) -> bytes:
    if not isinstance(secret, (str, bytes)):
        raise ConfigurationError(f"A webhook secret must be a string or bytes, not {type(secret).__name__}")
    try:
        key = secret.encode() if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        raise ConfigurationError("A webhook secret contains a lone surrogate: check how it is decoded") from None
    if not key:
        raise ConfigurationError("A webhook secret is empty, so anyone could sign: check where it is read from")
    is_text = isinstance(secret, str) or key.isascii()  # other bytes may be binary
    if is_text and (problem := problem_of(key.decode(), ascii_only=False)):
        raise ConfigurationError(f"A webhook secret {problem}")
    return key


def _signature(key: bytes, body: bytes) -> bytes:
    return _PREFIX + hexlify(digest(key, body, "sha256"))


def _find(keys: tuple[bytes, ...], claimed: bytes, body: bytes | None) -> tuple[int, bytes] | None:
    if body is None:
        return None
    found = None
    for index, key in enumerate(keys):
        # Try all keys, so that the time taken does not reveal which one matches.
        if compare_digest(_signature(key, body), claimed) and found is None:
            found = index, body
    return found


def _claimed(signature: Signature) -> bytes:
    """Return the given signature as bytes; empty if it cannot be one."""
    if isinstance(signature, str):
        # "replace" turns other characters into "?", which no signature contains.
        return signature.encode("ascii", "replace") if len(signature) == _LENGTH else b""
    if isinstance(signature, bytes):
        return signature
    # Not `isinstance(..., Mapping)`: the headers of Flask and `http.server` are not mappings.
    return _from_headers(signature) if signature is not None and hasattr(signature, "items") else b""


def _from_headers(headers: Headers) -> bytes:
    values: list[object] = []
    for name, value in headers.items():
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if isinstance(text, str) and len(text) == _HEADER_LENGTH and text.lower() == _HEADER:
            values += value if isinstance(value, (list, tuple)) else (value,)
    # Two signatures mean that one was added on the way: reject both.
    only = values[0] if len(values) == 1 else None
    return _claimed(only) if isinstance(only, (str, bytes)) else b""


def _raw(payload: object) -> bytes | None:
    """Return a raw body as bytes; None if the payload is parsed."""
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    if isinstance(payload, bytes):
        return payload
    return bytes(cast("bytearray", payload)) if isinstance(payload, (bytearray, memoryview)) else None


def _serialized(payload: object) -> bytes | None:
    """Serialize a parsed payload as the sender did; None if it has no JSON form."""
    try:
        return ecma_json(payload).encode()
    except (TypeError, RecursionError):
        return None


def _reserialized(body: bytes) -> bytes | None:
    """Serialize a body again as the sender did, to undo reformatting on the way; None if it is not JSON."""
    try:
        text = rewrite(body.decode("utf-8", "surrogatepass"))  # as `json.loads` decodes bytes
    except UnicodeDecodeError:
        return None
    return None if text is None else text.encode()


def _differs_in_one_byte(body: bytes, written: bytes) -> bool:
    return len(body) == len(written) and sum(ours != theirs for ours, theirs in zip(body, written, strict=True)) == 1
