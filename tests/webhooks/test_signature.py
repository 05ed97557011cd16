"""Only the signature that the reference's sample code produces is accepted."""

from __future__ import annotations

import email.message
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta.errors import ConfigurationError
from enprompta.webhooks import SIGNATURE_HEADER, matching_secret, sign, verify_signature
from enprompta.webhooks import signature as signature_module

SECRET = "whsec_0123456789"
EVENT: dict[str, Any] = {"id": "evt_1", "event": "prompt.executed", "data": {"cost": 0.0284, "10": 1, "2": 1.0}}
BODY = b'{"id":"evt_1","event":"prompt.executed","data":{"2":1,"10":1,"cost":0.0284}}'
GOOD = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "payload",
    [
        *(BODY, bytearray(BODY), memoryview(BODY), BODY.decode(), EVENT, types.MappingProxyType(EVENT)),
        *(json.dumps(EVENT), json.dumps(EVENT).encode(), json.dumps(EVENT, indent=4)),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_every_form_of_the_payload_verifies(payload: Any) -> None:
    """A delivery has one signature, whether its body is raw, reformatted or parsed, in any accepted type."""
    assert verify_signature(payload, GOOD, SECRET)
    assert not verify_signature(payload, GOOD, "another_secret")


def test_signing_is_the_inverse_of_verifying() -> None:
    """A signed delivery verifies, as a raw body or as a payload serialized by `ecma_json`."""
    assert sign(BODY, SECRET) == sign(BODY.decode(), SECRET) == sign(EVENT, SECRET.encode()) == GOOD
    assert verify_signature(b"\xff not JSON", sign(b"\xff not JSON", SECRET), SECRET)
    assert verify_signature("\ud800", sign("\ud800", SECRET), SECRET)
    halved = '{"a": "\ud800"}'  # a lone surrogate, as a lenient serializer writes it unescaped
    assert verify_signature(halved.encode("utf-8", "surrogatepass"), sign({"a": "\ud800"}, SECRET), SECRET)


def message(*headers: tuple[str, str]) -> email.message.Message:
    """Wrap headers in an object that is not a mapping, as in `http.server`."""
    held = email.message.Message()
    for name, value in headers:
        held[name] = value
    return held


def test_headers_need_not_be_a_mapping() -> None:
    """Headers with only `items()`, as in `http.server` and Flask, are read; a repeated signature is rejected."""
    assert verify_signature(BODY, message(("Host", "x"), (SIGNATURE_HEADER, GOOD)), SECRET)
    assert not verify_signature(BODY, message((SIGNATURE_HEADER, GOOD), (SIGNATURE_HEADER, GOOD)), SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {SIGNATURE_HEADER: GOOD},
        {"x-enprompta-signature": GOOD, "x-enprompta-signaturf": "x", "content-type": "application/json"},
        {"X-ENPROMPTA-SIGNATURE": GOOD.encode(), 3: 4},
        {b"X-Enprompta-Signature": GOOD.encode(), b"\xff" * 21: b""},
        {SIGNATURE_HEADER: [GOOD]},
        {SIGNATURE_HEADER: (GOOD.encode(),)},
    ],
)
def test_headers_are_read_whatever_their_case(headers: dict[Any, Any]) -> None:
    """All headers may be passed; the name is matched in any case, the value as text, bytes or a list of one."""
    assert verify_signature(BODY, headers, SECRET)


HOSTILE: dict[str, Any] = {
    "none": None,
    "empty": "",
    "no prefix": GOOD[7:],
    "other prefix": "sha512=" + GOOD[7:],
    "upper case": "sha256=" + GOOD[7:].upper(),
    "upper prefix": GOOD.replace("sha", "SHA"),
    "digits alone": "0" * 71,
    "too short": GOOD[:-1],
    "too long": GOOD + "0",
    "wrong": GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"),
    "blanks": f" {GOOD}",
    "newline": GOOD + "\n",
    "several": f"{GOOD},{GOOD}",
    "not hex": "sha256=" + "g" * 64,
    "not ASCII": "sha256=" + "é" * 64,
    "surrogate": "sha256=" + "\ud800" * 64,
    "wide digits": "sha256=" + "１" * 64,  # noqa: RUF001 (a fullwidth digit is the point)
    "NUL": "sha256=" + "\0" * 64,
    "bytes": b"\xff" * 71,
    "long": "0" * 10_000_000,
    "long bytes": b"0" * 10_000_000,
    "number": 71,
    "list": [GOOD],
    "no header": {},
    "another header": {"x-signature": GOOD},
    "header of None": {SIGNATURE_HEADER: None},
    "header twice": {SIGNATURE_HEADER: GOOD, SIGNATURE_HEADER.lower(): GOOD},
    "header with two": {SIGNATURE_HEADER: [GOOD, GOOD]},
    "header with none": {SIGNATURE_HEADER: []},
    "header in header": {SIGNATURE_HEADER: {SIGNATURE_HEADER: GOOD}},
    "odd names": {None: GOOD, 1: GOOD, b"\xff": GOOD},
}


@pytest.mark.parametrize("signature", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_signature_is_plainly_false(signature: Any) -> None:
    """No malformed signature raises, and only the valid signature verifies."""
    for payload in (BODY, EVENT):
        assert verify_signature(payload, signature, SECRET) is False
        assert matching_secret(payload, signature, [SECRET]) is None


@pytest.mark.parametrize(
    "name", ["digits alone", "other prefix", "upper case", "not hex", "not ASCII", "surrogate", "NUL"]
)
def test_what_is_no_signature_costs_no_more_than_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the value cannot be a signature, although its length is right, no payload is parsed or serialized."""
    payloads: list[Any] = []
    monkeypatch.setattr(signature_module, "rewrite", payloads.append)
    monkeypatch.setattr(signature_module, "ecma_json", payloads.append)
    for payload in (BODY, EVENT):
        assert not verify_signature(payload, HOSTILE[name], SECRET)
    assert payloads == []
    assert not verify_signature(BODY, HOSTILE["wrong"], SECRET)
    assert payloads == [BODY.decode()]


def cyclic() -> dict[str, Any]:
    """Build a payload that no parser returns."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"\xff", "NaN", "[NaN]", "[Infinity ]", "[" * 100_000, '{"a": ' * 100_000, "\ud800"),
        *({1: 2}, {"a": object()}, {"a": b"bytes"}, {"a": {1, 2}}, cyclic(), None, 5, [], object()),
    ],
    ids=lambda payload: str(type(payload).__name__),
)
def test_a_hostile_payload_is_plainly_false(payload: Any) -> None:
    """A body that is not JSON, or a payload with no JSON form, does not verify and does not raise."""
    assert verify_signature(payload, GOOD, SECRET) is False


@pytest.mark.parametrize("secret", ["", b"", [], [""], ["good", ""], (b"",), None, 5, [5], "\ud800"])
def test_a_secret_that_protects_nothing_is_refused(secret: Any) -> None:
    """An empty or missing secret is a configuration error, whatever the delivery contains."""
    for signature in (GOOD, None):
        with pytest.raises(ConfigurationError, match="webhook secret"):
            verify_signature(BODY, signature, secret)
    with pytest.raises(ConfigurationError):
        sign(BODY, secret if isinstance(secret, (str, bytes)) else "")


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "A webhook secret is empty, so anyone could sign: check where it is read from"),
        ([], "No webhook secret is given: pass the one that creating the webhook returned"),
        (None, "No webhook secret is given: pass the one that creating the webhook returned"),
        ([5], "A webhook secret must be a string or bytes, not int"),
        ("\ud800", "A webhook secret contains a lone surrogate: check how it is decoded"),
    ],
)
def test_the_error_names_what_is_wrong_with_a_secret(secret: Any, problem: str) -> None:
    """The message names what was given instead of a secret and where to look, and never shows its value."""
    with pytest.raises(ConfigurationError) as caught:
        verify_signature(BODY, GOOD, secret)
    assert str(caught.value) == problem


def test_rotation_reports_which_secret_matched() -> None:
    """During a rotation both secrets verify, and the index shows which one was used."""
    secrets = ["new", SECRET, b"old", SECRET]
    assert matching_secret(BODY, GOOD, secrets) == 1
    assert matching_secret(json.dumps(EVENT), GOOD, secrets) == 1
    assert matching_secret(EVENT, sign(EVENT, "old"), tuple(secrets)) == 2
    assert matching_secret(BODY, GOOD, SECRET) == 0
    assert matching_secret(BODY, GOOD, ["new", "old"]) is None


def test_signing_needs_something_to_sign() -> None:
    """Signing a payload with no JSON form raises TypeError."""
    with pytest.raises(TypeError, match="A object has no JSON form"):
        sign({"a": object()}, SECRET)
    with pytest.raises(TypeError, match="JSON object keys must be strings, not int"):
        sign({"a": [{1: 2}]}, SECRET)


def test_digits_that_round_alike_do_not_verify_in_a_sent_body() -> None:
    """Changing any digit of a sent body fails verification, even if the value stays the same."""
    signature = sign(b'{"n":9007199254740992}', SECRET)
    assert not verify_signature(b'{"n":9007199254740993}', signature, SECRET)
    assert verify_signature({"n": 9007199254740993}, signature, SECRET)  # what JavaScript reads in both cases


def test_a_signature_of_ten_megabytes_costs_no_more() -> None:
    """A hostile signature of any length is rejected before anything is hashed."""

    def seconds(signature: Any) -> float:
        best = float("inf")
        for _ in range(50):
            start = time.perf_counter()
            verify_signature(BODY, signature, SECRET)
            best = min(best, time.perf_counter() - start)
        return best

    for huge in ("0" * 10_000_000, b"0" * 10_000_000, {SIGNATURE_HEADER: "é" * 10_000_000}, {"0" * 10_000_000: GOOD}):
        assert seconds(huge) < 2 * seconds(GOOD)


@pytest.mark.parametrize("piece", ["1,", "[],", '{"1":0},', '"a",', '"\\u00e9",', "1e30,", "9", "[", '"', "\\", " "])
def test_refusing_a_body_takes_linear_time(piece: str) -> None:
    """The time to reject a body is linear in its length, whatever its content."""

    def seconds(size: int) -> float:
        body = "[ " + piece * (size // len(piece)) + "1]"
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            assert not verify_signature(body, GOOD, SECRET, max_reserialized=size * 2)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(160_000) < 8 * max(seconds(20_000), 0.001) * 4  # quadratic would be 64


LIMIT = 65_536
WORST = {
    "short numbers": ("[", "1,", "1]"),
    "long numbers": ("[", "1.7976931348623157e308,", "1]"),
    "small exponents": ("[", "2e-9,", "1]"),
    "integers beyond 2**53": ("[", "9007199254740993,", "1]"),
    "one number": ("", "9", ""),
    "halfway digits": ("[0.", "0" * 300 + "1" * 400, "]"),
    "objects": ("[", '{"1":0},', "1]"),
    "index keys": ("{", '"%d":0,', '"":0}'),
    "repeated keys": ("{", '"1":0,', '"":0}'),
    "escapes": ('["', "\\u0001", '"]'),
    "lone surrogates": ('["', "\\ud800", '"]'),
    "lone surrogates in UTF-8": ('["', "\udfff", '"]'),
    "shallow nests": ("[", "[" * 90 + "]" * 90 + ",", "1]"),
    "deep nests": ("[", '{"":' * 150 + "0" + "}" * 150 + ",", "1]"),
    "a long text deep down": ('{"":' * 400 + '"\U0001f600', "a", '"' + "}" * 400),
}


@pytest.mark.parametrize("kind", WORST)
def test_a_wrong_signature_costs_at_most_thirty_milliseconds(kind: str) -> None:
    """Rejecting a body costs at most 30 ms of CPU, whatever its content, at the default limit and beyond it."""
    start, piece, end = WORST[kind]
    size = len(piece.encode("utf-8", "surrogatepass"))
    number = (LIMIT - len((start + end).encode())) // (size + 4 * ("%" in piece))
    pieces = "".join(piece % (99_999 - at) for at in range(number)) if "%" in piece else piece * number
    body = (start + pieces + end).encode("utf-8", "surrogatepass")
    assert LIMIT * 0.8 < len(body) <= LIMIT
    for each in (body, body * 16):
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            assert not verify_signature(each, GOOD, SECRET)
            best = min(best, time.process_time() - began)
        assert best < (0.030 if sys.gettrace() is None else 0.3)  # a coverage tracer costs more than the code


def test_re_serializing_is_bounded() -> None:
    """A reformatted body verifies up to the limit, an unchanged one at any size; the limit can be changed or 0."""
    signed = json.dumps({"text": "a" * 70_000}, separators=(",", ":")).encode()
    signature = sign(signed, SECRET)
    reformatted = signed.replace(b":", b": ")
    assert verify_signature(signed, signature, SECRET, max_reserialized=0)
    assert not verify_signature(reformatted, signature, SECRET)
    assert not verify_signature(reformatted, signature, SECRET, max_reserialized=len(reformatted) - 1)
    assert verify_signature(reformatted, signature, SECRET, max_reserialized=len(reformatted))
    assert matching_secret(reformatted, signature, SECRET, max_reserialized=len(reformatted)) == 0
    assert verify_signature(b" " * (LIMIT - len(BODY)) + BODY, GOOD, SECRET)
    assert not verify_signature(b" " * (LIMIT - len(BODY) + 1) + BODY, GOOD, SECRET)
    with pytest.raises(ConfigurationError, match="max_reserialized must be 0 or a positive number of bytes"):
        verify_signature(BODY, GOOD, SECRET, max_reserialized=-1)


def test_comparing_is_left_to_the_constant_time_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key's signature is compared in full, by `hmac.compare_digest`, over bytes of equal length."""
    compared: list[tuple[int, int]] = []

    def spy(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr("enprompta.webhooks.signature.compare_digest", spy)
    assert verify_signature(BODY, GOOD, [SECRET, "a", "b"])
    assert compared == [(71, 71)] * 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
signatures = (
    st.none()
    | st.text(max_size=90)
    | st.binary(max_size=90)
    | st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256={}".format)
    | st.dictionaries(st.sampled_from([SIGNATURE_HEADER, "x-enprompta-signature", "x"]), st.text() | st.none())
)


@settings(deadline=None, max_examples=300)
@given(payload=json_values | st.binary() | st.text(), signature=signatures)
def test_no_input_raises(payload: Any, signature: Any) -> None:
    """Any unsigned input yields False."""
    assert verify_signature(payload, signature, SECRET) is False


@settings(deadline=None, max_examples=100)
@given(payload=st.dictionaries(st.text(), json_values), indent=st.none() | st.integers(0, 3), ascii_only=st.booleans())
def test_what_is_signed_verifies(payload: Any, indent: int | None, *, ascii_only: bool) -> None:
    """A parsed payload verifies, and so does a body reformatted with or without escapes."""
    signature = sign(payload, SECRET)
    assert verify_signature(payload, signature, SECRET)
    finite = json.loads(json.dumps(payload), parse_constant=lambda _: None)
    assert verify_signature(
        json.dumps(finite, indent=indent or 1, ensure_ascii=ascii_only), sign(finite, SECRET), SECRET
    )


def test_verifying_is_light_to_import() -> None:
    """Verification alone loads no store, event model or event loop."""
    probe = (
        "import sys, enprompta; before = set(sys.modules)\n"
        "import enprompta.webhooks as w; w.verify_signature(b'', '', 's')\n"
        "heavy = ('enprompta.webhooks', 'enprompta.models', 'sqlite3', 'redis', 'pydantic')\n"
        "print(*sorted(name for name in set(sys.modules) - before if name.startswith(heavy)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().split() == [f"enprompta.webhooks{part}" for part in ("", ".ecma_json", ".signature")]
