"""The documentation site builds without a warning, leads nowhere that is not there, and leaves nothing out."""

from __future__ import annotations

import fcntl
import html.parser
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from enprompta import Enprompta

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PUBLIC = [
    "enprompta.models",
    "enprompta.errors",
    "enprompta.batch",
    "enprompta.batch.distributed",
    "enprompta.cache",
    "enprompta.codegen",
    "enprompta.emulator",
    "enprompta.exchanges",
    "enprompta.hooks",
    "enprompta.limiters",
    "enprompta.mcp",
    "enprompta.otel",
    "enprompta.outputs",
    "enprompta.pagination",
    "enprompta.rollouts",
    "enprompta.tables",
    "enprompta.templating",
    "enprompta.testing",
    "enprompta.tracing",
    "enprompta.webhooks",
    "enprompta.workbench",
]
RESOURCES = ("prompts", "executions", "templates", "workflows", "teams", "webhooks", "traces", "usage")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.step("pages"),
    pytest.mark.skipif(not importlib.util.find_spec("zensical"), reason="zensical is not installed"),
]


class Page(html.parser.HTMLParser):
    """The links, resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        given = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        if tag in {"script", "img", "iframe"} and (source := given.get("src")):
            self.loads.append(source)
        if tag == "link" and given.get("rel") in {"stylesheet", "icon", "preload"} and (href := given.get("href")):
            self.loads.append(href)


class Site:
    """The site as it was built."""

    def __init__(self, folder: Path, said: str) -> None:
        self.folder = folder
        self.said = said
        self.pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}

    def target(self, page: Path, link: str) -> Path:
        """Return the file that a link of a page leads to."""
        path = unquote(urlsplit(link).path)
        target = (page.parent / path).resolve() if path else page
        return target / "index.html" if target.is_dir() else target


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Build it, any warning being an error: once, though tests may be spread over processes, for it has one folder."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    told = tmp_path_factory.getbasetemp().parent / f"site-{session}"
    with told.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        said = file.read() or build()
        file.truncate(0)
        file.write(said)
    return Site(ROOT / "site", said)


def build() -> str:
    """Build the site; give what was said."""
    command = [sys.executable, str(DOCS / "tools" / "build_site.py")]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 0, said
    return said


def test_every_page_is_also_markdown(site: Site) -> None:
    """For programs that read documentation: each guide as Markdown, listed with a summary in `llms.txt`."""
    text = (site.folder / "llms.txt").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- \[[^\]]+\]\(([^)]+)\): (.+)$", text, re.MULTILINE))
    assert set(listed) == {path.name for path in DOCS.glob("*.md")}
    assert all((site.folder / name).is_file() and len(summary) > 20 for name, summary in listed.items())
    assert "--8<--" not in (site.folder / "llms-full.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("word", ["mock", "langchain", "streaming", "proxy", "retry", "idempotency"])
def test_search_finds(word: str, site: Site) -> None:
    """Words that newcomers search for are in the search index."""
    assert word in (site.folder / "search.json").read_text(encoding="utf-8").casefold()


def test_builds_without_a_warning(site: Site) -> None:
    """Neither the builder nor what reads the docstrings has anything to say against a page."""
    assert [line for line in site.said.splitlines() if re.search("warning|error", line, re.IGNORECASE)] == []


def test_every_link_leads_somewhere(site: Site) -> None:
    """A link within the site leads to a file that is there, and to a place on its page that is there."""
    dead: list[str] = []
    for path, page in site.pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("/"):  # the page for what is not found has absolute ones
                continue
            target = site.target(path, link)
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in site.pages and anchor not in site.pages[target].anchors):
                dead.append(f"{path.relative_to(site.folder)}: {link}")
    assert dead == []


def test_everything_is_served_by_the_site(site: Site) -> None:
    """Scripts, styles, fonts and pictures are the site's own, so that it can be read without a network."""
    foreign = {load for page in site.pages.values() for load in page.loads if urlsplit(load).netloc}
    assert foreign == set()


def test_every_page_is_in_the_menu(site: Site) -> None:
    """Every page can be reached by links."""
    written = {
        path.relative_to(DOCS).with_suffix("").as_posix().removesuffix("/index").replace("index", "")
        for path in DOCS.rglob("*.md")
    }
    home = site.folder / "index.html"
    clickable = {
        site.target(home, link).parent.relative_to(site.folder).as_posix().replace(".", "")
        for link in site.pages[home].links
        if not urlsplit(link).netloc
    }
    assert written - clickable == set()


def reference(site: Site) -> set[str]:
    """Everything that the API reference describes."""
    return {
        anchor
        for path, page in site.pages.items()
        if path.relative_to(site.folder).parts[0] == "reference"
        for anchor in page.anchors
    }


@pytest.mark.parametrize("module", ["enprompta", *PUBLIC])
def test_every_public_name_is_in_the_reference(site: Site, module: str) -> None:
    """Whatever can be imported from a public module is described, under one name or another."""
    described = reference(site)
    lacking = [
        name
        for name in importlib.import_module(module).__all__
        if name != "__version__" and not any(anchor.endswith(f".{name}") for anchor in described)
    ]
    assert lacking == []


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_method_is_in_the_reference(site: Site, resource: str) -> None:
    """Each method of each resource is described, with what it returns instead of the call that it is made of."""
    page = "webhook-calls" if resource == "webhooks" else resource
    path = site.folder / "reference" / page / "index.html"
    with Enprompta(api_key="ep_test") as client:
        methods = [name for name in dir(getattr(client, resource)) if not name.startswith(("_", "is_"))]
    kind = type(getattr(client, resource)).__name__
    described = site.pages[path].anchors
    assert [name for name in methods if f"enprompta.resources.{resource}.{kind}.{name}" not in described] == []
    content = path.read_text(encoding="utf-8").split('class="md-content"')[1]
    content = re.sub(r'<details class="mkdocstrings-source">.*?</details>', "", content, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "", content)
    shown = re.findall(r"^\) -&gt; (\w+)", text, re.MULTILINE)
    assert shown
    assert not {"Call", "Flow"} & set(shown)
