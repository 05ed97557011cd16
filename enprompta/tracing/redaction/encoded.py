"""Find parts of a text that are encoded as a whole: base64, base32, hexadecimal, also compressed."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import TYPE_CHECKING

from enprompta.tracing.redaction.prefilters import has_encoded_run, has_spaced_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_INFLATED = 4_000_000  # bytes; more of a compressed value is not searched, and the value is redacted

# Lines of base64 may be folded. Words match too; `_may_be_encoded` sorts them out.
_RUN = re.compile(r"[A-Za-z0-9+/_\-]{8,}(?:\r?\n[A-Za-z0-9+/_\-]{4,})*={0,6}")
_SPACED_HEX = re.compile(
    r"(?<![0-9a-z])(?:(?:0x)?[0-9a-f]{2}[ ,:]{1,2}){5,}(?:0x)?[0-9a-f]{2}(?![0-9a-z])", re.IGNORECASE
)
_PARTED = re.compile(r"[+/_\-\n]")
_PIECES = re.compile(r"[A-Za-z0-9]{8,}={0,6}")
_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}){6,})")
_BASE32 = re.compile(r"[A-Z2-7]{10,}={0,6}|[a-z2-7]{10,}={0,6}")
_MIXED = re.compile(r"[a-z0-9+/_\-][A-Z]|[0-9]|=|[A-Z]{16}|[a-z]{24}")
_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
_FOLDS = str.maketrans("-_", "+/", "\r\n=")
_MAX_UNPRINTABLE = 0.15


class Unreadable(Exception):  # noqa: N818 (it is no error of the caller)
    """An encoded value is too large to be searched."""


def encoded_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the position of each encoded part, and what it decodes to; several readings of one part may follow.

    Raises:
        Unreadable: A compressed part expands beyond the bound.
    """
    for run in _RUN.finditer(text) if has_encoded_run(text) else ():
        if _MIXED.search(run[0]) is None:
            continue
        yield from _readings(run[0], run.start())
        if _PARTED.search(run[0]):
            for piece in _PIECES.finditer(run[0]):
                if piece[0] != run[0] and _MIXED.search(piece[0]) is not None:
                    yield from _readings(piece[0], run.start() + piece.start())
    for run in _SPACED_HEX.finditer(text) if has_spaced_hex(text) else ():
        raw = bytes.fromhex(re.sub(r"0x|[ ,:]", "", run[0], flags=re.IGNORECASE))
        for plain in _texts(raw):
            yield run.start(), run.end(), plain


def _readings(run: str, start: int) -> Iterator[tuple[int, int, str]]:
    compact = run.translate(_FOLDS)
    candidates = [_base64(compact)]
    if found := _HEX.fullmatch(compact):
        candidates.append(bytes.fromhex(found[1]))
    if _BASE32.fullmatch(compact):
        candidates.append(_base32(compact.upper()))
    for raw in candidates:
        for plain in _texts(raw):
            yield start, start + len(run), plain


def _base64(compact: str) -> bytes:
    usable = compact[: -1 if len(compact) % 4 == 1 else None]
    return binascii.a2b_base64(usable + "=" * (-len(usable) % 4))


def _base32(compact: str) -> bytes:
    usable = compact[: len(compact) - (0, 1, 0, 1, 0, 0, 1, 0)[len(compact) % 8]]
    return base64.b32decode(usable + "=" * (-len(usable) % 8))


def _texts(raw: bytes) -> Iterator[str]:
    """Yield the text that bytes hold; nothing for images and other data."""
    if raw[:2] == b"\x1f\x8b" or (raw[:1] == b"\x78" and raw[1:2] in b"\x01\x5e\x9c\xda"):
        raw = _inflated(raw)
    if b"\0" in raw:
        for encoding in ("utf-16-le", "utf-16-be"):
            plain = raw.decode(encoding, "ignore").strip("\0\ufeff")
            if plain.isprintable() or plain.isascii():
                yield plain
    try:
        yield raw.decode("utf-8")
    except UnicodeDecodeError:
        if len(raw.translate(None, _PRINTABLE)) <= len(raw) * _MAX_UNPRINTABLE:
            yield raw.decode("latin-1")


def _inflated(raw: bytes) -> bytes:
    decompressor = zlib.decompressobj(47)
    try:
        plain = decompressor.decompress(raw, MAX_INFLATED)
    except zlib.error:
        return raw
    if decompressor.unconsumed_tail:
        raise Unreadable
    return plain
