"""Who sent this? Signing deliveries, and telling whether one is signed.

A signature is `sha256=` and the HMAC-SHA256, in lower-case hex, of `JSON.stringify(payload)` under the webhook's
secret. Pass the body as it arrived whenever you can. Where a framework has kept the parsed payload alone, or something
on the way has written the body again with other spacing, it still verifies: the payload is written once more as
JavaScript would (see `ecma_json`), which is what the sender signed.
"""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Iterable
from hmac import compare_digest, digest
from typing import TYPE_CHECKING, Any, Protocol, cast

from enprompta._common.credential_text import problem_of
from enprompta.errors import ConfigurationError
from enprompta.webhooks.ecma_json import ecma_json, rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    Payload: TypeAlias = bytes | bytearray | memoryview | str | Mapping[str, Any]
    Signature: TypeAlias = "str | bytes | Headers | None"
    Secret: TypeAlias = str | bytes | Sequence[str | bytes]

__all__ = ["SIGNATURE_HEADER", "matching_secret", "sign", "verify_signature"]

SIGNATURE_HEADER = "X-Enprompta-Signature"
"""The header that carries the signature."""

DEFAULT_MAX_RESERIALIZED = 65_536
"""Bytes up to which a body is re-serialized. Anyone can post one, so its cost is bounded: about 15 ms of CPU."""

_HEADER = SIGNATURE_HEADER.lower()
_HEADER_LENGTH = len(_HEADER)
_PREFIX = b"sha256="
_LENGTH = len(_PREFIX) + 64
_WELL_FORMED = re.compile(rb"sha256=[0-9a-f]{64}")


class Headers(Protocol):
    """A request's headers as any framework holds them: a mapping, or anything else with `items()`."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Give every header's name and value."""
        ...


def verify_signature(
    payload: Payload,
    signature: Signature,
    secret: Secret,
    *,
    max_reserialized: int = DEFAULT_MAX_RESERIALIZED,
) -> bool:
    """Tell whether a delivery is signed with the secret.

    Args:
        payload: The raw body, or the payload already parsed.
        signature: The value of the `X-Enprompta-Signature` header, or all headers as a mapping, in which it is found
            whatever its case. None, several signatures or anything malformed is just not a signature.
        secret: The webhook's secret, or several while it is being rotated.
        max_reserialized: Largest raw body, in bytes, that is re-serialized and checked again when its own bytes do not
            match, as after a proxy has reformatted it. 0 checks the bytes alone. Unchanged bodies of any size verify.

    Returns:
        True when one of the secrets has signed it. The time taken does not depend on how much of a wrong signature
        is right, nor on its length.

    Raises:
        ConfigurationError: A secret is empty, or there is none: with that, anyone could sign. Or `max_reserialized` is
            negative.
    """
    return authenticate(payload, signature, secret, max_reserialized) is not None


def matching_secret(
    payload: Payload,
    signature: Signature,
    secret: Secret,
    *,
    max_reserialized: int = DEFAULT_MAX_RESERIALIZED,
) -> int | None:
    """Tell which secret a delivery is signed with, to learn when an old one is no longer in use.

    Args:
        payload: As in `verify_signature`.
        signature: As in `verify_signature`.
        secret: As in `verify_signature`.
        max_reserialized: As in `verify_signature`.

    Returns:
        The first fitting secret's index, 0 for a single secret; None when none fits.

    Raises:
        ConfigurationError: As in `verify_signature`.
    """
    match = authenticate(payload, signature, secret, max_reserialized)
    return None if match is None else match[0]


def sign(payload: Payload, secret: str | bytes) -> str:
    """Sign a delivery as the service does, for senders and for tests.

    Args:
        payload: The body to send, or a payload that will be sent as `ecma_json` writes it.
        secret: The webhook's secret.

    Returns:
        The value for the `X-Enprompta-Signature` header.

    Raises:
        ConfigurationError: The secret is empty.
        TypeError: The payload is neither a body nor a value that JSON can hold.
    """
    body = _raw(payload)
    return _signature(_key(secret), ecma_json(payload).encode() if body is None else body).decode()


def authenticate(
    payload: Payload, signature: Signature, secret: Secret, max_reserialized: int = DEFAULT_MAX_RESERIALIZED
) -> tuple[int, bytes] | None:
    """Find the secret that signed a delivery, and the very text that it signed.

    Returns:
        The secret's index and the signed text, which is the one to read: it is authentic to the last byte, where the
        body that came may only mean the same. None when the delivery is not signed.
    """
    keys = secret_keys(secret)
    check_max_reserialized(max_reserialized)
    claimed = _claimed(signature)
    if len(claimed) != _LENGTH:
        return None  # before anything is read, let alone hashed: a signature of 10 MB costs nothing
    body = payload if type(payload) is bytes else _raw(payload)
    if body is None:
        return _find(keys, claimed, _written(payload)) if _WELL_FORMED.fullmatch(claimed) else None
    match = _find(keys, claimed, body)
    # Re-serializing costs a hundred times what hashing does: only for a well-formed signature and a bounded body.
    if match is None and len(body) <= max_reserialized and _WELL_FORMED.fullmatch(claimed):
        match = _find(keys, claimed, _rewritten(body))
        # A writer that means the same never differs in a single byte. A forger may: in a digit, say, that still rounds
        # to the same double.
        if match is not None and _one_byte_apart(body, match[1]):
            return None
    return match


def check_max_reserialized(limit: int) -> None:
    """Refuse a negative limit."""
    if limit < 0:
        raise ConfigurationError(f"max_reserialized must be a number of bytes, or 0 for none, not {limit}")


def secret_keys(secret: object) -> tuple[bytes, ...]:
    """Read one secret or several; ConfigurationError when that leaves nothing to verify with.

    Any object may come in: None, most of all, where an environment variable is not set.
    """
    if isinstance(secret, (str, bytes)):
        return (_key(secret),)
    keys = tuple(map(_key, cast("Iterable[object]", secret))) if isinstance(secret, Iterable) else ()
    if not keys:
        raise ConfigurationError("No webhook secret is given: pass the one that creating the webhook returned")
    return keys


def _key(secret: object) -> bytes:
    if not isinstance(secret, (str, bytes)):
        raise ConfigurationError(f"A webhook secret is text or bytes, not {type(secret).__name__}")
    try:
        key = secret.encode() if isinstance(secret, str) else secret
    except UnicodeEncodeError:
        raise ConfigurationError("A webhook secret holds half a character: check how it is decoded") from None
    if not key:
        raise ConfigurationError("A webhook secret is empty, with which anyone could sign: check where it is read from")
    is_text = isinstance(secret, str) or key.isascii()  # other bytes may be of any kind
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
        # All keys are tried, so that the time taken does not tell which one fits.
        if compare_digest(_signature(key, body), claimed) and found is None:
            found = index, body
    return found


def _claimed(signature: Signature) -> bytes:
    """Reduce whatever was given as a signature to bytes; empty when it cannot be one."""
    if isinstance(signature, str):
        # What is not ASCII becomes "?", which no signature holds.
        return signature.encode("ascii", "replace") if len(signature) == _LENGTH else b""
    if isinstance(signature, bytes):
        return signature
    # Not asked of `Mapping`: Flask's headers are none, nor are those of `http.server`.
    return _from_headers(signature) if signature is not None and hasattr(signature, "items") else b""


def _from_headers(headers: Headers) -> bytes:
    values: list[object] = []
    for name, value in headers.items():
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if isinstance(text, str) and len(text) == _HEADER_LENGTH and text.lower() == _HEADER:
            values += value if isinstance(value, (list, tuple)) else (value,)
    # Two signatures mean that somebody has added one: neither is to be believed.
    only = values[0] if len(values) == 1 else None
    return _claimed(only) if isinstance(only, (str, bytes)) else b""


def _raw(payload: object) -> bytes | None:
    """Take a raw body as bytes; None when the payload is a parsed one."""
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogatepass")
    if isinstance(payload, bytes):
        return payload
    return bytes(cast("bytearray", payload)) if isinstance(payload, (bytearray, memoryview)) else None


def _written(payload: object) -> bytes | None:
    """Write a parsed payload as the sender did; None when no JSON parser can have made it."""
    try:
        return ecma_json(payload).encode()
    except (TypeError, RecursionError):
        return None


def _rewritten(body: bytes) -> bytes | None:
    """Write a body again as the sender did, undoing what something on the way has done; None when it is not JSON."""
    try:
        text = rewrite(body.decode("utf-8", "surrogatepass"))  # as `json.loads` decodes bytes
    except UnicodeDecodeError:
        return None
    return None if text is None else text.encode()


def _one_byte_apart(body: bytes, written: bytes) -> bool:
    return len(body) == len(written) and sum(ours != theirs for ours, theirs in zip(body, written, strict=True)) == 1
