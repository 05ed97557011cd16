"""JavaScript and Python agree on which names a prompt's variables may have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import unicodedata

import pytest

from enprompta import templating
from tests.conformance.document import SCHEMAS

PATTERN = SCHEMAS["PromptVariableInput"]["properties"]["name"]["pattern"]
# Each code point that every supported Python knows, alone and inside a name, and what the dots and dashes may do.
LETTERS = [
    chr(point)
    for point in [*range(0x3400), *range(0xA000, 0x10000, 7)]
    if unicodedata.ucd_3_2_0.category(chr(point)) not in {"Cn", "Cs"}
]
NAMES = [
    *LETTERS,
    *(f"a{letter}b" for letter in LETTERS),
    *("", "topic", "first-name", "-first", "input.city", "steps.draft.output", ".x", "x.", "a..b", "a.-b", "a-.b"),
    *("größe", "名前", "имя", "١٢", "two words", "a\n", "a\nb", "{{a}}", "a}}{{b", "naïve_1", "e\u0301", "🙂"),
]
PROGRAM = """
const [pattern, names] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = ["", "u", "v"].map((flag) => names.map((name) => new RegExp(pattern, flag).test(name)));
console.log(JSON.stringify(found));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_pattern_is_ecma_262_and_means_the_same() -> None:
    """The pattern compiles in every mode of JavaScript, and in Python, and takes the names that templates take."""
    done = subprocess.run(
        ["node", "-e", PROGRAM],
        input=json.dumps([PATTERN, NAMES]),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    ours = [templating.variables(f"{{{{{name}}}}}") == [name] for name in NAMES]
    python = [re.search(PATTERN, name) is not None for name in NAMES]
    for theirs in (python, *json.loads(done.stdout)):
        wrong = [name for name, a, b in zip(NAMES, ours, theirs, strict=True) if a != b]
        assert wrong == [], sys.version
