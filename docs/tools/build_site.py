"""Build the documentation site, with each page as Markdown beside its HTML and an `llms.txt` that lists them.

Usage: python docs/tools/build_site.py    Writes `site/`; a warning is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS, SITE = ROOT / "docs", ROOT / "site"
SNIPPET = re.compile(r'^( *)--8<-- "([^"]+)"$', re.MULTILINE)


def title_of(text: str, path: Path) -> str:
    """Take the page's first heading."""
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return heading[1] if heading else path.stem


def summary_of(text: str) -> str:
    """Take the first sentence of the page's first paragraph."""
    paragraphs = re.split(r"\n{2,}", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    paragraph = next((part.strip() for part in paragraphs if re.match(r"\s*[A-Z`\[]", part)), "")
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
    return re.split(r"(?<=[.:])\s", plain, maxsplit=1)[0]


def with_snippets(text: str) -> str:
    """Replace the references to files with their content."""

    def content(match: re.Match[str]) -> str:
        lines = (ROOT / match[2]).read_text(encoding="utf-8").rstrip().splitlines()
        return "\n".join(match[1] + line if line else "" for line in lines)

    return SNIPPET.sub(content, text)


def write_texts() -> None:
    """Write the Markdown pages, `llms.txt` and `llms-full.txt`."""
    listed, full = [], []
    for path in sorted(DOCS.glob("*.md")):
        text = with_snippets(path.read_text(encoding="utf-8"))
        (SITE / path.name).write_text(text, encoding="utf-8")
        listed.append(f"- [{title_of(text, path)}]({path.name}): {summary_of(text)}")
        full.append(text)
    head = "# enprompta\n\n> The official Python client for the Enprompta REST API.\n\n## Pages\n\n"
    (SITE / "llms.txt").write_text(head + "\n".join(listed) + "\n", encoding="utf-8")
    (SITE / "llms-full.txt").write_text("\n\n".join(full), encoding="utf-8")
    shutil.copy(DOCS / "openapi.yaml", SITE / "openapi.yaml")


def main() -> int:
    """Build the site, then add the texts."""
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, check=False)
    if done.returncode == 0:
        write_texts()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
