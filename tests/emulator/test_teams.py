"""Teams: members, permissions and shared objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from enprompta.emulator import Emulator
    from tests.emulator.conftest import Clock

PROMPT = {"title": "Reply", "content": "Dear {{name}}"}


@pytest.fixture
def team(client: httpx.Client) -> dict[str, Any]:
    """A team of the enterprise account."""
    return client.post("/teams", json={"name": "Editorial", "description": "Writes"}).json()["data"]


@pytest.fixture
def join(emulator: Emulator, connect: Any, client: httpx.Client, team: dict[str, Any]) -> Callable[..., httpx.Client]:
    """Add another account to the team and return its client."""

    def make(role: str, tier: str = "team") -> httpx.Client:
        body = {"email": f"{tier}@example.com", "role": role}
        assert client.post(f"/teams/{team['id']}/members", json=body).status_code == 201
        return connect(emulator, getattr(emulator.keys, tier))

    return make


def refusal(response: httpx.Response) -> tuple[int, str]:
    """The status and message of an error."""
    return response.status_code, response.json()["error"]["message"]


def test_the_creator_of_a_team_owns_it(client: httpx.Client, team: dict[str, Any], clock: Clock) -> None:
    """The creator is the owner and only member of a new team, which can be read, updated, listed and deleted."""
    path = f"/teams/{team['id']}"
    assert team.pop("id").startswith("tem_")
    assert team == {
        "name": "Editorial",
        "description": "Writes",
        "ownerId": "usr_enterprise",
        "memberCount": 1,
        "createdAt": "2024-01-17T12:00:00Z",
        "updatedAt": "2024-01-17T12:00:00Z",
    }
    clock.now += 60
    changed = client.put(path, json={"description": None}).json()["data"]
    assert changed.items() >= {"name": "Editorial", "description": None, "updatedAt": "2024-01-17T12:01:00Z"}.items()
    assert client.put(path, json={}).json()["data"] == changed == client.get(path).json()["data"]
    assert client.put(path).json()["error"]["details"] == [{"field": "body", "message": "Required"}]
    assert client.get("/teams").json()["data"] == [changed]
    [member] = client.get(f"{path}/members").json()["data"]
    assert member.pop("id").startswith("mem_")
    assert member == {
        "userId": "usr_enterprise",
        "email": "enterprise@example.com",
        "name": "Enterprise User",
        "role": "OWNER",
        "joinedAt": "2024-01-17T12:00:00Z",
    }
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get("/teams").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"name": "Required"}),
        ({"name": ""}, {"name": "Must not be empty"}),
        (
            {"name": "x" * 101, "description": 5},
            {"name": "Must be at most 100 characters", "description": "Must be text"},
        ),
    ],
)
def test_fields_of_a_team_are_checked(client: httpx.Client, body: dict[str, Any], wrong: dict[str, str]) -> None:
    """An invalid field gets a 400 that names it."""
    answer = client.post("/teams", json=body)
    assert answer.status_code == 400
    assert {it["field"]: it["message"] for it in answer.json()["error"]["details"]} == wrong


def test_accounts_that_share_a_team(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A member added by an account's email sees the team in its list; other accounts do not."""
    member = join("MEMBER")
    [seen] = member.get("/teams").json()["data"]
    assert seen == {**team, "memberCount": 2}
    roles = {it["userId"]: it["role"] for it in member.get(f"/teams/{team['id']}/members").json()["data"]}
    assert roles == {"usr_enterprise": "OWNER", "usr_team": "MEMBER"}


def test_a_team_is_not_found_by_non_members(
    client: httpx.Client, team: dict[str, Any], emulator: Emulator, connect: Any
) -> None:
    """Every request of a non-member gets a 404."""
    other, path = connect(emulator, emulator.keys.pro), f"/teams/{team['id']}"
    answers = [
        other.get(path),
        other.put(path, json={"name": "x"}),
        other.delete(path),
        other.post(f"{path}/leave"),
        other.get(f"{path}/members"),
        other.post(f"{path}/members", json={"email": "pro@example.com"}),
        other.put(f"{path}/members/usr_enterprise", json={"role": "VIEWER"}),
        other.delete(f"{path}/members/usr_enterprise"),
        other.post("/prompts", json={**PROMPT, "teamId": team["id"]}),
    ]
    assert [it.status_code for it in answers] == [404] * len(answers)


def test_people_without_an_account(client: httpx.Client, team: dict[str, Any]) -> None:
    """An email without an account is a new person, the same one in every team and any case."""
    path = f"/teams/{team['id']}/members"
    added = client.post(path, json={"email": "Ada@Example.org"}).json()["data"]
    assert added.items() >= {"email": "Ada@Example.org", "name": None, "role": "MEMBER"}.items()
    assert added["userId"].startswith("usr_")
    again = client.post(path, json={"email": "ada@example.ORG"})
    assert refusal(again) == (409, "ada@example.ORG is already a member of the team")
    other = client.post("/teams", json={"name": "Other"}).json()["data"]
    there = client.post(f"/teams/{other['id']}/members", json={"email": "ada@example.org"}).json()["data"]
    assert there["userId"] == added["userId"]


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.com", "a b@example.com", "a@-x.com", "a@x..y", "a@x.y\n", 5]
)
def test_email_must_be_one(client: httpx.Client, team: dict[str, Any], email: Any) -> None:
    """An invalid email address gets a 400."""
    answer = client.post(f"/teams/{team['id']}/members", json={"email": email, "role": "GUEST"})
    assert answer.status_code == 400
    assert [it["field"] for it in answer.json()["error"]["details"]] == ["email", "role"]


def test_members_are_listed_in_pages(client: httpx.Client, team: dict[str, Any]) -> None:
    """The list of members is paged like any other, newest first."""
    path = f"/teams/{team['id']}/members"
    for number in range(4):
        client.post(path, json={"email": f"m{number}@example.com"})
    first = client.get(f"{path}?limit=3").json()
    assert [it["email"][:2] for it in first["data"]] == ["m3", "m2", "m1"]
    rest = client.get(path, params={"cursor": first["pagination"]["next_cursor"]}).json()
    assert [it["email"] for it in rest["data"]] == ["m0@example.com", "enterprise@example.com"]
    assert rest["pagination"]["total_count"] == 5


@pytest.mark.parametrize(("role", "status"), [("ADMIN", 204), ("MEMBER", 403), ("VIEWER", 403)])
def test_roles_that_manage_members(
    client: httpx.Client, team: dict[str, Any], join: Any, role: str, status: int
) -> None:
    """An ADMIN changes the team and its members; MEMBER and VIEWER may not; only an OWNER deletes the team."""
    other, path = join(role), f"/teams/{team['id']}"
    ada = client.post(f"{path}/members", json={"email": "ada@example.com"}).json()["data"]["userId"]
    answers = [
        other.put(path, json={"name": "New"}),
        other.post(f"{path}/members", json={"email": "bob@example.com"}),
        other.put(f"{path}/members/{ada}", json={"role": "VIEWER"}),
        other.delete(f"{path}/members/{ada}"),
    ]
    expected = [200, 201, 200, 204] if status == 204 else [403] * 4
    assert [it.status_code for it in answers] == expected
    assert other.delete(path).status_code == 403


def test_only_owners_decide_on_owners(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """An ADMIN cannot add or change owners; an OWNER can."""
    admin, path = join("ADMIN"), f"/teams/{team['id']}/members"
    message = "Insufficient permissions: only an OWNER of the team may add or change owners"
    assert refusal(admin.post(path, json={"email": "ada@example.com", "role": "OWNER"})) == (403, message)
    assert refusal(admin.put(f"{path}/usr_team", json={"role": "OWNER"})) == (403, message)
    assert refusal(admin.put(f"{path}/usr_enterprise", json={"role": "VIEWER"})) == (403, message)
    assert client.put(f"{path}/usr_team", json={"role": "OWNER"}).json()["data"]["role"] == "OWNER"


def test_the_last_owner_cannot_leave(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """The last owner can neither leave, be removed, nor change role."""
    admin, path = join("ADMIN"), f"/teams/{team['id']}"
    assert client.post(f"{path}/leave").status_code == 409
    assert admin.delete(f"{path}/members/usr_enterprise").status_code == 409
    assert client.put(f"{path}/members/usr_enterprise", json={"role": "ADMIN"}).status_code == 409
    assert client.put(f"{path}/members/usr_team", json={"role": "OWNER"}).status_code == 200
    assert client.get(path).json()["data"]["ownerId"] == "usr_enterprise"
    assert client.put(f"{path}/members/usr_enterprise", json={"role": "ADMIN"}).status_code == 200
    assert client.get(path).json()["data"]["ownerId"] == "usr_team"
    assert client.post(f"{path}/leave").status_code == 204
    assert client.get(path).status_code == 404


def test_leaving_and_being_removed(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A member who left or was removed has no access, and can be added again."""
    member, path = join("VIEWER"), f"/teams/{team['id']}"
    assert member.post(f"{path}/leave").status_code == 204
    assert member.post(f"{path}/leave").status_code == 404
    assert member.get("/teams").json()["data"] == []
    join("MEMBER")
    assert client.delete(f"{path}/members/usr_team").status_code == 204
    assert client.delete(f"{path}/members/usr_team").status_code == 404
    assert client.put(f"{path}/members/usr_team", json={"role": "ADMIN"}).status_code == 404
    assert client.get(path).json()["data"]["memberCount"] == 1


def test_role_must_be_given(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A change of role without a role gets a 400."""
    join("MEMBER")
    answer = client.put(f"/teams/{team['id']}/members/usr_team", json={})
    assert answer.json()["error"]["details"] == [{"field": "role", "message": "Required"}]


def test_team_prompts_are_shared(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A team's prompt is visible to its members, and a MEMBER can change, execute, fetch and delete it."""
    prompt = client.post("/prompts", json={**PROMPT, "teamId": team["id"]}).json()["data"]
    assert prompt["visibility"] == "TEAM"
    member, path = join("MEMBER"), f"/prompts/{prompt['id']}"
    assert member.get("/prompts", params={"teamId": team["id"]}).json()["data"] == [prompt]
    assert member.get(path).json()["data"] == prompt
    assert member.put(path, json={"title": "Answer"}).status_code == 200
    assert client.get(path).json()["data"]["title"] == "Answer"
    run = member.post(f"{path}/execute", json={"variables": {"name": "Ada"}}).json()["data"]
    assert (run["output"], run["promptId"]) == ("Dear Ada", prompt["id"])
    assert client.get("/executions").json()["data"] == []  # a run is of who pays for it
    live = str(member.base_url).replace("/api/v1", "/api/sdk") + "prompts/reply"
    assert member.get(live).json()["id"] == prompt["id"]
    assert member.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_viewers_can_only_read(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A VIEWER can read the team's prompts; changing, executing and adding one gets a 403."""
    prompt = client.post("/prompts", json={**PROMPT, "teamId": team["id"]}).json()["data"]
    viewer, path = join("VIEWER"), f"/prompts/{prompt['id']}"
    assert viewer.get(path).json()["data"] == prompt
    own = viewer.post("/prompts", json=PROMPT).json()["data"]
    answers = [
        viewer.put(path, json={"title": "x"}),
        viewer.delete(path),
        viewer.post(f"{path}/execute", json={"variables": {"name": "Ada"}}),
        viewer.post("/prompts", json={**PROMPT, "teamId": team["id"]}),
        viewer.put(f"/prompts/{own['id']}", json={"teamId": team["id"]}),
    ]
    needed = "Insufficient permissions: requires the role OWNER or ADMIN or MEMBER in the team, not VIEWER"
    assert [refusal(it) for it in answers] == [(403, needed)] * 5


def test_private_prompts_stay_private(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """A PRIVATE prompt of a team is visible to its creator only."""
    body = {**PROMPT, "teamId": team["id"], "visibility": "PRIVATE"}
    path = f"/prompts/{client.post('/prompts', json=body).json()['data']['id']}"
    member = join("MEMBER")
    assert member.get(path).status_code == 404
    assert client.put(path, json={"visibility": "TEAM"}).status_code == 200
    assert member.get(path).status_code == 200
    for change in ({"visibility": "PRIVATE"}, {"teamId": None}):
        assert member.put(path, json=change).status_code == 403
    assert client.put(path, json={"visibility": "PRIVATE"}).status_code == 200


def test_a_former_member_cannot_see_the_prompts(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """Shared objects stay when their creator leaves, and return to the creator when the team is deleted."""
    member, path = join("MEMBER"), f"/teams/{team['id']}"
    prompt = member.post("/prompts", json={**PROMPT, "teamId": team["id"]}).json()["data"]
    assert member.post(f"{path}/leave").status_code == 204
    assert member.get(f"/prompts/{prompt['id']}").status_code == 404
    assert client.get(f"/prompts/{prompt['id']}").status_code == 200
    assert client.delete(path).status_code == 204
    assert client.get(f"/prompts/{prompt['id']}").status_code == 404
    assert member.get(f"/prompts/{prompt['id']}").json()["data"]["teamId"] is None


def test_own_prompts_are_served_before_the_teams(client: httpx.Client, team: dict[str, Any], join: Any) -> None:
    """The account's prompt takes precedence over a team's prompt with the same slug."""
    client.post("/prompts", json={**PROMPT, "teamId": team["id"]})
    member = join("MEMBER")
    own = member.post("/prompts", json=PROMPT).json()["data"]
    live = str(member.base_url).replace("/api/v1", "/api/sdk") + "prompts/reply"
    assert member.get(live).json()["id"] == own["id"]


def test_membership_changes_send_events(
    client: httpx.Client, emulator: Emulator, team: dict[str, Any], join: Any
) -> None:
    """Adding, removing and leaving send events to every account in the team, including the one that leaves."""

    def subscribe(of: httpx.Client) -> str:
        events = ["team.member_added", "team.member_removed"]
        body = {"name": "w", "url": "http://127.0.0.1:9/", "events": events}
        return of.post("/webhooks", json=body).json()["data"]["id"]

    path = f"/teams/{team['id']}"
    own = subscribe(client)
    member = join("MEMBER")
    other = subscribe(member)
    ada = client.post(f"{path}/members", json={"email": "ada@example.com", "role": "VIEWER"}).json()["data"]["userId"]
    client.delete(f"{path}/members/{ada}")
    member.post(f"{path}/leave")
    rows = emulator._started().services.database.all("SELECT webhook_id, body FROM deliveries ORDER BY number")
    told = [(row["webhook_id"], json.loads(row["body"])) for row in rows]
    who = {"usr_team": ("team@example.com", "MEMBER"), ada: ("ada@example.com", "VIEWER")}
    expected = [
        (own, "team.member_added", "usr_team"),
        (own, "team.member_added", ada),
        (other, "team.member_added", ada),
        (own, "team.member_removed", ada),
        (other, "team.member_removed", ada),
        (own, "team.member_removed", "usr_team"),
        (other, "team.member_removed", "usr_team"),
    ]
    assert [(webhook, event["event"], event["data"]["user_id"]) for webhook, event in told] == expected
    for _, event in told:
        data = event["data"]
        assert data["team_id"] == team["id"]
        assert (data["email"], data["role"]) == who[data["user_id"]]
