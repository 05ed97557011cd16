"""Redaction takes linear time, also for texts that are made to take long.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1 MB instead of 128 kB.
"""

from __future__ import annotations

import os
import time

import pytest

from enprompta.tracing.redaction import Redaction

SIZE = 2**20 if os.environ.get("ENPROMPTA_LONG_TESTS") else 2**17
LINEAR = {
    "prose": "The quick brown fox, 12 of them, jumps over https://example.com/x?a=1 at noon. ",
    "letters": "a",
    "at": "@",
    "mails": "a@",
    "digits": "4",
    "spaced digits": "4 ",
    "percent": "%",
    "percents": "%25",
    "backslashes": "\\",
    "escapes": "\\u0040",
    "brackets": "[",
    "objects": '{"a":',
    "tokens": "eyJ",
    "names": "password=",
    "keys": "-----BEGIN PRIVATE KEY-----",
    "colons": "a::",
    "ibans": "DE89 ",
    "entities": "&amp;",
    "spelled": "a at b dot ",
    "wide": "你好。世界。",
    "urls": "://a:",
    "dots": "1.",
    "plus": "+1 ",
    "parentheses": "(0",
    "quotes": '"',
    "hex": "0a ",
    "zero width": "\u200b",
    "equals": "=",
    "sk": "sk-",
    "ep": "-ep_",
    "dashed tokens": "-eyJ",
    "dashed mails": "-SG.a",
    "slack": "-xox",
    "cookie": "cookie: ",
    "base64": "YWJj",
    "letters of other scripts": "\u0430",
    "letters of two scripts": "a\u0430",
    "flags": "--",
    "named flags": "--password ",
    "users": " -u a",
    "pins": "pin ",
    "elements": "<password>",
    "spaced mails": "a @ b . ",
    "quoted-printable": "=C3",
    "six digits": "1,,,,,,",
}


@pytest.mark.slow
@pytest.mark.step("tracing")
@pytest.mark.parametrize("text", LINEAR)
def test_time_is_linear(text: str) -> None:
    """The worst texts take at most some eight times as long as a quarter of them."""
    redaction = Redaction()

    def seconds(size: int) -> float:
        subject = (LINEAR[text] * (size // len(LINEAR[text]) + 1))[:size]
        start = time.process_time()
        redaction.redact_text(subject)
        return time.process_time() - start

    short = min(seconds(SIZE // 4) for _ in range(2))
    assert seconds(SIZE) < 8 * short + 0.2
