"""The control interface: everything about an emulator that the API has no call for, behind a token."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import APIConnectionError, AuthenticationError, Enprompta, PermissionDeniedError, RateLimitError
from enprompta.emulator import ControlError, Emulator, EmulatorControl, openapi_document
from enprompta.errors import ConfigurationError
from enprompta.exchanges import MAX_BODY_BYTES, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

TOKEN = "a-token-for-tests"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A fresh emulator whose control token is known."""
    with Emulator(control_token=TOKEN, webhook_backoff=(0.01,)) as one:
        yield one


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Enprompta]:
    """A client of the team account."""
    with Enprompta(api_key=emulator.keys.team, base_url=emulator.url, max_retries=0) as one:
        yield one


@pytest.fixture
def control(emulator: Emulator) -> Callable[[Callable[[EmulatorControl], Coroutine[Any, Any, Any]]], Any]:
    """Run a coroutine function with a control client."""

    def run(use: Callable[[EmulatorControl], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            async with EmulatorControl(emulator.url, TOKEN) as one:
                return await use(one)

        return asyncio.run(main())

    return run


Control = Any


def test_the_token_is_required(emulator: Emulator) -> None:
    """Without the control token, also with an API key, every control path answers 401 and changes nothing."""
    for headers in ({}, {"Authorization": f"Bearer {emulator.keys.team}"}, {"Authorization": f"Basic {TOKEN}"}):
        for method, path in (("POST", "/reset"), ("GET", ""), ("GET", "/data"), ("DELETE", "/faults"), ("GET", "/x")):
            answer = httpx.request(method, f"{emulator.origin}/control{path}", headers=headers)
            assert answer.status_code == 401, (method, path)
            assert TOKEN not in answer.text
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{emulator.origin}/control", headers=allowed).status_code == 200
    assert httpx.get(f"{emulator.origin}/control", headers={**allowed, "Host": "evil.example"}).status_code == 421
    origin = {**allowed, "Origin": "http://evil.example"}
    assert httpx.get(f"{emulator.origin}/control", headers=origin).status_code == 403
    assert httpx.get(f"{emulator.origin}/control/none", headers=allowed).status_code == 404


def test_a_token_is_random_or_long_enough() -> None:
    """Each emulator has a separate random token; a given one must not be easy to guess."""
    assert Emulator().control_token != Emulator().control_token
    for token in ("short", "é" * 20):
        with pytest.raises(ConfigurationError, match="control_token needs at least 16 ASCII characters"):
            Emulator(control_token=token)


def test_a_control_client_says_what_is_wrong(emulator: Emulator, control: Control) -> None:
    """Wrong addresses, wrong tokens, a server that is not an emulator and one that is gone are plain errors."""
    for url in ("https://127.0.0.1:1", "127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:port"):
        with pytest.raises(ConfigurationError):
            EmulatorControl(url, TOKEN)

    async def refused(url: str, token: str) -> str:
        async with EmulatorControl(url, token) as one:
            with pytest.raises(ControlError) as caught:
                await one.info()
            return str(caught.value)

    assert "needs the control token" in asyncio.run(refused(emulator.url, "wrong"))
    emulator.stop()
    assert "cannot be reached" in asyncio.run(refused("http://127.0.0.1:9", TOKEN))
    with pytest.raises(ConfigurationError):
        _ = emulator.origin


def test_every_exchange_is_logged_without_credentials(emulator: Emulator, client: Enprompta) -> None:
    """Any client's requests are in the log with status, program and bodies; keys, tokens and secrets are not."""
    client.prompts.create(title="Tea", content="Tea")
    secret = client.webhooks.create(name="a", url="http://127.0.0.1:9/", events=["prompt.executed"]).secret
    httpx.get(
        f"{emulator.url}/prompts/none?x=1", headers={"Authorization": "Bearer wrong-key-123", "User-Agent": "curl"}
    )
    oauth = emulator.clients.team
    with Enprompta(client_id=oauth.client_id, client_secret=oauth.client_secret, base_url=emulator.url) as other:
        other.prompts.list()
    newest = emulator.exchanges.search()
    assert [(one.method, one.status) for one in newest] == [
        ("GET", 200),
        ("POST", 200),
        ("GET", 401),
        ("POST", 201),
        ("POST", 201),
    ]
    refused = newest[2]
    assert (refused.query, refused.program, refused.error_code) == ("x=1", "curl", "UNAUTHORIZED")
    assert refused.ms >= 0
    assert abs(refused.at - time.time()) < 60
    assert newest[4].request_id
    assert b'"Tea"' in newest[4].request_body
    assert json.loads(newest[4].response_body)["data"]["title"] == "Tea"
    everything = repr([one.to_json() for one in newest]) + repr(
        [(one.request_body, one.response_body) for one in newest]
    )
    for hidden in (emulator.keys.team, "wrong-key-123", oauth.client_secret, secret, "ep_at_"):
        assert hidden.encode() not in b"".join(one.response_body + one.request_body for one in newest)
        assert hidden not in everything


def test_refused_broken_and_dropped_requests_are_logged_too(emulator: Emulator, client: Enprompta) -> None:
    """Foreign hosts, dropped connections and huge bodies appear with their reason; control requests do not appear."""
    httpx.get(f"{emulator.url}/prompts", headers={"Host": "evil.example"})
    fault = emulator.faults.add(drop="after", times=1)
    with pytest.raises(APIConnectionError):
        client.prompts.create(title="Lost", content="Lost")
    httpx.post(f"{emulator.url}/prompts", content=b"x" * 5_000_000, headers={"Authorization": "Bearer ep_test_team"})
    httpx.get(emulator.origin)
    httpx.get(f"{emulator.origin}/control")
    huge, dropped, foreign = emulator.exchanges.search()
    assert (foreign.status, foreign.error_code) == (421, "MISDIRECTED_REQUEST")
    assert (dropped.status, dropped.error) == (None, "A fault dropped the connection after the work")
    assert huge.status == 413
    assert fault.is_over


def test_exchanges_are_followed_from_another_process(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """A follower waits for new exchanges, gets each once, and starts over when the log is cleared."""
    client.prompts.list()

    async def follow(one: EmulatorControl) -> None:
        revision, found = await one.exchanges()
        assert [it.path for it in found] == ["/api/v1/prompts"]
        assert isinstance(found[0], Exchange)
        started = time.monotonic()
        assert await one.exchanges(revision, wait=1) == (revision, [])
        assert time.monotonic() - started > 0.9
        timer = threading.Timer(0.05, client.teams.list)
        timer.start()
        revision, found = await one.exchanges(revision, wait=20)
        timer.join()
        assert [it.path for it in found] == ["/api/v1/teams"]
        await one.clear_exchanges()
        assert (await one.exchanges())[1] == []
        assert (await one.exchanges(10**6, wait=20))[0] < 10**6

    control(follow)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{emulator.origin}/control/exchanges?after=x", headers=headers).status_code == 400
    assert httpx.get(f"{emulator.origin}/control/exchanges?wait=99", headers=headers).status_code == 400


def test_the_log_is_bounded(emulator: Emulator, client: Enprompta) -> None:
    """A response of megabytes costs the log no more than the stated size."""
    emulator.faults.add("/prompts", status=200, body=b"[" + b"1," * 2_000_000 + b"1]", times=1)
    httpx.get(f"{emulator.url}/prompts", headers={"Authorization": f"Bearer {emulator.keys.team}"})
    (one,) = emulator.exchanges.search()
    assert len(one.response_body) == MAX_BODY_BYTES
    assert one.response_size == 4_000_003


def test_keys_are_generated_renamed_and_revoked(emulator: Emulator, control: Control, tmp_path: Any) -> None:
    """A generated key works and is shown once; a revoked key gets a 401, also after a restart."""

    async def use(one: EmulatorControl) -> str:
        made = await one.generate_key("acc_pro", " for ada ")
        with Enprompta(api_key=made["key"], base_url=one.origin + "/api/v1", max_retries=0) as client:
            assert client.usage.get().plan == "pro"
            renamed = await one.rename_key(made["id"], "for bob")
            assert (renamed["name"], "key" in renamed) == ("for bob", False)
            assert made["key"] not in json.dumps(await one.keys())
            assert (await one.revoke_key(made["id"]))["revokedAt"]
            with pytest.raises(AuthenticationError):
                client.prompts.list()
        for name in ("", " ", "x" * 101):
            with pytest.raises(ControlError, match="1 to 100 characters"):
                await one.generate_key("acc_pro", name)
        with pytest.raises(ControlError, match="Account 'acc_none' not found"):
            await one.generate_key("acc_none", "a")
        with pytest.raises(ControlError, match="Key 'key_none' not found"):
            await one.revoke_key("key_none")
        assert [it["name"] for it in await one.keys()] == ["Built-in key"] * 4 + ["for bob"]
        return made["key"]

    control(use)
    file = tmp_path / "emulator.db"
    with Emulator(db=file, control_token=TOKEN) as first:

        async def revoke() -> None:
            async with EmulatorControl(first.origin, TOKEN) as one:
                await one.revoke_key("key_team")
                await one.set_plan("acc_pro", "enterprise")

        asyncio.run(revoke())
    with (
        Emulator(db=file) as second,
        Enprompta(api_key=second.keys.team, base_url=second.url, max_retries=0) as refused,
        Enprompta(api_key=second.keys.pro, base_url=second.url) as moved,
    ):
        with pytest.raises(AuthenticationError):
            refused.prompts.list()
        assert moved.usage.get().plan == "enterprise"


def test_plans_are_changed(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """An account's plan decides over its limits and its access to the API, from the next request."""
    control(lambda one: one.set_plan("acc_team", "free"))
    with pytest.raises(PermissionDeniedError, match="free plan has no API access"):
        client.prompts.list()
    changed = control(lambda one: one.set_plan("acc_team", "enterprise"))
    assert (changed["plan"], changed["usage"]["requestsPerMinute"]["limit"]) == ("enterprise", 1000)
    assert client.usage.get().plan == "enterprise"
    assert [it["id"] for it in control(lambda one: one.accounts())] == [
        "acc_free",
        "acc_pro",
        "acc_team",
        "acc_enterprise",
    ]
    for account, plan, message in (("acc_team", "gold", "Unknown plan gold"), ("acc_x", "pro", "'acc_x' not found")):
        with pytest.raises(ControlError, match=message):
            control(lambda one: one.set_plan(account, plan))  # noqa: B023 (called at once)


def test_oauth_clients_are_managed(emulator: Emulator, control: Control) -> None:
    """OAuth2 clients are created with scopes, changed and deleted."""

    async def use(one: EmulatorControl) -> None:
        made = await one.add_oauth_client("team", ["prompts:read"])
        credentials = {"client_id": made["clientId"], "client_secret": made["clientSecret"]}
        with Enprompta(**credentials, base_url=emulator.url, max_retries=0) as client:
            client.prompts.list()
            with pytest.raises(PermissionDeniedError):
                client.prompts.create(title="a", content="a")
        await one.set_scopes(made["clientId"], ["prompts:write", "prompts:read"])
        listed = {it["clientId"]: it["scopes"] for it in await one.oauth_clients()}
        assert listed[made["clientId"]] == ["prompts:read", "prompts:write"]
        with Enprompta(**credentials, base_url=emulator.url, max_retries=0) as client:
            client.prompts.create(title="a", content="a")
        await one.remove_oauth_client(made["clientId"])
        with (
            Enprompta(**credentials, base_url=emulator.url, max_retries=0) as client,
            pytest.raises(AuthenticationError),
        ):
            client.prompts.list()
        for call in (one.remove_oauth_client("none"), one.set_scopes("none", [])):
            with pytest.raises(ControlError, match="OAuth2 client 'none' not found"):
                await call
        with pytest.raises(ControlError, match="Unknown scope all"):
            await one.add_oauth_client("team", ["all"])
        with pytest.raises(ControlError, match="scopes must be a list"):
            await one._send("PUT", "/oauth-clients/none", {"scopes": "prompts:read"})

    control(use)


def test_faults_are_added_and_removed(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """Each kind of fault works from outside: status, delay, drip, reset and lost answer, for a path and a number."""

    async def use(one: EmulatorControl) -> None:
        first = await one.add_fault(path="/prompts", status=503, times=1)
        second = await one.add_fault(path="/teams", drop="before")
        slow = await one.add_fault(path="/templates", drip=0.01, latency=0.01)
        assert [it["id"] for it in await one.faults()] == [first["id"], second["id"], slow["id"]]
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {emulator.keys.team}"}) as http:
            assert (await http.get(f"{emulator.url}/prompts")).status_code == 503
            assert (await http.get(f"{emulator.url}/prompts")).status_code == 200
            with pytest.raises(httpx.TransportError):
                await http.get(f"{emulator.url}/teams")
            await one.remove_fault(second["id"])
            assert (await http.get(f"{emulator.url}/teams")).status_code == 200
            started = time.monotonic()
            answer = await http.get(f"{emulator.url}/templates?limit=1")
            assert len(answer.json()["data"]) == 1
            assert time.monotonic() - started > len(answer.content) / 16 * 0.01
        assert [(it["hits"], it["isOver"]) for it in await one.faults()] == [(1, True), (1, False)]
        await one.clear_faults()
        assert await one.faults() == []
        with pytest.raises(ControlError, match="not found"):
            await one.remove_fault(second["id"])
        for wrong in (
            {"status": 99},
            {"color": "red"},
            {},
            {"drip": -1},
            {"drip": 1, "drop": "before"},
            {"status": "x"},
        ):
            with pytest.raises(ControlError):
                await one.add_fault(**wrong)

    control(use)
    assert client.prompts.list().data == []


def test_a_drip_keeps_an_empty_body_empty(emulator: Emulator, client: Enprompta) -> None:
    """A response without a body drips nothing."""
    prompt = client.prompts.create(title="a", content="a")
    emulator.faults.add("/prompts/*", drip=0.01)
    client.prompts.delete(prompt.id)


def test_the_clock_and_the_windows_are_changed(control: Control) -> None:
    """The clock moves, stops, resumes and returns; a shorter or longer window counts from the next request."""
    now = [1_700_000_000.0]
    with (
        Emulator(clock=lambda: now[0], control_token=TOKEN, limits={"team": (2, 100)}) as emulator,
        Enprompta(api_key=emulator.keys.team, base_url=emulator.url, max_retries=0, limiter=None) as client,
    ):

        async def use() -> None:
            async with EmulatorControl(emulator.url, TOKEN) as one:
                client.prompts.list()
                client.prompts.list()
                with pytest.raises(RateLimitError):
                    client.prompts.list()
                assert (await one.set_clock(advance=60))["offset"] == 60
                client.prompts.list()
                assert (await one.set_clock(stopped=True))["isStopped"]
                now[0] += 500
                assert (await one.set_clock(advance=10))["now"] == 1_700_000_070
                assert (await one.set_clock(stopped=False, window=3600))["now"] == 1_700_000_070
                now[0] += 5
                assert (await one.info())["clock"]["now"] == 1_700_000_075
                back = await one.set_clock(reset=True, stopped=False, day=10)
                assert (back["now"], back["window"], back["day"]) == (now[0], 3600, 10)
                for wrong in ({"advance": "1"}, {"advance": 1e300}, {"window": 0}, {"day": True}, {"speed": 2}):
                    with pytest.raises(ControlError):
                        await one.set_clock(**wrong)

        asyncio.run(use())


def test_sample_data_fills_every_page(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """Seeding adds prompts with versions and labels, a team, a workflow, a webhook, and activity of two weeks."""
    control(lambda one: one.seed())
    prompts = {prompt.title: prompt for prompt in client.prompts.list()}
    assert len(prompts) == 3
    summary = prompts["Summarize an article"]
    versions = control(lambda one: one.versions(summary.id))
    assert [(it["version"], it["labels"]) for it in versions] == [(2, ["latest", "staging"]), (1, ["production"])]
    assert client.prompts.get_live(summary.slug or summary.id).version.number == 1
    executions = list(client.executions.list(limit=100))
    assert len(executions) == 90
    assert executions == sorted(executions, key=lambda one: str(one.created_at), reverse=True)
    days = client.executions.stats(group_by="day")
    assert len(days) >= 14
    assert {execution.status for execution in client.executions.list(limit=100)} == {"completed", "failed"}
    workflow = client.workflows.list().data[0]
    assert [run.status for run in client.workflows.list_executions(workflow.id)] == ["failed", "completed", "completed"]
    days = client.usage.history(group_by="day")
    assert len([day for day in days if day.requests]) == 14
    traces = list(client.traces.list())
    assert {trace.status for trace in traces} == {"SUCCESS", "ERROR"}
    assert {len(client.traces.spans(trace.id)) for trace in traces} == {5}
    (webhook,) = client.webhooks.list()
    assert not webhook.is_active  # nothing is sent to the sample receiver
    states = {"DELIVERED": 5, "FAILED": 1}
    assert Counter(delivery.status for delivery in client.webhooks.list_deliveries(webhook.id)) == states
    attempts = [one for delivery in control(lambda one: one.deliveries()) for one in delivery["attemptLog"]]
    assert len(attempts) == 9
    assert all(one["signatureValid"] for one in attempts)
    done = client.workflows.execute_and_wait(workflow.id, input={"article": "Tea", "language": "French"})
    assert done.status == "completed"
    assert client.teams.list().data[0].member_count == 2
    with pytest.raises(ControlError, match="'acc_x' not found"):
        control(lambda one: one.seed("acc_x"))


def test_labels_are_moved_and_removed(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """Labels point at existing versions of a prompt; without one, production follows the newest version."""
    prompt = client.prompts.create(title="Tea", content="One")
    client.prompts.update(prompt.id, content="Two")
    control(lambda one: one.set_label(prompt.id, "production", 1))
    assert client.prompts.get_live(prompt.id).content == "One"
    control(lambda one: one.remove_label(prompt.id, "production"))
    assert client.prompts.get_live(prompt.id, ttl=0).content == "Two"
    assert control(lambda one: one.versions("none")) == []
    for call, message in (
        (lambda one: one.set_label(prompt.id, "a", 3), "has no version 3"),
        (lambda one: one.set_label(prompt.id, "a", "1"), "whole number"),
        (lambda one: one.remove_label(prompt.id, "a/b"), "has no label 'a/b'"),
    ):
        with pytest.raises(ControlError, match=message):
            control(call)


def test_data_is_exported_imported_and_reset(emulator: Emulator, client: Enprompta, control: Control) -> None:
    """An export restores everything, also in another emulator; a reset deletes everything, log and faults included."""
    control(lambda one: one.seed())
    webhook = client.webhooks.create(name="a", url="http://127.0.0.1:9/", events=["prompt.executed"])
    client.webhooks.test(webhook.id)
    made = control(lambda one: one.generate_key("acc_team", "mine"))
    emulator.faults.add(path="/teams", status=500)
    document = control(lambda one: one.export_data())
    titles = [prompt.title for prompt in client.prompts.list()]

    control(lambda one: one.reset())
    assert client.prompts.list().data == []
    assert client.teams.list().data == []  # the fault is gone
    assert len(client.templates.list().data) > 0
    assert len(emulator.exchanges) == 3
    with Enprompta(api_key=made["key"], base_url=emulator.url, max_retries=0) as revoked:
        with pytest.raises(AuthenticationError):
            revoked.prompts.list()
        control(lambda one: one.import_data(document))
        assert [prompt.title for prompt in revoked.prompts.list()] == titles
    assert next(iter(client.webhooks.list())).id == webhook.id
    assert control(lambda one: one.export_data())["tables"]["prompts"] == document["tables"]["prompts"]


BROKEN: list[Any] = [
    {},
    {"format": "other", "tables": {}},
    {"format": "enprompta-emulator-1", "tables": []},
    {"format": "enprompta-emulator-1", "tables": {"nothing": [{}]}},
    {"format": "enprompta-emulator-1", "tables": {"prompts": [{"id": "a); DROP TABLE prompts; --"}]}},
    {"format": "enprompta-emulator-1", "tables": {"prompts": [{"id); DROP TABLE prompts; --": 1}]}},
    {"format": "enprompta-emulator-1", "tables": {"prompts": ["text"]}},
    {"format": "enprompta-emulator-1", "tables": {"prompts": [{"id": {"hex": "00"}}]}},
    {"format": "enprompta-emulator-1", "tables": {"prompts": [{"id": {"base64": "?"}}]}},
    {
        "format": "enprompta-emulator-1",
        "tables": {
            "accounts": [{"id": "acc_x", "tier": "gold", "key": "k", "user_id": "u", "email": "e", "name": "n"}]
        },
    },
    {
        "format": "enprompta-emulator-1",
        "tables": {"prompt_labels": [{"prompt_id": "none", "label": "production", "version": 1}]},
    },
]


@pytest.mark.parametrize("document", BROKEN, ids=range(len(BROKEN)))
def test_a_damaged_export_changes_nothing(
    emulator: Emulator, client: Enprompta, control: Control, document: Any
) -> None:
    """An invalid document is refused as a whole, and the emulator continues with its data."""
    client.prompts.create(title="Kept", content="Kept")
    with pytest.raises(ControlError):
        control(lambda one: one.import_data(document))
    assert [prompt.title for prompt in client.prompts.list()] == ["Kept"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_body_must_be_an_object(emulator: Emulator, body: bytes) -> None:
    """Other bodies are a 400."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.put(f"{emulator.origin}/control/clock", content=body, headers=headers).status_code == 400


def test_deliveries_show_attempts_and_answers(
    emulator: Emulator, client: Enprompta, control: Control, answering: Any
) -> None:
    """The inbox has each delivery with payload, and each attempt with signature, status and the receiver's answer."""
    receiver = answering(b"HTTP/1.1 418 Short\r\nX-Pot: tea\r\n\r\nI am a <b>teapot</b>")
    webhook = client.webhooks.create(name="hook", url=receiver, events=["prompt.executed", "team.member_added"])
    data = {"execution_id": "exe_1", "prompt_id": "pmt_1", "status": "completed", "tokens_used": 1, "cost": 0.1}
    assert control(lambda one: one.trigger("acc_team", "prompt.executed", data)) == 1
    assert control(lambda one: one.trigger("acc_team", "workflow.failed", data)) == 0
    deadline = time.monotonic() + 10
    while True:
        (delivery,) = control(lambda one: one.deliveries(limit=5))
        if len(delivery["attemptLog"]) == 2 or time.monotonic() > deadline:
            break
    assert (delivery["webhookId"], delivery["status"]) == (webhook.id, "FAILED")
    assert delivery["payload"]["data"] == data
    first, second = delivery["attemptLog"]
    assert (first["number"], second["number"]) == (1, 2)
    assert first["signatureValid"]
    assert first["responseStatus"] == 418
    assert first["answer"].startswith("X-Pot: tea\r\n\r\nI am a <b>teapot</b>")
    client.webhooks.rotate_secret(webhook.id)
    assert not control(lambda one: one.deliveries())[0]["attemptLog"][0]["signatureValid"]
    for event, body in (("none", {}), ("prompt.executed", [])):
        with pytest.raises(ControlError):
            control(lambda one: one._send("POST", "/events", {"accountId": "acc_team", "event": event, "data": body}))  # noqa: B023 (called at once)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Start receivers that answer every request with the given bytes; return their URL."""
    import socket

    sockets: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/hook"

    yield start
    for listener in sockets:
        listener.close()


def test_the_page_says_how_to_start_the_workbench(emulator: Emulator) -> None:
    """`/` and `/workbench` lead to the Workbench that was started with the emulator, or say how to start one."""
    for path in ("/", "/workbench"):
        answer = httpx.get(emulator.origin + path)
        assert f"enprompta workbench --url {emulator.origin}" in answer.text
        assert TOKEN not in answer.text
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "x-ratelimit-limit" not in answer.headers
    emulator.workbench_url = "http://127.0.0.1:1234/"
    answer = httpx.get(emulator.origin)
    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:1234/")


def test_the_document_is_a_copy() -> None:
    """`openapi_document` returns the API's document; changing the result does not change the next one."""
    document = openapi_document()
    assert document["openapi"].startswith("3.1")
    document["paths"].clear()
    assert openapi_document()["paths"]


def test_a_slow_echo_takes_its_time(emulator: Emulator, client: Enprompta, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider `echo` with the model `slow` waits before it answers, and says so in the latency."""
    from enprompta.emulator.execution import providers

    monkeypatch.setattr(providers, "_SLOW_SECONDS", 0.05)
    prompt = client.prompts.create(title="a", content="a")
    started = time.monotonic()
    execution = client.prompts.execute(prompt.id, provider="echo", model="slow")
    assert time.monotonic() - started >= 0.05
    assert (execution.latency or 0) >= 50


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"error": "no"}', b'{"data": 1}'])
def test_a_server_that_is_no_emulator_is_named_as_one(content: bytes) -> None:
    """A response without a message of the control interface gives its status, and asks about the version."""

    async def main() -> str:
        async with EmulatorControl("http://127.0.0.1:9", TOKEN) as one:
            await one._client.aclose()
            one._client = httpx.AsyncClient(
                transport=httpx.MockTransport(lambda _: httpx.Response(404, content=content))
            )
            with pytest.raises(ControlError) as caught:
                await one.info()
            return str(caught.value)

    assert "status 404; is it an emulator of this version" in asyncio.run(main())
