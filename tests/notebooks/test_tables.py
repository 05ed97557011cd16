"""Pages, usage, executions and single objects as tables, in notebooks and as data frames."""

from __future__ import annotations

import html.parser
import json
import pickle
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, Page, tables
from enprompta.models import CreatedWebhook, Execution, Pagination, Prompt, Usage, UsageRecord
from enprompta.tables import Records

HOSTILE = "<script>alert('1')</script>&\"<img src=x onerror=alert(2)>"
EXECUTIONS = [
    {"id": "e1", "promptId": "p1", "status": "completed", "output": HOSTILE, "tokens": 7, "cost": 0.25,
     "variables": {HOSTILE: HOSTILE}, "createdAt": "2026-01-02T03:04:05Z", "new": 1},
    {"id": "e2", "promptId": "p2", "status": "failed", "tokens": None, "cost": 1, "error": {"why": "x"}},
]  # fmt: skip


class Table(html.parser.HTMLParser):
    """Parses a table: its tags and the texts of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Record a text."""
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def answering(data: Any, **envelope: Any) -> Any:
    """Answer every request with `data`."""
    return httpx.MockTransport(lambda _: httpx.Response(200, json={"success": True, "data": data, **envelope}))


@pytest.fixture
def page() -> Page[Execution]:
    """Two executions of nine."""
    return Page([Execution(**one) for one in EXECUTIONS], Pagination(has_more=True, total_count=9))


def test_a_page_is_a_table(page: Page[Execution]) -> None:
    """A page has a row per item, a column per field with a value, and a caption with its share of the listing."""
    text = page._repr_html_()
    table = Table(text)
    assert table.rows[0] == [
        "id", "prompt_id", "status", "output", "tokens", "cost", "variables", "created_at", "error", "new",
    ]  # fmt: skip
    assert table.rows[1][:3] == ["e1", "p1", "completed"]
    assert table.rows[1][7] == "2026-01-02 03:04:05+00:00"
    assert table.rows[2][4] == ""
    assert "Page: 2 of 9 items, more to come" in text


def test_everything_is_escaped(page: Page[Execution]) -> None:
    """Prompts, outputs and keys are shown as text, never as markup."""
    for it in (page, page.data[0], Records(page.data)):
        table = Table(it._repr_html_())
        assert table.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "strong"}
        assert any(HOSTILE in cell for row in table.rows for cell in row)
    assert HOSTILE in Table(Prompt(id="p", title="t", content="c", **{HOSTILE: 1})._repr_html_()).rows[-1][0]  # type: ignore[arg-type]


def test_long_ones_are_cut_short() -> None:
    """Thousands of rows and long texts are truncated."""
    many = [Prompt(id=str(number), title="t", content="x" * 1_000_000) for number in range(60)]
    text = tables.to_html(many)
    assert len(text) < 50_000
    assert "10 more rows are not shown" in text
    assert Table(text).rows[1][2].endswith("x…")


def test_secrets_are_not_shown() -> None:
    """Fields hidden from `repr` are hidden in notebooks too."""
    webhook = CreatedWebhook(id="w", secret="whsec_x")
    assert "whsec_x" not in webhook._repr_html_()
    assert "whsec_x" not in tables.to_html([webhook])


def test_nothing_is_an_empty_table() -> None:
    """A page without items is shown too."""
    empty: Page[Prompt] = Page([], Pagination())
    assert "0 items, the last page" in empty._repr_html_()
    assert Table(tables.to_html([1, None, "x"])).rows == [["value"], ["1"], [""], ["x"]]


def test_lists_of_records_are_tables() -> None:
    """`usage.history()` returns a list that is shown as a table, also after slicing or pickling."""
    http = httpx.Client(transport=answering([{"key": "2026-01-01", "date": "2026-01-01", "tokens": 5, "cost": 0.5}]))
    with http, Enprompta(api_key="ep_x", http_client=http, limiter=None) as client:
        history: Any = client.usage.history()
        stats: Any = client.executions.stats()
    assert isinstance(history, list)
    assert history == [UsageRecord(key="2026-01-01", date="2026-01-01", tokens=5, cost=0.5)]  # type: ignore[arg-type]
    for it in (history, stats, history[:1], pickle.loads(pickle.dumps(history))):
        assert Table(it._repr_html_()).rows[1] == ["2026-01-01", "2026-01-01", "5", "0.5"]
    assert history[0].tokens == 5


async def first_page(client: AsyncEnprompta) -> Any:
    """List executions."""
    async with client:
        return await client.executions.list()


def test_async_pages_too() -> None:
    """A page of the async client is shown as the same table."""
    import asyncio

    http = httpx.AsyncClient(transport=answering(EXECUTIONS, pagination={"hasMore": False}))
    page = asyncio.run(first_page(AsyncEnprompta(api_key="ep_x", http_client=http, limiter=None)))
    assert len(Table(page._repr_html_()).rows) == 3
    pytest.importorskip("pandas")
    assert list(page.to_pandas()["id"]) == ["e1", "e2"]


def test_usage_is_a_table() -> None:
    """A single object is shown as a table of its fields."""
    usage = Usage.model_validate(
        {"plan": "pro", "tokens": {"used": 1, "limit": None}, "periodStart": "2026-01-01T00:00:00Z"}
    )
    rows = Table(usage._repr_html_()).rows
    assert rows == [
        ["plan", "pro"],
        ["period_start", "2026-01-01 00:00:00+00:00"],
        ["tokens", json.dumps({"used": 1, "limit": None, "remaining": None})],
    ]


def test_pandas(page: Page[Execution]) -> None:
    """Each field is a typed column, unknown ones too."""
    pytest.importorskip("pandas")
    frame = page.to_pandas()
    assert list(frame["id"]) == ["e1", "e2"]
    assert frame["cost"].sum() == 1.25
    assert frame["new"][0] == 1
    assert frame["variables"][0] == {HOSTILE: HOSTILE}
    assert frame["created_at"][0].to_pydatetime() == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert len(Records(page.data).to_pandas()) == 2
    assert len(tables.to_pandas([])) == 0


def test_polars(page: Page[Execution]) -> None:
    """Each field is a typed column; values without a common type are text."""
    pytest.importorskip("polars")
    frame = page.to_polars()
    assert frame["id"].to_list() == ["e1", "e2"]
    assert frame["cost"].sum() == 1.25
    assert frame["created_at"][0] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert len(Records(page.data).to_polars()) == 2
    assert len(tables.to_polars([])) == 0
    mixed = [Execution(id="a", error="text"), Execution(id="b", error={"why": 1}), Execution(id="c", error=2**70)]
    assert tables.to_polars(mixed)["error"].to_list() == ["text", '{"why": 1}', str(2**70)]


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_what_is_not_installed_is_named(name: str, page: Page[Execution], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; other functions do not need it."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"^to_{name}\(\) needs {name}: pip install {name}$"):
        getattr(page, f"to_{name}")()


def test_neither_is_loaded_with_the_package() -> None:
    """Both libraries are loaded only when they are used."""
    code = "import sys; from enprompta import *; assert not {'pandas', 'polars'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
