"""Check that what people read is plain English: README, docs, changelog, docstrings, comments and messages.

Usage: python .ci/voice.py [PATH...]    Prints one line for each finding and exits with 1 if there are any.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PROSE = ("README.md", "CHANGELOG.md", "docs/**/*.md", "examples/**/*.md")
CODE = ("enprompta/**/*.py", "examples/**/*.py", "tests/**/*.py", "docs/tools/*.py", ".ci/*.py")

# Words that have a plainer form, which is named.
TICS = {
    r"tells?|told|telling": "report, return, say, show",
    r"nobody|somebody|whoever|no one else": "no client, another thread, the caller",
    r"anew": "again",
    r"of (?:yours|mine|ours|his|theirs|its own|their own|one's own|your own|our own)": "your, its, a separate",
    r"(?:go|goes|going|went|gone) on(?! (?:to|a|the) )": "continue, resume",
    r"at its end": "when it ends",
    r"(?:what|that) came of|what became of|whatever becomes? of": "the result",
    r"in vain": "failed",
    r"made up": "invented",
    r"in earnest": "in production",
    r"dearest|dearer": "most expensive",
    r"see to it": "make sure",
    r"there is no such": "not found",
    r"for want of": "without",
    r"at hand": "available",
    r"stands? in for": "replaces",
    r"lets? go": "release",
    r"(?:hold|holds|held) against": "compare with, validate against",
    r"is held to|are held to": "must",
    r"whether or no": "whether",
    r"in the midst": "in the middle",
    r"be it": "or",
    r"thereby|therein|thereof|wherein|whereof|whereupon|heretofore|hitherto": "a plain clause",
}
TIC = re.compile("|".join(rf"(?P<t{number}>\b(?:{pattern})\b)" for number, pattern in enumerate(TICS)), re.IGNORECASE)
OPENER = re.compile(r"(?:What|Who|Whether|Whose|That which)\b|Be (?:the|a|an)\b|Give\b|Tell\b|Hold\b|Look at\b")
# Technical terms that contain one of the words.
ALLOWED = re.compile(r"people who|users who|anyone who|going on (?:a|the)|INTELLI|Intelli", re.IGNORECASE)


class Finding(NamedTuple):
    """One place to rewrite."""

    path: Path
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.problem}"


def tics(path: Path, line: int, text: str) -> Iterator[Finding]:
    """Find the banned words of a text that begins at a line."""
    for match in TIC.finditer(text):
        if ALLOWED.search(text[max(0, match.start() - 10) : match.end() + 10]):
            continue
        plain = list(TICS.values())[int(str(match.lastgroup)[1:])]
        yield Finding(path, line + text.count("\n", 0, match.start()), f"{match[0]!r}: write {plain}")


def prose(path: Path) -> Iterator[Finding]:
    """Check a Markdown page, its code blocks left out (their comments count as code does not)."""
    text = path.read_text(encoding="utf-8")
    blank = re.sub(r"^( *)```.*?^\1```", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.MULTILINE | re.DOTALL)
    yield from tics(path, 1, re.sub(r"`[^`\n]*`", lambda m: " " * len(m[0]), blank))


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """List the docstrings of a module, those below attributes included."""
    for node in ast.walk(tree):
        for child in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                yield child.lineno, child.value.value


def code(path: Path) -> Iterator[Finding]:
    """Check the docstrings, comments, strings and names of tests of a module."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from tics(path, node.lineno, node.name.replace("_", " "))
    for line, docstring in docstrings(tree):
        if OPENER.match(docstring):
            yield Finding(
                path, line, f"docstring opens with {docstring.split()[0]!r}: use an imperative or a noun phrase"
            )
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and " " in token.string):
            yield from tics(path, token.start[0], token.string)


def is_installed(path: Path) -> bool:
    """Return True for a file of a virtual environment or npm package below the tests."""
    return not {".venv", "node_modules", "phoenix"}.isdisjoint(path.relative_to(ROOT).parts)


def main(arguments: list[str]) -> int:
    """Check the given files, or all of them."""
    chosen = {Path(argument).resolve() for argument in arguments}
    findings: list[Finding] = []
    for patterns, check in ((PROSE, prose), (CODE, code)):
        for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
            if (chosen and path not in chosen) or path.resolve() == Path(__file__).resolve() or is_installed(path):
                continue
            findings += check(path)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
