"""OAuth2 client credentials: one shared token request, renewed in time, with a secret that never shows."""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import re
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    Enprompta,
    EnpromptaError,
)
from tests.faults.flavours import METHODS, Caller, Waits, run, together, until
from tests.faults.server import ERROR, Fault, FaultServer, Peer, Received, answer

if TYPE_CHECKING:
    from collections.abc import Callable

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
SECRET = "hunter2/hunter2+hunter2&=="
CREDENTIALS = {"client_id": "app_1", "client_secret": SECRET}


class Api:
    """An API with a token endpoint that knows which tokens it issued and revoked.

    `fields` are those of a token response. `script` plays on token requests before they are granted.
    """

    def __init__(self, server: FaultServer) -> None:
        self.fields: dict[str, Any] = {"token_type": "Bearer", "expires_in": 3600, "scope": "prompts:read"}
        self.asked: list[Received] = []
        """The token requests."""
        self.valid: set[str] = set()
        self.script: list[Fault] = []
        self.release = threading.Event()
        """Token requests are held until it is set."""
        self.release.set()
        self._lock = threading.Lock()
        server.play(then=self)

    def __call__(self, peer: Peer) -> None:
        """Answer a request."""
        request = peer.read()
        if not request.path.endswith("/oauth/token"):
            authorized = request.headers.get("authorization", "").removeprefix("Bearer ") in self.valid
            peer.send(answer(200, b'{"id": "p1", "title": "", "content": ""}') if authorized else answer(401, ERROR))
            return
        with self._lock:
            self.asked.append(request)
            number = len(self.asked)
            script = self.script.pop(0) if self.script else None
        self.release.wait(5.0)
        if script is not None:
            script(peer)
            return
        with self._lock:
            self.valid.add(f"token-{number}")
        peer.send(answer(200, json.dumps({"access_token": f"token-{number}", **self.fields}).encode()))


@pytest.fixture
def api(server: FaultServer) -> Api:
    """Run the API and its token endpoint."""
    return Api(server)


def says(status: int, body: bytes | dict[str, Any], headers: Any = ()) -> Fault:
    """Answer the request with this."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda peer: peer.send(answer(status, data, headers))


def caller_of(flavour: str, server: FaultServer, **options: Any) -> Caller:
    """Create a client with credentials."""
    return Caller(flavour, base_url=server.base_url, **{**CREDENTIALS, **options})


def test_a_cold_start_asks_for_one_token(flavour: str, server: FaultServer, api: Api) -> None:
    """A hundred threads or a thousand tasks without a token share one token request."""
    how_many = {"sync": 100, "asyncio": 1000, "trio": 1000 if LONG else 200}[flavour]

    def slowly(peer: Peer) -> None:
        server.stopping.wait(0.1)
        says(200, {"access_token": "shared"})(peer)

    api.script = [slowly]
    api.valid.add("shared")
    client = caller_of(flavour, server, timeout=60.0)
    done: list[str] = []

    async def one() -> None:
        done.append((await client.call("GET")).data.id)

    together(flavour, [one] * how_many)
    assert done == ["p1"] * how_many
    assert len(api.asked) == 1
    assert len(server.received) == how_many + 1
    if flavour == "sync":
        client.client.close()
    server.wait_for_connections()


def test_what_is_asked_for(flavour: str, server: FaultServer, api: Api) -> None:
    """The token request matches the API reference, without API key, token or idempotency key."""

    async def scenario() -> None:
        async with caller_of(flavour, server, scopes=["prompts:read", "prompts:write"]) as caller:
            for method in METHODS:
                await caller.call(method)

    run(flavour, scenario)
    (request,) = api.asked
    assert (request.method, request.path) == ("POST", "/api/v1/oauth/token")
    assert json.loads(request.body) == {
        "grant_type": "client_credentials",
        "client_id": "app_1",
        "client_secret": SECRET,
        "scope": "prompts:read prompts:write",
    }
    assert request.headers["content-type"] == "application/json"
    assert "idempotency-key" not in request.headers
    assert request.headers.get("authorization", "").strip() in {"", "Bearer"}
    assert all(one.headers["authorization"] == "Bearer token-1" for one in server.received[1:])


def test_credentials_and_scopes_from_the_environment(
    server: FaultServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ENPROMPTA_CLIENT_ID`, `_CLIENT_SECRET` and `_SCOPES` suffice; without scopes none are requested."""
    monkeypatch.setenv("ENPROMPTA_CLIENT_ID", "app_env")
    monkeypatch.setenv("ENPROMPTA_CLIENT_SECRET", "secret_env")
    for scopes, told in (("", None), ("prompts:read, prompts:write", "prompts:read prompts:write")):
        monkeypatch.setenv("ENPROMPTA_SCOPES", scopes)
        with Enprompta(base_url=server.base_url, limiter=None) as client:
            client.prompts.get("p1")
        fields = json.loads(api.asked[-1].body)
        assert (fields["client_id"], fields["client_secret"]) == ("app_env", "secret_env")
        assert fields.get("scope") == told
    with Enprompta(base_url=server.base_url, limiter=None, scopes="usage:read") as client:
        client.prompts.get("p1")
    assert json.loads(api.asked[-1].body)["scope"] == "usage:read"


@pytest.mark.parametrize(
    ("given", "environ"),
    [
        ({"client_id": "app"}, {}),
        ({"client_secret": "hunter2"}, {}),
        ({}, {"ENPROMPTA_CLIENT_ID": "app"}),
        ({"client_id": "app", "client_secret": "hunter2", "api_key": "ep_x"}, {}),
        ({"client_id": "app", "client_secret": "hunter2\n"}, {}),
        ({"client_id": "app", "client_secret": "hunter2", "scopes": ["prompts:read prompts:write"]}, {}),
    ],
)
def test_incomplete_credentials_are_refused_and_not_shown(
    given: dict[str, Any], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Incomplete, mixed or invalid credentials are refused without being shown."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Enprompta(**given)
    assert "hunter2" not in str(caught.value)


def test_one_caller_renews_a_token_and_the_others_continue(flavour: str, server: FaultServer, api: Api) -> None:
    """Before a token expires one caller renews it; the others do not wait, and then all use the new one."""
    caller = caller_of(flavour, server)
    auth: Any = caller.client._auth
    now = [1000.0]
    auth._clock = lambda: now[0]
    renewed: list[bool] = []

    async def renew() -> None:
        await until(flavour, lambda: now[0] > 4000)
        await caller.call("GET")
        renewed.append(True)

    async def go_on() -> None:
        await caller.call("GET")
        now[0] = 1000.0 + 3600 - 30  # it serves for another 30 s, and should be replaced
        api.release.clear()
        await until(flavour, lambda: len(api.asked) == 2)
        for _ in range(5):
            await caller.call("GET")
        assert not renewed
        api.release.set()
        await until(flavour, lambda: renewed)
        await caller.call("GET")

    together(flavour, [renew, go_on])
    if flavour == "sync":
        caller.client.close()
    tokens = [one.headers["authorization"] for one in server.received if "oauth" not in one.path]
    assert tokens == ["Bearer token-1"] * 6 + ["Bearer token-2"] * 2
    assert len(api.asked) == 2


def test_a_failed_early_renewal_stops_no_call(flavour: str, server: FaultServer, api: Api, waits: Waits) -> None:
    """A failed renewal has no effect while the old token is valid; after that it is an error."""
    now = [1000.0]
    api.script = [says(200, {"access_token": "old", "expires_in": 3600}), *[says(500, ERROR)] * 8]
    api.valid.add("old")

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            caller.client._auth._clock = lambda: now[0]
            await caller.call("GET")
            now[0] += 3570.0
            await caller.call("GET")
            await caller.call("GET")  # does not ask again at once
            assert len(api.asked) == 1 + 4
            now[0] += 100.0
            with pytest.raises(AuthenticationError):
                await caller.call("GET")
            assert len(api.asked) == 1 + 4 + 4
            await caller.call("GET")

    run(flavour, scenario)
    assert len(waits) == 6


def test_a_revoked_token_is_replaced_once(flavour: str, server: FaultServer, api: Api) -> None:
    """A 401 fetches a new token and repeats the call; only the attempts show it."""

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            for method in METHODS:
                await caller.call(method)
                api.valid.clear()
                response = await caller.call(method)
                assert [attempt.status_code for attempt in response.attempts] == [401, 200]

    run(flavour, scenario)
    assert len(api.asked) == 5
    keys = [one.headers.get("idempotency-key") for one in server.received if one.method == "PUT"]
    assert len(keys) == 3
    assert keys[1] == keys[2]


def test_a_second_401_is_the_error(flavour: str, server: FaultServer, api: Api) -> None:
    """A new token that is refused is not renewed again."""

    def forget(peer: Peer) -> None:
        says(200, {"access_token": "unknown token"})(peer)

    api.script = [forget] * 3

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            error = await caller.outcome("GET")
            assert type(error) is AuthenticationError
            assert [attempt.status_code for attempt in error.attempts] == [401, 401]
            assert "it went wrong" in str(error)

    run(flavour, scenario)
    assert len(api.asked) == 2


def test_a_token_that_is_revoked_under_many_is_renewed_once(flavour: str, server: FaultServer, api: Api) -> None:
    """Fifty callers with a 401 at the same time fetch one new token."""
    caller = caller_of(flavour, server)
    met = threading.Barrier(50)

    def held(peer: Peer) -> None:
        peer.read()
        met.wait(10.0)
        peer.send(answer(401, ERROR))

    async def one() -> None:
        await caller.call("GET")

    server.play(api, *[held] * 50, then=api)
    together(flavour, [one] * 50)
    if flavour == "sync":
        caller.client.close()
    assert len(api.asked) == 2


REFUSALS: dict[str, tuple[Fault, int, str | None, str]] = {
    "RFC 6749": (
        says(401, {"error": "invalid_client", "error_description": "The client is unknown"}),
        401, "invalid_client", "The client is unknown",
    ),
    "RFC 6749, 400": (
        says(400, {"error": "invalid_scope", "error_description": "No such scope"}),
        400, "invalid_scope", "No such scope",
    ),
    "RFC 6749, no description": (says(400, {"error": "unauthorized_client"}), 400, None, "unauthorized_client"),
    "the API's own": (
        says(401, {"error": {"code": "INVALID_CLIENT", "message": "The client is unknown"}}),
        401, "INVALID_CLIENT", "The client is unknown",
    ),
    "HTML": (says(403, b"<html>Forbidden"), 403, None, "returned 403 Forbidden"),
    "a redirect": (says(302, b"", [("Location", "/login")]), 302, None, "redirects are not followed"),
    "nothing": (says(404, b""), 404, None, "returned 404 Not Found"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_the_token_endpoint(flavour: str, name: str, server: FaultServer, api: Api, waits: Waits) -> None:
    """It is an `AuthenticationError` with the endpoint's status and reason, without retries."""
    fault, status, code, reason = REFUSALS[name]
    api.script = [fault]

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            error = await caller.outcome("POST")
            assert type(error) is AuthenticationError
            assert (error.status_code, error.code) == (status, code)
            assert reason in str(error)
            assert "'app_1'" in str(error)
            assert "POST /oauth/token" in str(error)
            assert [attempt.status_code for attempt in error.attempts] == [status]
            await caller.call("POST")

    run(flavour, scenario)
    assert not waits


def test_a_token_endpoint_that_fails_is_tried_again(flavour: str, server: FaultServer, api: Api, waits: Waits) -> None:
    """500, 429 and a reset follow the client's retry policy, and the token that comes is used."""
    api.script = [
        says(500, ERROR),
        says(429, ERROR, [("Retry-After", "7")]),
        lambda peer: peer.reset(),
    ]

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            response = await caller.call("GET")
            assert [attempt.status_code for attempt in response.attempts] == [200]

    run(flavour, scenario)
    assert len(api.asked) == 4
    assert len(waits) == 3
    assert waits[1] == 7.0


def test_a_token_endpoint_that_keeps_failing(flavour: str, server: FaultServer, api: Api, waits: Waits) -> None:
    """It is an `AuthenticationError` with the endpoint's status and every attempt."""
    api.script = [says(503, ERROR)] * 4

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            error = await caller.outcome("GET")
            assert type(error) is AuthenticationError
            assert error.status_code == 503
            assert [attempt.status_code for attempt in error.attempts] == [503] * 4
            assert [attempt.wait for attempt in error.attempts] == [*waits, 0.0]
            assert "gave up after 4 attempts" in str(error)

    run(flavour, scenario)
    assert len(server.received) == 4


def test_a_token_endpoint_that_is_not_there(flavour: str, waits: Waits) -> None:
    """A refused connection is an `APIConnectionError`, not an authentication error."""
    with FaultServer(listening=False) as server:

        async def scenario() -> None:
            async with caller_of(flavour, server) as caller:
                error = await caller.outcome("GET")
                assert type(error) is APIConnectionError
                assert "POST /oauth/token: cannot connect to 127.0.0.1" in str(error)
                assert len(error.attempts) == 4

        run(flavour, scenario)


@pytest.mark.parametrize("form", ["bare", "enveloped"])
@pytest.mark.parametrize(
    ("expires_in", "serves"),
    [
        (..., True), (None, True), (3600, True), ("3600", True), (3600.5, True), ("soon", True), (True, True),
        ([], True), ({}, True), (10**400, True),
        ("1e999", True), ("nan", True), ("inf", True), ("-inf", False),
        (0, False), ("0", False), (-1, False), ("-5", False),
    ],
)  # fmt: skip
def test_every_form_of_expires_in(expires_in: Any, *, serves: bool, form: str, server: FaultServer, api: Api) -> None:
    """A token without a valid lifetime serves until a 401; an expired one serves the call that fetched it."""
    fields = {"access_token": "token", **({} if expires_in is ... else {"expires_in": expires_in})}
    api.valid.add("token")
    api.script = [says(200, {"success": True, "data": fields} if form == "enveloped" else fields)] * 2
    with caller_of("sync", server).client as client:
        auth: Any = client._auth
        auth._clock = lambda: 1000.0  # `true` is one second to Python
        for _ in range(2):
            assert client.prompts.get("p1").id == "p1"
    assert len(api.asked) == (1 if serves else 2)


UNUSABLE: dict[str, bytes] = {
    "nothing": b"",
    "HTML": b"<html>Log in",
    "no token": b'{"token_type": "Bearer", "expires_in": 3600}',
    "an empty token": b'{"access_token": ""}',
    "a number": b'{"access_token": 17}',
    "null": b"null",
    "a list": b'["access_token"]',
    "a text": b'"access_token"',
    "two lines": b'{"access_token": "a\\r\\nX-Evil: 1"}',
    "a letter that is no ASCII": '{"access_token": "żółw"}'.encode(),
    "blanks round it": b'{"access_token": " a "}',
    "an envelope with nothing in it": b'{"success": true, "data": null}',
    "half of it": b'{"access_token": "tok',
    "no text at all": b"\xff\xfe\x00\x01",
    "a pit": b'{"data": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", list(UNUSABLE))
def test_a_token_answer_without_a_token(flavour: str, name: str, server: FaultServer, api: Api) -> None:
    """A 200 with other content is an `APIResponseError` that names the endpoint and quotes nothing."""
    api.script = [says(200, UNUSABLE[name], [("X-Request-Id", "req_9")])]

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            error = await caller.outcome("GET")
            assert type(error) is APIResponseError
            assert str(error) == "the token endpoint returned 200 without a usable access_token"
            assert (error.status_code, error.request_id, error.body) == (200, "req_9", b"")
            assert len(error.attempts) == 1
            await caller.call("GET")

    run(flavour, scenario)


@pytest.mark.parametrize(
    "fault", [lambda peer: peer.stall(), says(503, ERROR, [("Retry-After", "20")])], ids=["silence", "a wait"]
)
def test_a_deadline_of_the_fetching_caller_does_not_affect_the_others(
    flavour: str, fault: Fault, server: FaultServer, api: Api
) -> None:
    """If the caller that fetches the token times out, a waiting caller takes over, and all waiting callers succeed."""
    api.script = [fault]
    caller = caller_of(flavour, server)
    outcomes: list[Any] = []

    async def lead() -> None:
        outcomes.append(await caller.outcome("GET", deadline=0.3))

    async def follow() -> None:
        await until(flavour, lambda: api.asked)
        await caller.call("GET")

    together(flavour, [lead, *[follow] * 10])
    if flavour == "sync":
        caller.client.close()
    assert type(outcomes[0]) is APITimeoutError
    assert len(outcomes[0].attempts) == 1
    assert len(api.asked) == 2


def test_a_waiting_caller_stops_at_its_deadline(flavour: str, server: FaultServer, api: Api) -> None:
    """A caller that waits for another's token request stops at its deadline; the error says what it waited for."""
    api.release.clear()
    caller = caller_of(flavour, server)

    async def lead() -> None:
        await caller.call("GET")

    async def follow() -> None:
        await until(flavour, lambda: api.asked)
        error = await caller.outcome("GET", deadline=0.1)
        assert type(error) is APITimeoutError
        assert re.search(r"the deadline of 0\.1 s has passed: 0\.\d\d s waited for an access token", str(error))
        api.release.set()

    together(flavour, [lead, follow])
    if flavour == "sync":
        caller.client.close()
    assert len(api.asked) == 1


def test_all_waiting_calls_share_a_refusal(flavour: str, server: FaultServer, api: Api) -> None:
    """One refused token request fails every waiting call with a separate error object."""
    api.release.clear()
    api.script = [says(401, {"error": "invalid_client", "error_description": "unknown"})]
    caller = caller_of(flavour, server)
    errors: list[Any] = []

    async def one() -> None:
        errors.append(await caller.outcome("GET"))

    async def let_go() -> None:
        gate: Any = None

        def all_wait() -> bool:
            nonlocal gate
            gate = caller.client._auth._pending
            waiting = 0 if gate is None else len(gate._waiters) + len(gate._done_callbacks)
            return waiting == 9

        await until(flavour, all_wait)
        api.release.set()

    together(flavour, [*[one] * 10, let_go])
    if flavour == "sync":
        caller.client.close()
    assert [type(error) for error in errors] == [AuthenticationError] * 10
    assert len({id(error) for error in errors}) == 10
    assert len({str(error) for error in errors}) == 1
    assert len(api.asked) == 1


def test_the_token_request_is_neither_counted_nor_hooked(server: FaultServer, api: Api) -> None:
    """Hooks see the call and not its token request, which uses no request budget."""
    seen: list[str] = []

    class Hook:
        def on_request(self, record: Any) -> None:
            seen.append(f"{record.method} {record.path} {record.headers['authorization']}")

    with caller_of("sync", server, hooks=[Hook()]).client as client:
        client.prompts.get("p1")
    assert seen == ["GET /prompts/p1 <secret>"]


def _echoes(status: int, wrap: Callable[[str], Any]) -> Fault:
    """Answer with the request, including the secret, in body and headers."""

    def fault(peer: Peer) -> None:
        sent = peer.server.received[-1].body.decode()
        body = json.dumps(wrap(sent)).encode()
        peer.send(answer(status, body, [("X-Request-Id", "req_1"), ("X-Echo", sent), ("Location", f"/?{SECRET}")]))

    return fault


def _broken_echo(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 " + peer.server.received[-1].body + b"\r\n\r\n")
    peer.reset()


LEAKS: dict[str, Fault] = {
    "RFC 6749": _echoes(400, lambda sent: {"error": SECRET, "error_description": f"not {SECRET}: {sent}"}),
    "the API's own": _echoes(
        401,
        lambda sent: {
            "error": {
                "code": SECRET,
                "message": sent,
                "details": [{"field": SECRET, "message": f"not {SECRET}"}, SECRET],
                "request_id": SECRET,
                "documentation_url": f"https://docs.invalid/{SECRET}",
            }
        },
    ),
    "as it came": lambda peer: peer.send(answer(500, peer.server.received[-1].body)),
    "a redirect": _echoes(302, lambda sent: sent),
    "200 without a token": _echoes(200, lambda sent: {"no_token": sent}),
    "an unusable token": _echoes(200, lambda _: {"access_token": f"{SECRET}\n"}),
    "no HTTP": _broken_echo,
    "reset": lambda peer: peer.reset(),
}


def _strings_of(value: Any, seen: set[int]) -> list[str]:
    """Return every text of an object, its attributes and causes."""
    if id(value) in seen:
        return []
    seen.add(id(value))
    found = [repr(value), str(value)]
    if isinstance(value, dict):
        parts: list[Any] = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set)):
        parts = list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
        parts += [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        if hasattr(value, "multi_items"):
            parts += value.multi_items()
    if isinstance(value, BaseException):
        parts += [value.args]
    return found + [text for part in parts for text in _strings_of(part, seen)]


@pytest.mark.parametrize("name", LEAKS)
def test_the_secret_shows_nowhere(
    flavour: str, name: str, *, server: FaultServer, api: Api, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the error, its attributes, causes, pickle, traceback or log, whatever the endpoint echoes."""
    caplog.set_level(logging.DEBUG, logger="enprompta")
    api.script = [LEAKS[name]] * 4
    errors: list[EnpromptaError] = []

    async def scenario() -> None:
        async with caller_of(flavour, server) as caller:
            errors.append(await caller.outcome("GET"))
            assert "hunter2" not in repr(caller.client) + repr(caller.client._auth) + repr(caller.client._plan)

    run(flavour, scenario)
    (error,) = errors
    assert isinstance(error, EnpromptaError)
    texts = _strings_of(error, set())
    texts += _strings_of(pickle.loads(pickle.dumps(error)), set())
    texts += [pickle.dumps(error).decode("latin-1")]
    texts += traceback.format_exception(type(error), error, error.__traceback__)
    texts += caplog.text.splitlines()
    chain: BaseException | None = error
    while chain is not None:
        texts += [str(chain), repr(chain)]
        chain = chain.__cause__ or chain.__context__
    assert not [text for text in texts if "hunter2" in text]


@pytest.mark.parametrize("name", LEAKS)
def test_the_secret_is_in_no_local_variable_that_a_traceback_shows(
    name: str, server: FaultServer, api: Api, waits: Waits
) -> None:
    """Error trackers that print local variables show neither secret nor token."""
    api.script = [LEAKS[name]] * 4
    with caller_of("sync", server).client as client:
        try:
            client.prompts.get("p1")
        except EnpromptaError as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            text = "".join(shown.format())
            ours = [line for line in text.splitlines() if "hunter2" in line and "SECRET" not in line]
            assert not ours
        else:
            raise AssertionError("it should have failed")
    gc.collect()


def test_the_token_is_in_no_local_variable_that_a_traceback_shows(server: FaultServer, api: Api) -> None:
    """Nor does a failed call show its token."""
    with caller_of("sync", server).client as client:
        client.prompts.get("p1")
        server.play(then=lambda peer: says(404, ERROR)(peer) if peer.read() else None)
        with pytest.raises(EnpromptaError) as caught:
            client.prompts.get("p1")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "token-1" not in "".join(shown.format())
