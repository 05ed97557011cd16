"""Managing webhooks: fields, visibility, secrets and deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.webhooks import verify_signature
from tests.emulator.receivers import Receiver, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from enprompta.emulator import Emulator
    from tests.emulator.conftest import Clock

ALL = ["prompt.executed", "workflow.completed", "workflow.failed", "team.member_added", "team.member_removed"]
PLAIN = {"name": "Audit", "url": "https://example.com/hook", "events": ["workflow.failed"]}


def data(response: httpx.Response, status: int = 200) -> Any:
    """Return the data of an expected success."""
    assert response.status_code == status, response.text
    return response.json()["data"]


def details(response: httpx.Response) -> dict[str, str]:
    """The details of a 400, by field."""
    assert response.status_code == 400, response.text
    return {it["field"]: it["message"] for it in response.json()["error"]["details"]}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with Receiver() as running:
        yield running


@pytest.fixture
def webhook(client: httpx.Client, receiver: Receiver) -> dict[str, Any]:
    """A webhook subscribed to all events."""
    return data(client.post("/webhooks", json={"name": "Hook", "url": receiver.url, "events": ALL}), 201)


def first_delivery(client: httpx.Client, webhook: dict[str, Any], status: str = "DELIVERED") -> dict[str, Any]:
    """Wait until the newest delivery has this status."""

    def newest() -> dict[str, Any] | None:
        found = data(client.get(f"/webhooks/{webhook['id']}/deliveries"))
        return found[0] if found and found[0]["status"] == status else None

    return until(newest)


def test_a_webhook_is_made_read_changed_and_deleted(client: httpx.Client, clock: Clock) -> None:
    """Fields are stored as given, the secret is shown once, and an update changes only the given fields."""
    made = data(client.post("/webhooks", json={**PLAIN, "description": "All of it"}), 201)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made.pop("id").startswith("whk_")
    assert made == {
        "name": "Audit",
        "description": "All of it",
        "url": "https://example.com/hook",
        "events": ["workflow.failed"],
        "isActive": True,
        "failureCount": 0,
        "lastSuccess": None,
        "lastFailure": None,
        "createdAt": "2024-01-17T12:00:00Z",
        "updatedAt": "2024-01-17T12:00:00Z",
    }
    (listed,) = data(client.get("/webhooks"))
    path = f"/webhooks/{listed['id']}"
    assert data(client.get(path)) == listed == {"id": listed["id"], **made}
    assert data(client.put(path, json={})) == listed
    clock.now += 60
    changed = data(
        client.put(path, json={"description": None, "events": ALL, "isActive": False, "url": "http://[::1]:9/"})
    )
    expected = {"description": None, "events": ALL, "isActive": False, "url": "http://[::1]:9/"}
    assert changed == {**listed, **expected, "updatedAt": "2024-01-17T12:01:00Z"}
    assert client.delete(path).status_code == 204
    assert data(client.get("/webhooks")) == []
    for call in (client.get(path), client.put(path, json={}), client.delete(path), client.post(f"{path}/test")):
        assert call.status_code == 404


def test_webhooks_are_listed_newest_first(client: httpx.Client) -> None:
    """The list is complete and has no pages."""
    ids = [data(client.post("/webhooks", json=PLAIN), 201)["id"] for _ in range(30)]
    assert [it["id"] for it in data(client.get("/webhooks"))] == ids[::-1]


def test_every_wrong_field_is_named(client: httpx.Client) -> None:
    """Missing and invalid fields get a 400 that names each."""
    assert details(client.post("/webhooks", json={})) == {"name": "Required", "url": "Required", "events": "Required"}
    wrong = {"name": "", "url": "ftp://example.com", "events": ["prompt.executed", "x", 1, "prompt.executed"]}
    unknown = f"Must be one of {', '.join(ALL)}"
    assert details(client.post("/webhooks", json=wrong)) == {
        "name": "Must not be empty",
        "url": "Must be an http:// or https:// URL",
        "events[1]": unknown,
        "events[2]": unknown,
        "events[3]": "'prompt.executed' is listed twice",
    }
    path = f"/webhooks/{data(client.post('/webhooks', json=PLAIN), 201)['id']}"
    assert details(client.put(path, json={"events": [], "isActive": "no", "name": None, "url": None})) == {
        "events": "Must name at least one event",
        "isActive": "Must be true or false",
        "name": "Must not be null",
        "url": "Must not be null",
    }


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "http://", "http:///x", "http://a:0/", "http://a:65536/", "http://a b/", "http://%41/"),
        *(
            "http://a\r\nX: y/",
            "HTTP://a/",
            "http://[::1",
            "file:///etc/passwd",
            "http://a/\x00",
            f"http://{'a' * 2_000}",
        ),
    ],
)
def test_a_url_that_cannot_be_sent_to_is_refused(client: httpx.Client, url: str) -> None:
    """A URL that is not http or https, or has no host or an impossible port, gets a 400."""
    assert "url" in details(client.post("/webhooks", json={**PLAIN, "url": url}))


def test_a_webhook_belongs_to_its_account(
    client: httpx.Client, webhook: dict[str, Any], connect: Any, emulator: Emulator
) -> None:
    """Another account can neither see nor change it, and gets no events from it."""
    other = connect(emulator, emulator.keys.team)
    path = f"/webhooks/{webhook['id']}"
    delivery = data(client.post(f"{path}/test"))
    assert data(other.get("/webhooks")) == []
    for method, to in [
        ("GET", path),
        ("PUT", path),
        ("DELETE", path),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{delivery['id']}/retry"),
        ("POST", f"{path}/test"),
        ("POST", f"{path}/rotate-secret"),
    ]:
        assert other.request(method, to).status_code == 404
    prompt = data(other.post("/prompts", json={"title": "t", "content": "c"}), 201)
    assert other.post(f"/prompts/{prompt['id']}/execute", json={}).status_code == 201
    assert first_delivery(client, webhook)["eventType"] == "webhook.test"


def test_a_test_event_is_delivered(client: httpx.Client, webhook: dict[str, Any], receiver: Receiver) -> None:
    """`test` sends an event at once to this webhook only, and returns its delivery."""
    other = data(client.post("/webhooks", json={**PLAIN, "url": receiver.url}), 201)
    delivery = data(client.post(f"/webhooks/{webhook['id']}/test"))
    assert (delivery["status"], delivery["attempts"], delivery["eventType"]) == ("PENDING", 0, "webhook.test")
    arrived = first_delivery(client, webhook)
    assert arrived.pop("latencyMs") >= 0
    assert arrived == {
        "id": delivery["id"],
        "webhookId": webhook["id"],
        "eventType": "webhook.test",
        "eventId": delivery["eventId"],
        "status": "DELIVERED",
        "attempts": 1,
        "responseStatus": 200,
        "createdAt": "2024-01-17T12:00:00Z",
        "deliveredAt": "2024-01-17T12:00:00Z",
    }
    (received,) = receiver.received
    assert received.event["id"] == delivery["eventId"]
    assert data(client.get(f"/webhooks/{other['id']}/deliveries")) == []


def test_a_disabled_webhook_gets_no_events(
    client: httpx.Client, webhook: dict[str, Any], receiver: Receiver, create: Callable[..., dict[str, Any]]
) -> None:
    """A disabled webhook gets no events; testing it or retrying a delivery gets a 409."""
    path = f"/webhooks/{webhook['id']}"
    prompt = create(content="x")
    delivery = data(client.post(f"{path}/test"))
    first_delivery(client, webhook)
    client.put(path, json={"isActive": False})
    client.post(f"/prompts/{prompt['id']}/execute", json={})
    assert client.post(f"{path}/test").status_code == 409
    assert client.post(f"{path}/deliveries/{delivery['id']}/retry").status_code == 409
    client.put(path, json={"isActive": True})
    client.post(f"/prompts/{prompt['id']}/execute", json={})
    first_delivery(client, webhook)
    assert [it.event["event"] for it in receiver.received] == ["webhook.test", "prompt.executed"]


def test_only_subscribed_events_are_delivered(
    client: httpx.Client, receiver: Receiver, create: Callable[..., dict[str, Any]]
) -> None:
    """Only webhooks subscribed to an event get a delivery; they share the event."""
    hooks = [
        data(client.post("/webhooks", json={"name": "h", "url": receiver.url, "events": events}), 201)
        for events in (["workflow.failed"], ["prompt.executed"], ALL)
    ]
    client.post(f"/prompts/{create(content='x')['id']}/execute", json={})
    told = [data(client.get(f"/webhooks/{hook['id']}/deliveries")) for hook in hooks]
    assert [len(it) for it in told] == [0, 1, 1]
    assert told[1][0]["eventId"] == told[2][0]["eventId"]
    assert told[1][0]["id"] != told[2][0]["id"]


def test_a_rotated_secret_signs_at_once(client: httpx.Client, webhook: dict[str, Any], receiver: Receiver) -> None:
    """After a rotation everything is signed with the new secret, also retried older deliveries."""
    path = f"/webhooks/{webhook['id']}"
    delivery = data(client.post(f"{path}/test"))
    first_delivery(client, webhook)
    rotated = data(client.post(f"{path}/rotate-secret"))
    assert rotated.keys() == {"secret"}
    data(client.post(f"{path}/deliveries/{delivery['id']}/retry"))
    until(lambda: len(receiver.received) == 2)
    before, after = receiver.received
    assert before.body == after.body
    for received, right, wrong in ((before, webhook, rotated), (after, rotated, webhook)):
        assert verify_signature(received.body, received.headers, right["secret"])
        assert not verify_signature(received.body, received.headers, wrong["secret"])


def test_a_delivery_is_sent_again_when_asked(client: httpx.Client, webhook: dict[str, Any], receiver: Receiver) -> None:
    """A retry sends the same event again, even a delivered one; attempts continue to count."""
    path = f"/webhooks/{webhook['id']}"
    delivery = data(client.post(f"{path}/test"))
    first_delivery(client, webhook)
    again = data(client.post(f"{path}/deliveries/{delivery['id']}/retry"))
    assert (again["status"], again["attempts"], again["deliveredAt"]) == ("RETRYING", 1, None)
    assert first_delivery(client, webhook)["attempts"] == 2
    assert len({it.body for it in receiver.received}) == 1
    assert client.post(f"{path}/deliveries/dlv_none/retry").status_code == 404


def test_deliveries_are_paged(client: httpx.Client, webhook: dict[str, Any]) -> None:
    """Deliveries are listed newest first, in pages; an invalid limit gets a 400."""
    path = f"/webhooks/{webhook['id']}"
    ids = [data(client.post(f"{path}/test"))["id"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        answer = client.get(f"{path}/deliveries", params=query).json()
        seen += [it["id"] for it in answer["data"]]
        assert answer["pagination"]["total_count"] == 5
        if not answer["pagination"]["has_more"]:
            break
        query["cursor"] = answer["pagination"]["next_cursor"]
    assert seen == ids[::-1]
    assert "limit" in details(client.get(f"{path}/deliveries", params={"limit": 0}))
