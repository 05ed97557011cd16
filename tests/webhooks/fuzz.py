"""Fuzz `verify_signature` and `construct_event` by mutation: `python -m tests.webhooks.fuzz 1000000 [seed]`.

Inputs are mutations of real deliveries, half of them signed again, to reach the code behind the signature check.
The program fails on the first exception other than the two documented ones, and prints the number of each outcome.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from typing import Any

from enprompta.errors import WebhookPayloadError, WebhookSignatureError
from enprompta.webhooks import construct_event, sign, verify_signature

SECRET = "whsec_0123456789"
SEEDS = (
    (
        b'{"id":"evt_1","event":"prompt.executed","created_at":"2024-01-17T10:15:00Z","data":'
        b'{"execution_id":"exe_1","prompt_id":"pmt_1","status":"completed","tokens_used":568,"cost":0.0284}}'
    ),
    (
        b'{ "id":"evt_2","event":"workflow.failed","created_at":1705486500,"data":'
        b'{"execution_id":"a","workflow_id":"b","error":{"10":1e21,"9":-0.0,"x":"\\ud800\\u00e9"}}}'
    ),
    b'{"id":"evt_3","event":"team.member_added","created_at":"2024-01-17T10:15:00+23:59","data":{"team_id":1}}',
    b'{"id":"evt_4","event":"new","created_at":"0001-01-01T00:00:00+14:00","data":[[[[null,true,false]]]]}',
)
PIECES = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\",
        b"\\u",
        b"\\ud83d",
        b"e",
        b"-",
        b".",
        b"0",
        b"9" * 400,
        b"1e400",
    ),
    *(
        b"null",
        b"NaN",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b" ",
        b"\n",
        b'"event":',
        b'"id":5,',
        b"[" * 2000,
    ),
    *(b"prompt.executed", b"9999-12-31T23:59:59.999999-23:59", b"1e308", b"-62135596800", b'{"__proto__":{}}'),
)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Change, insert, remove or repeat some bytes."""
    body = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 8))):
        place = rng.randrange(len(body) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            body[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            body[place:place] = rng.choice(PIECES)
        elif kind == 2:
            del body[place : place + rng.randrange(20)]
        else:
            body[place:place] = body[place : place + rng.randrange(50)]
    return bytes(body)


def payload_of(rng: random.Random, body: bytes) -> Any:
    """Return a body in one of the accepted types."""
    form = rng.randrange(4)
    if form == 0:
        return body.decode("utf-8", "surrogateescape")
    if form == 1:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return bytearray(body)
    return body


def signature_of(rng: random.Random, payload: Any, body: bytes) -> Any:
    """Sign the payload, or forge a signature."""
    draw = rng.random()
    if draw < 0.5:
        good = sign(payload if isinstance(payload, (dict, list)) else body, SECRET)
        return {"x-Enprompta-Signature": good} if draw < 0.1 else good
    forged = mutate(rng, sign(SEEDS[0], SECRET).encode())
    if draw < 0.6:
        return {rng.choice(("X-Enprompta-Signature", "X", b"x-enprompta-signature", None)): forged}
    if draw < 0.7:
        return rng.choice((None, "", b"", {}, {"X-Enprompta-Signature": None}, 5, [], "sha256=" + "\ud800" * 64))
    return forged if draw < 0.8 else forged.decode("latin-1")


def run(inputs: int, seed: int) -> Counter[str]:
    """Try a number of inputs; return the count of each outcome."""
    rng, outcomes = random.Random(seed), Counter[str]()
    for _ in range(inputs):
        body = mutate(rng, rng.choice(SEEDS))
        payload = payload_of(rng, body)
        signature = signature_of(rng, payload, body)
        verified = verify_signature(payload, signature, SECRET)
        try:
            outcome = type(construct_event(payload, signature, SECRET, tolerance=rng.choice((None, 1e9)))).__name__
        except (WebhookSignatureError, WebhookPayloadError) as error:
            outcome = type(error).__name__
        if outcome != "WebhookSignatureError" and not verified:
            raise AssertionError((payload, signature))
        outcomes[outcome] += 1
    return outcomes


if __name__ == "__main__":
    started, number = time.process_time(), int(sys.argv[1])
    found = run(number, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    each = (time.process_time() - started) / number
    sys.stdout.write(f"{number} inputs, {each * 1e6:.0f} us each, {dict(found)}\n")
