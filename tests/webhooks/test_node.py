"""Differential test against Node: the reference's sample code defines the signed text and the signature.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 100,000 payloads. The seed is fixed, so a failure can be repeated.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.webhooks import ecma_json, sign, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = shutil.which("node")
PAYLOADS = 100_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 5_000
LONE_SURROGATE = re.compile(r"\\ud[89a-f]")  # UTF-8 cannot encode one unescaped
SECRET = "whsec_é_0123456789"

# `createHmac(...)` is the reference's "Node.js Verification", applied to a body that a framework has parsed. Each line
# is one JSON string, because a JSON text may contain raw line separators.
REFERENCE = r"""
const crypto = require('crypto')
const secret = process.argv[1]
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(line => line)
for (const line of lines) {
  let written = null
  try { written = JSON.stringify(JSON.parse(JSON.parse(line))) } catch (error) { }
  const expected = written === null ? null
    : 'sha256=' + crypto.createHmac('sha256', secret).update(written).digest('hex')
  process.stdout.write(JSON.stringify([written, expected]) + '\n')
}
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed: nothing to compare with")


@dataclass(frozen=True)
class Case:
    """A payload as some program wrote it, with Node's output for it."""

    text: str
    written: str
    signature: str


def reference(texts: list[str]) -> list[tuple[str | None, str | None]]:
    """Let Node parse, serialize and sign each text."""
    lines = "\n".join(json.dumps(text) for text in texts)
    assert NODE is not None
    done = subprocess.run([NODE, "-e", REFERENCE, SECRET], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [(written, signature) for written, signature in map(json.loads, done.stdout.splitlines())]


class Writer:
    """Generates random JSON texts, mostly of values that the two languages write differently."""

    KEYS = (
        *("event", "data", "id", "__proto__", "constructor", "toJSON", "", " ", "é", "\u2028", "🙂", '"', "\\"),
        *("0", "1", "2", "10", "01", "-1", "1.5", "1e3", "4294967294", "4294967295", "4294967296", "9007199254740993"),
    )
    NUMBERS = (
        *(
            "0",
            "-0",
            "-0.0",
            "1",
            "-1",
            "1.0",
            "10",
            "100e-2",
            "1e5",
            "1E5",
            "1e+5",
            "0.1",
            "1e400",
            "-1e400",
            "1e-400",
        ),
        *("1e20", "1e21", "1e22", "123456789012345680000", "999999999999999900000", "1e-6", "1e-7", "1.5e-7", "5e-324"),
        *("9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "1.7976931348623157e308"),
        *(
            "0.30000000000000004",
            "2.2250738585072014e-308",
            "4.35",
            "1.005",
            "123456.789e3",
            "9" * 309,
            "1" + "0" * 400,
        ),
    )
    CHARACTERS = (
        'abc 09-_.,:;{}[]/\\"\b\f\n\r\t\0\x01\x1f\x7f\x80é߿ࠀ🙂\U0001d4b3'
        "\u2028\u2029\ufeff\ufffd\uffff\ud800\udbff\udc00\udfff"
    )

    def __init__(self, rng: random.Random) -> None:
        """Draw everything from one generator."""
        self.rng = rng

    def number(self) -> str:
        """Write a number in any notation."""
        rng = self.rng
        notations: tuple[Callable[[], str], ...] = (
            lambda: rng.choice(self.NUMBERS),
            lambda: str(rng.getrandbits(rng.randrange(1, 80)) * rng.choice((1, -1))),
            lambda: repr(rng.uniform(-1000, 1000)),
            lambda: repr(rng.uniform(0.1, 10) * 10.0 ** rng.randrange(-30, 30)),
            lambda: f"{rng.randrange(1, 10**6)}e{rng.randrange(-340, 320)}",
            lambda: f"{rng.uniform(-1e10, 1e10):.{rng.randrange(1, 20)}f}",
            lambda: str(rng.randrange(-1000, 1000)),
        )
        return rng.choice(notations)()

    def string(self, text: str) -> str:
        """Write a string, each character raw or escaped in one of the ways JSON allows."""
        pieces: list[str] = []
        for character in text:
            code = ord(character)
            must = code < 0x20 or character in '"\\' or 0xD800 <= code <= 0xDFFF
            if code < 0x10000 and (must or self.rng.random() < 0.1):
                pieces.append(("\\u%04x", "\\u%04X")[self.rng.randrange(2)] % code)
            else:
                pieces.append("\\/" if character == "/" and self.rng.random() < 0.5 else character)
        return '"' + "".join(pieces) + '"'

    def text(self) -> str:
        """Draw the content of a string."""
        return "".join(self.rng.choices(self.CHARACTERS, k=self.rng.randrange(12)))

    def key(self) -> str:
        """Draw a key: an interesting one, any index, or any text."""
        draw = self.rng.random()
        return (
            self.rng.choice(self.KEYS) if draw < 0.7 else str(self.rng.randrange(2**33)) if draw < 0.85 else self.text()
        )

    def space(self) -> str:
        """Draw whitespace, usually none."""
        return "".join(self.rng.choices(" \t\r\n", k=self.rng.randrange(4))) if self.rng.random() < 0.1 else ""

    def value(self, depth: int) -> str:
        """Write any value."""
        kind = self.rng.randrange(6 if depth else 4)
        if kind == 0:
            return self.number()
        if kind == 1:
            return self.string(self.text())
        if kind == 2:
            return self.rng.choice(("true", "false", "null"))
        if kind == 3:
            return self.number()
        if kind == 4:
            items = [self.space() + self.value(depth - 1) + self.space() for _ in range(self.rng.randrange(5))]
            return f"[{','.join(items)}{self.space() if not items else ''}]"
        return self.object(depth)

    def object(self, depth: int) -> str:
        """Write an object, possibly with duplicate keys."""
        members = [
            self.space() + self.string(self.key()) + self.space() + ":" + self.space() + self.value(depth - 1)
            for _ in range(self.rng.randrange(8))
        ]
        return "{" + ",".join(members) + self.space() + "}"


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Generate payloads and let Node parse, write and sign them."""
    writer = Writer(random.Random(20240117))
    texts = [writer.object(3) for _ in range(PAYLOADS)]
    answers = reference(texts)
    assert all(written is not None for written, _ in answers)
    return [Case(text, str(written), str(signature)) for text, (written, signature) in zip(texts, answers, strict=True)]


def test_ecma_json_writes_what_node_writes(cases: list[Case]) -> None:
    """Whatever the text of a payload, its parsed value is serialized exactly as JSON.stringify does."""
    wrong = [case for case in cases if ecma_json(json.loads(case.text)) != case.written]
    assert wrong == []
    assert all(sign(json.loads(case.text), SECRET) == case.signature for case in cases)


def test_raw_bodies_verify(cases: list[Case]) -> None:
    """A body sent by JavaScript verifies, as bytes and as text."""
    assert all(verify_signature(case.written.encode(), case.signature, SECRET) for case in cases)
    assert all(verify_signature(case.written, case.signature, SECRET) for case in cases)


def test_respaced_bodies_verify(cases: list[Case]) -> None:
    """A body verifies after a proxy has parsed and indented it in Python, with or without escapes."""
    for number, case in enumerate(cases):
        value = json.loads(case.written)
        ascii_only = number % 2 == 0 or LONE_SURROGATE.search(case.written) is not None
        spaced = json.dumps(value, indent=number % 5, ensure_ascii=ascii_only)
        assert verify_signature(spaced.encode(), case.signature, SECRET), spaced


def test_parsed_bodies_verify(cases: list[Case]) -> None:
    """A payload parsed by a framework verifies, from the sent text or from an equivalent one."""
    assert all(verify_signature(json.loads(case.written), case.signature, SECRET) for case in cases)
    assert all(verify_signature(json.loads(case.text), case.signature, SECRET) for case in cases)


def changed(rng: random.Random, body: bytes) -> bytes:
    """Change one byte: to any other, or to one that probably keeps the JSON valid."""
    place = rng.randrange(len(body))
    others = bytes(range(256)) if rng.random() < 0.3 else b"0123456789eE+-., \tabcdefABCDEF"
    byte = rng.choice([other for other in others if other != body[place]])
    return body[:place] + bytes([byte]) + body[place + 1 :]


def test_a_changed_byte_never_verifies(cases: list[Case]) -> None:
    """If any one byte of the sent body is changed, it does not verify."""
    rng = random.Random(1)
    for case in cases:
        tampered = changed(rng, case.written.encode())
        assert not verify_signature(tampered, case.signature, SECRET), tampered


def test_a_changed_byte_in_another_writing_verifies_only_if_it_means_the_same(cases: list[Case]) -> None:
    """In a reformatted or parsed body, a changed byte verifies exactly if Node signs the changed text alike.

    Examples are a space that became a tab, or the seventeenth digit of a number that is still the same double.
    """
    rng = random.Random(2)
    tampered: list[tuple[Case, bytes, str]] = []
    for case in cases:
        body = changed(
            rng, json.dumps(json.loads(case.written), indent=1, ensure_ascii=False).encode("utf-8", "replace")
        )
        try:
            tampered.append((case, body, body.decode()))
        except UnicodeDecodeError:
            assert not verify_signature(body, case.signature, SECRET)
    answers = reference([text for _, _, text in tampered])
    same = 0
    for (case, body, text), (written, signature) in zip(tampered, answers, strict=True):
        alike = signature == case.signature
        same += alike
        assert verify_signature(body, case.signature, SECRET) == alike, text
        if written is not None:
            parsed: Any = json.loads(text)
            assert verify_signature(parsed, case.signature, SECRET) == alike, text
    assert same < len(cases) / 2
