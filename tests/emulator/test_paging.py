"""Pages lose and repeat nothing while items are added."""

from __future__ import annotations

import base64
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from enprompta.emulator.stores import prompts

if TYPE_CHECKING:
    import httpx


def fill(emulator: Emulator, number: int) -> None:
    """Insert prompts without requests."""
    services = emulator._started().services
    account = services.accounts.authenticate(f"Bearer {emulator.keys.enterprise}")
    with services.database.transaction():
        for index in range(number):
            prompts.create(services.database, account, {"title": "Same", "content": f"{index}"}, index)


def walk(client: httpx.Client, follow: str = "next_cursor", **params: Any) -> list[dict[str, Any]]:
    """Return every page from the first, or from a cursor."""
    pages = []
    while True:
        pages.append(client.get("/prompts", params=params).json())
        params["cursor"] = pages[-1]["pagination"][follow]
        if params["cursor"] is None:
            return pages


def test_pages_are_newest_first_and_twenty_long(emulator: Emulator, client: httpx.Client) -> None:
    """The default page has 20 items, newest first, with a cursor for the next page."""
    fill(emulator, 45)
    pages = walk(client)
    assert [len(it["data"]) for it in pages] == [20, 20, 5]
    assert [item["content"] for page in pages for item in page["data"]] == [str(n) for n in reversed(range(45))]
    assert [it["pagination"]["has_more"] for it in pages] == [True, True, False]
    assert [it["pagination"]["previous_cursor"] is None for it in pages] == [True, False, False]
    assert {it["pagination"]["total_count"] for it in pages} == {45}
    assert {it["pagination"]["limit"] for it in pages} == {20}


def test_previous_cursor_walks_back(emulator: Emulator, client: httpx.Client) -> None:
    """`previous_cursor` leads back through the same pages."""
    fill(emulator, 7)
    forth = walk(client, limit=3)
    back = walk(client, "previous_cursor", limit=3, cursor=forth[-1]["pagination"]["previous_cursor"])
    assert [it["data"] for it in back] == [it["data"] for it in reversed(forth[:-1])]
    assert [it["pagination"]["has_more"] for it in back] == [True, True]


def test_page_of_exactly_all(emulator: Emulator, client: httpx.Client) -> None:
    """A full page that holds the rest of the list is the last one."""
    fill(emulator, 5)
    pagination = client.get("/prompts?limit=5").json()["pagination"]
    assert (pagination["has_more"], pagination["next_cursor"]) == (False, None)


def test_ten_thousand_prompts_while_more_are_added(connect: Any) -> None:
    """10,000 prompts come in 100 pages, each once and in order, quickly, while others are created."""
    with Emulator(rate_limits=False) as emulator:
        fill(emulator, 10_000)
        client, other = connect(emulator), connect(emulator)
        client.event_hooks = {}  # pages are validated against the document in the other tests
        done = threading.Event()
        added: list[int] = []

        def add() -> None:
            while not done.is_set():
                added.append(other.post("/prompts", json={"title": "Same", "content": "new"}).status_code)

        adder = threading.Thread(target=add)
        started = time.monotonic()
        first = client.get("/prompts?limit=100").json()
        adder.start()
        try:
            rest = walk(client, limit=100, cursor=first["pagination"]["next_cursor"])
        finally:
            done.set()
            adder.join()
    contents = [it["content"] for page in [first, *rest] for it in page["data"]]
    assert contents == [str(n) for n in reversed(range(10_000))]
    assert len(rest) == 99
    assert set(added) == {201}
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5", "", "99999999999999999999"])
def test_limit_is_1_to_100(client: httpx.Client, limit: str) -> None:
    """Any other limit gets a 400 that says so."""
    response = client.get("/prompts", params={"limit": limit})
    assert response.status_code == 400
    assert response.json()["error"]["details"] == [
        {"field": "limit", "message": "Must be a whole number between 1 and 100"}
    ]


@pytest.mark.parametrize(
    "cursor", ["x", "é", "cHJvbXB0czwx!", "=", base64.urlsafe_b64encode(b"executions<5").decode(), "A" * 200]
)
def test_foreign_cursor_is_refused(client: httpx.Client, cursor: str) -> None:
    """An invalid cursor gets a 400, not the first page."""
    response = client.get("/prompts", params={"cursor": cursor})
    assert response.status_code == 400
    assert response.json()["error"]["details"] == [{"field": "cursor", "message": "Is not a cursor of this list"}]


def test_cursor_outlives_its_row(emulator: Emulator, client: httpx.Client) -> None:
    """Deleting the item of a cursor loses nothing."""
    fill(emulator, 6)
    first = client.get("/prompts?limit=3").json()
    client.delete(f"/prompts/{first['data'][-1]['id']}")
    rest = client.get("/prompts", params={"cursor": first["pagination"]["next_cursor"]}).json()
    assert [it["content"] for it in rest["data"]] == ["2", "1", "0"]
