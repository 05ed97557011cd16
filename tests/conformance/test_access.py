"""Every operation keeps what belongs to an account or a team from other accounts."""

from __future__ import annotations

import httpx
import pytest

from enprompta.emulator import Emulator
from tests.conformance.document import OPERATIONS, of
from tests.conformance.recorded import requests
from tests.conformance.seeds import sow
from tests.conformance.table import TEAM

SHARED = {"prompts", "workflows", "teams"}  # a team's objects; all others belong to one account
EXCEPTIONS = {
    *("templates.get", "templates.fork"),  # templates are for everyone
    "teams.leave",  # of teams whose owner is not the account under test
}
ON_OBJECTS = sorted(name for name, it in OPERATIONS.items() if "{" in it.path and name not in EXCEPTIONS)
INTO_A_TEAM = ["prompts.create", "workflows.create"]


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[httpx.Response, httpx.Response]]:
    """Responses to a stranger and a VIEWER of the team, for each request of the account that owns the objects."""
    seen: dict[str, tuple[httpx.Response, httpx.Response]] = {}
    with Emulator(rate_limits=False, webhook_backoff=()) as emulator, httpx.Client(trust_env=False) as http:
        sow(emulator)
        database = emulator._started().services.database
        database.run("UPDATE prompts SET team_id = ?, visibility = 'TEAM'", TEAM)
        database.run("UPDATE workflows SET team_id = ?", TEAM)

        def send(request: httpx.Request, key: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            return http.request(request.method, request.url, content=request.content, headers=headers)

        members, viewer = f"{emulator.url}/teams/{TEAM}/members", {"email": "team@example.com", "role": "VIEWER"}
        added = send(httpx.Request("POST", members, json=viewer), emulator.keys.enterprise)
        assert added.is_success, added.text
        for request in requests(emulator):
            seen[of(request).id] = (send(request, emulator.keys.pro), send(request, emulator.keys.team))
    return seen


@pytest.mark.parametrize("name", ON_OBJECTS)
def test_a_stranger_finds_nothing(answers: dict[str, tuple[httpx.Response, httpx.Response]], name: str) -> None:
    """An object of another account or team is a 404 for each operation."""
    stranger, _ = answers[name]
    assert stranger.status_code == 404, (
        f"{name} gives strangers a {stranger.status_code}: its route must fetch the object as the account sees it"
    )


@pytest.mark.parametrize("name", [*ON_OBJECTS, *INTO_A_TEAM])
def test_a_viewer_only_reads(answers: dict[str, tuple[httpx.Response, httpx.Response]], name: str) -> None:
    """A VIEWER of a team reads what is the team's and gets a 403 for every write; what is an account's is a 404."""
    _, viewer = answers[name]
    expected = 404 if name.partition(".")[0] not in SHARED else 200 if OPERATIONS[name].method == "GET" else 403
    assert viewer.status_code == expected, (
        f"{name} gives a VIEWER of the team a {viewer.status_code}, not a {expected}: its route must call "
        "`get_writable` or `teams.require_writer`"
    )
