"""The checks before the patterns of redaction rule out no text that a pattern finds something in."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enprompta.tracing.redaction import credentials, numbers, prefilters, views
from tests.tracing.canaries import CANARIES, ENCODINGS

SECRETS = list(CANARIES.values())
PIECES = [
    *SECRETS,
    *(encode(SECRETS[0]) for encode in ENCODINGS.values()),
    "0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f", "DE:AD:BE:EF:00:01", "de ad be ef 00 01", "4a,  4b: 4c ,4d 4e 4f", "beef",
    "00-1b-44-11-3a-b7", "001b.4411.3ab7", "10.0.0.1", "ip-10-0-0-1", "fe80::1", "2001:db8:0:0:0:0:0:1",
    "abcdefgh\nAB12", "abcdefgh\r\nabcd==", "camelCase", "x" * 24, "X" * 16, "sk-", "ghp_", "AKIA",
    "internationally", "whsec_abc123",
    " ", "\n", ".", ":", "-", "=", "\\", "\u00e9", "\u212a", "\ud800", "\t", "\x0b", "\x0c", "\x1b", "\x7f",
    "1", "a", "Z",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join)
DECODABLE = re.compile(r"[%\\&=+\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\U0010ffff]")


@settings(max_examples=400)
@given(TEXTS)
def test_nothing_is_ruled_out_wrongly(text: str) -> None:
    """Each pattern that matches has passed its check; the exact checks pass no other text."""
    assert prefilters.has_escape(text) is (DECODABLE.search(text) is not None)
    assert prefilters.has_digits(text, 3) is (len(re.findall("[0-9]", text)) >= 3)
    assert prefilters.has_encoded_run(text) or not any(views._MIXED.search(run[0]) for run in views._RUN.finditer(text))
    assert prefilters.has_spaced_hex(text) or not views._SPACED_HEX.search(text)
    assert numbers.has_number(text) is (numbers._SIX_DIGITS.search(text) is not None)


@settings(max_examples=400)
@given(TEXTS)
@example("whsec_abc123")  # the shortest one
def test_credentials_with_prefixes(text: str) -> None:
    """A credential is found if its own pattern finds it."""
    found = [
        match[0]
        for _, pattern, needs in credentials._PREFIXED
        for match in pattern.finditer(text)
        if needs.search(match[0])
    ]
    assert [text[one.start : one.end] for one in credentials.find_prefixed(text, "")] == found


@settings(max_examples=400)
@given(TEXTS)
def test_addresses(text: str) -> None:
    """An address is found if its own pattern finds it."""
    found = [match.span() for match in numbers._IPV4.finditer(text)]
    found += [match.span() for match in numbers._IPV4_NAME.finditer(text)]
    found += [match.span() for match in numbers._IPV6.finditer(text) if numbers._ipv6(match[0]) is not None]
    found += [match.span() for match in numbers._MAC.finditer(text)]
    assert [(one.start, one.end) for one in numbers.find_ips(text)] == found


@pytest.mark.parametrize(
    "text",
    ["The quick brown fox, to be or not to be. Dr. Who agreed internationally, e.g. yes-no.", "to be, a: b"],
)
def test_prose_is_ruled_out(text: str) -> None:
    """Ordinary words pass no check, so that they cost little."""
    assert not prefilters.has_escape(text)
    assert not prefilters.has_encoded_run(text)
    assert not prefilters.has_spaced_hex(text)
    assert not numbers.has_number(text)
