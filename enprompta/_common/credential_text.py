"""Detect typical mistakes in an API key or secret: quotes, assignments, header names, invisible characters."""

from __future__ import annotations

import re

_QUOTES = frozenset("\"'`\u201c\u201d\u2018\u2019\u201e\u201a\u00ab\u00bb")
_USUAL = re.compile(r"(?!(?i:enprompta_))[\w.~+/-]+=*", re.ASCII)  # the common case
# Compiled on first use, because most credentials have no problem.
_ASSIGNMENT = r"(?i:export\s|set\s|setenv\s|env\s|\$env:|ENPROMPTA_\w*\s*[=:])"
_HEADER = r"(?i:authorization\s*:|bearer\s)"


def problem_of(text: str, *, ascii_only: bool) -> str | None:
    """Describe the problem of a credential and its fix, without showing it; None if it is valid."""
    if _USUAL.fullmatch(text):
        return None
    stripped = text.strip()
    if not text:
        return "is empty: check where it is read from"
    if not _QUOTES.isdisjoint({stripped[:1], stripped[-1:]}):
        problem = "is written in quotes, which are not a part of it: take them away where it is read from"
    elif re.match(_ASSIGNMENT, stripped):
        problem = "holds a whole assignment: keep only what stands behind the equals sign"
    elif re.match(_HEADER, stripped):
        problem = 'begins as a header does: leave out "Authorization:" and "Bearer"'
    elif " " in text or not text.isprintable():
        problem = (
            "holds a blank, a line break or another invisible character: copy it again "
            "(a file or variable it was read from may end with a line break)"
        )
    elif ascii_only and not text.isascii():
        problem = "holds a character outside of ASCII, which no key has: copy it again"
    else:
        problem = None
    return problem
