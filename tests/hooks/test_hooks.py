"""Hooks see every attempt in order, cannot change or break a call, and see no secrets."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
from collections.abc import Mapping
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import anyio
import httpx
import pytest

from enprompta import APIConnectionError, APITimeoutError, ConfigurationError, Enprompta, InternalServerError
from enprompta.hooks import Hooks, RecordHeaders, RequestRecord, ResponseRecord
from enprompta.limiters.interface import NoLimiter
from tests.faults.flavours import Caller, Waits, run, settle
from tests.faults.server import PROMPT, FaultServer, Peer, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from typing_extensions import Self

    from tests.hooks.conftest import Diary

KEY = "ep_test_hunter2"


def status(code: int, *headers: tuple[str, str]) -> Callable[[Peer], None]:
    """Answer with a status."""

    def play(peer: Peer) -> None:
        peer.read()
        peer.send(answer(code, b'{"error": {"message": "no"}}', headers))

    return play


class Slow(NoLimiter):
    """A limiter and its account that delay each request by 1.5 seconds."""

    waited = 1.5

    def __init__(self) -> None:
        super().__init__()
        self.given_back = 0

    def account(self, key: str) -> Self:
        """Return itself."""
        return self

    def cancel(self, ticket: object) -> None:
        """Count returned requests."""
        self.given_back += 1


class TestOrder:
    def test_a_call_that_succeeds(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """One request and one response are recorded with their data and outcome."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary], api_key=KEY) as caller:
                await caller.call("POST")

        run(flavour, scenario)
        assert diary.events == ["request", "response"]
        (request,), (response,) = diary.records("request"), diary.records("response")
        assert (request.attempt, request.method, request.path) == (1, "POST", "/prompts")
        assert request.url == f"{server.base_url}/prompts"
        assert json.loads(request.body) == {"title": "Greeting", "content": "Hello {{name}}"}
        assert response.request is request
        assert (response.status_code, response.error, response.error_type) == (200, None, None)
        assert response.request_id == response.headers["X-Request-Id"] == "req_1"
        assert response.body == PROMPT
        assert 0 < response.duration < 5

    def test_a_call_that_is_tried_again(self, flavour: str, server: FaultServer, diary: Diary, waits: Waits) -> None:
        """Each attempt is reported before and after, each pause before it starts, all with the same call id."""
        server.play(status(503, ("Retry-After", "2"), ("X-Request-Id", "r1")), Peer.reset)

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary]) as caller:
                await caller.call("GET")
                await caller.call("GET")

        run(flavour, scenario)
        once = ["request", "response"]
        assert diary.events == [*once, "retry", *once, "retry", *once, *once]
        requests, responses, retries = (diary.records(event) for event in ("request", "response", "retry"))
        assert [record.attempt for record in requests] == [1, 2, 3, 1]
        assert [record.status_code for record in responses] == [503, None, 200, 200]
        assert [record.error_type for record in responses] == [None, "APIConnectionError", None, None]
        assert "connection" in responses[1].error
        assert (responses[1].headers, responses[1].body, responses[1].request_id) == ({}, b"", None)
        assert [(record.request, record.wait, record.status_code) for record in retries] == [
            (requests[0], 2.0, 503),
            (requests[1], waits[1], None),
        ]
        assert "returned 503" in retries[0].error
        assert waits[0] == 2.0
        assert len({record.call_id for record in requests}) == 2
        assert len({record.call_id for record in requests[:3]}) == 1

    def test_a_call_that_fails_at_last(self, flavour: str, server: FaultServer, diary: Diary, waits: Waits) -> None:
        """The last attempt is reported with its response, without a retry record."""
        server.play(then=status(500))

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary], max_retries=1) as caller:
                assert isinstance(await caller.outcome("GET"), InternalServerError)

        run(flavour, scenario)
        assert diary.events == ["request", "response", "retry", "request", "response"]

    def test_no_connection(self, flavour: str, diary: Diary) -> None:
        """A refused connection is reported with its message and error class."""
        with FaultServer(listening=False) as server:

            async def scenario() -> None:
                async with Caller(flavour, base_url=server.base_url, hooks=[diary], max_retries=0) as caller:
                    error = await caller.outcome("GET")
                    assert isinstance(error, APIConnectionError)
                    assert diary.records("response")[0].error in str(error)

            run(flavour, scenario)
        assert diary.events == ["request", "response"]

    def test_a_wait_for_the_budget(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """A wait is reported when it is over, before its request."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary], limiter=Slow()) as caller:
                await caller.call("GET")

        run(flavour, scenario)
        assert diary.events == ["wait", "request", "response"]
        (wait,) = diary.records("wait")
        assert (wait.method, wait.path, wait.waited) == ("GET", "/prompts/p1", 1.5)
        assert wait.call_id == diary.records("request")[0].call_id

    def test_a_deadline(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """An attempt that the deadline ends is reported as timed out."""
        server.play(status(200), then=Peer.stall)

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary]) as caller:
                await caller.outcome("GET")  # what only the first call takes time for
                assert isinstance(
                    await caller.outcome("GET", caller.client.with_options(deadline=0.3)), APITimeoutError
                )

        run(flavour, scenario)
        assert diary.events == ["request", "response"] * 2
        assert diary.records("response")[1].error_type == "APITimeoutError"

    @pytest.mark.parametrize("flavour", ["asyncio", "trio"])
    def test_a_task_that_is_cancelled(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """A request whose caller gives up is reported as cancelled."""
        server.play(status(200), then=Peer.stall)

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary]) as caller:
                await caller.outcome("GET")  # what only the first call takes time for
                with anyio.move_on_after(0.3) as scope:
                    await caller.call("GET")
                assert scope.cancelled_caught

        run(flavour, scenario)
        assert diary.events == ["request", "response"] * 2
        _, response = diary.records("response")
        assert (response.status_code, response.error, response.error_type) == (None, "cancelled", "cancelled")

    def test_a_thread_that_is_interrupted(self, diary: Diary) -> None:
        """Ctrl-C during a request is reported as cancelled, and propagates."""

        def interrupted(_: httpx.Request) -> NoReturn:
            raise KeyboardInterrupt

        with httpx.Client(transport=httpx.MockTransport(interrupted)) as http:
            client = Enprompta(api_key=KEY, http_client=http, hooks=[diary], limiter=None)
            with pytest.raises(KeyboardInterrupt):
                client.prompts.get("p1")
        assert [record.error for record in diary.records("response")] == ["cancelled"]

    def test_what_a_foreign_transport_raises(self, diary: Diary) -> None:
        """An unexpected exception is reported by its class only, and propagates."""

        def broken(_: httpx.Request) -> NoReturn:
            raise LookupError("with who knows what in it")

        with httpx.Client(transport=httpx.MockTransport(broken)) as http:
            client = Enprompta(api_key=KEY, http_client=http, hooks=[diary], limiter=None)
            with pytest.raises(LookupError):
                client.prompts.get("p1")
        (response,) = diary.records("response")
        assert response.error == response.error_type == "LookupError"

    def test_a_client_that_is_closed(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """A call on a closed client is reported with its error, not as cancelled."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary]) as caller:
                pass
            assert isinstance(await caller.outcome("GET"), ConfigurationError)

        run(flavour, scenario)
        (response,) = diary.records("response")
        assert response.error_type == "ConfigurationError"
        assert "closed" in response.error

    def test_a_renewed_token(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """After a 401, the attempt with a new token is reported without a pause; token requests are not reported."""

        def token(peer: Peer) -> None:
            peer.read()
            peer.send(answer(200, json.dumps({"access_token": f"token-{len(peer.server.received)}"}).encode()))

        server.play(token, status(401), token)

        async def scenario() -> None:
            options: Any = {"client_id": "me", "client_secret": "hunter2hunter2", "hooks": [diary]}
            async with Caller(flavour, base_url=server.base_url, **options) as caller:
                await caller.call("GET")

        run(flavour, scenario)
        assert diary.events == ["request", "response", "request", "response"]
        assert [record.path for record in diary.records("request")] == ["/prompts/p1"] * 2
        assert "hunter2" not in repr(diary.entries)
        assert "token-" not in repr(diary.entries)
        assert [one.headers.get("authorization") for one in server.received] == [
            None, "Bearer token-1", None, "Bearer token-3",
        ]  # fmt: skip

    def test_calls_of_many_threads_have_unique_ids(self, server: FaultServer, diary: Diary) -> None:
        """Each call of a process has a unique id."""
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=[diary], limiter=None) as client:
            threads = [Thread(target=client.prompts.get, args=("p1",)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len({record.call_id for record in diary.records("request")}) == 20


class TestRecords:
    def test_records_are_frozen(self, server: FaultServer, diary: Diary, waits: Waits) -> None:
        """Neither attributes nor headers of a record can be set."""
        server.play(status(503))
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=[diary], limiter=Slow()) as client:
            client.prompts.get("p1")
        assert {event for event, _ in diary.entries} == {"wait", "request", "response", "retry"}
        for _, record in diary.entries:
            for name in [one.name for one in dataclasses.fields(record)]:
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(record, name, "changed")
            if headers := getattr(record, "headers", None):
                with pytest.raises(TypeError):
                    headers["X-Request-Id"] = "changed"

    def test_records_travel(self, server: FaultServer, diary: Diary, waits: Waits) -> None:
        """Records can be pickled for another process, and turned into dicts."""
        server.play(status(503))
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=[diary], limiter=Slow()) as client:
            client.prompts.get("p1")
        for _, record in diary.entries:
            assert pickle.loads(pickle.dumps(record)) == record
            assert dataclasses.asdict(record)

    def test_credentials_are_masked(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """Neither the key, nor a cookie, nor a proxy's password is in a record; the server got them all."""

        def echo(peer: Peer) -> None:
            received = peer.read()
            peer.send(answer(200, PROMPT, [("Set-Cookie", "id=c00kie"), ("X-Echo", received.headers["authorization"])]))

        server.play(then=echo)
        headers = {"Cookie": "id=c00kie", "Proxy-Authorization": "Basic pr0xy", "X-Other": "shown"}

        async def scenario() -> None:
            options: Any = {"api_key": KEY, "hooks": [diary], "default_headers": headers}
            async with Caller(flavour, base_url=server.base_url, **options) as caller:
                await caller.call("GET")

        run(flavour, scenario)
        (request,), (response,) = diary.records("request"), diary.records("response")
        assert request.headers["authorization"] == request.headers["Authorization"] == "<secret>"
        assert request.headers["cookie"] == request.headers["proxy-authorization"] == "<secret>"
        assert request.headers["x-other"] == "shown"
        assert response.headers["set-cookie"] == "<secret>"
        assert response.headers["x-echo"] == "Bearer <secret>"
        dumped = pickle.dumps([record.headers for record in (request, response)])
        for secret in (KEY, "c00kie", "pr0xy"):
            assert secret not in repr(diary.entries)
            assert secret.encode() not in dumped
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"

    def test_bodies_do_not_show(self, server: FaultServer, diary: Diary) -> None:
        """Bodies can be read, but are not in a record's repr."""
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=[diary], limiter=None) as client:
            client.prompts.create(title="Quiet", content="hush")
        assert b"hush" in diary.records("request")[0].body
        assert "hush" not in repr(diary.entries)
        assert "Greeting" not in repr(diary.entries)

    def test_headers_of_a_record(self) -> None:
        """Names are case-insensitive, and repeated values are joined."""
        headers = RecordHeaders([("X-A", "1"), ("x-a", "2"), ("Authorization", "k"), ("authorization", "k")])
        assert dict(headers) == {"x-a": "1, 2", "authorization": "<secret>"}
        assert headers["X-A"] == "1, 2"
        assert "X-a" in headers
        assert "x-b" not in headers
        assert len(headers) == 2
        assert repr(headers) == "RecordHeaders({'x-a': '1, 2', 'authorization': '<secret>'})"


class Raising:
    """Every method fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_request(self, record: object) -> NoReturn:
        """Fail."""
        raise self.error

    on_response = on_retry = on_wait = on_request


class TestRaising:
    def test_a_hook_that_raises_is_logged_and_ignored(
        self, flavour: str, server: FaultServer, diary: Diary, waits: Waits, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The call continues, other hooks run, and a warning names the hook, the method and the error class."""
        server.play(status(503))
        hooks = [Raising(ValueError("has my hunter2 in it")), diary]

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=hooks, limiter=Slow()) as caller:
                await caller.call("GET")

        with caplog.at_level(logging.WARNING, "enprompta"):
            run(flavour, scenario)
        assert diary.events == ["wait", "request", "response", "retry", "wait", "request", "response"]
        assert {record.levelname for record in caplog.records} == {"WARNING"}
        told: Any = [record.__dict__ for record in caplog.records]
        assert [(one["event"], one["fields"]["method"]) for one in told] == [
            ("hook_failed", f"on_{event}") for event in diary.events
        ]
        assert told[0]["fields"] == {"hook": "Raising", "method": "on_wait", "error": "ValueError"}
        assert "hunter2" not in caplog.text

    def test_what_is_no_exception_goes_through(self, server: FaultServer) -> None:
        """Ctrl-C in a hook reaches the caller, and the unsent request is refunded."""
        account = Slow()
        hooks = [Raising(KeyboardInterrupt())]
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=hooks, limiter=account) as client:
            client._hooks[0].on_wait = lambda record: None  # type: ignore[attr-defined]
            with pytest.raises(KeyboardInterrupt):
                client.prompts.get("p1")
        assert account.given_back == 1
        assert server.received == []


class Adding(Hooks):
    """Returns headers to send."""

    def __init__(self, *headers: Any) -> None:
        self.headers = list(headers)

    def on_request(self, record: RequestRecord, /) -> Any:
        """Return the next headers."""
        return self.headers.pop(0)


class Crooked(Mapping[str, str]):
    """A mapping that cannot be read."""

    def __getitem__(self, name: str) -> str:
        raise LookupError

    def __iter__(self) -> NoReturn:
        raise LookupError

    def __len__(self) -> int:
        return 1


class TestHeaders:
    def test_headers_are_sent(self, flavour: str, server: FaultServer, waits: Waits) -> None:
        """Headers returned by `on_request` replace the client's and stay for retries."""
        server.play(status(503))
        first = Adding({"Traceparent": "a", "user-agent": "mine"}, {"traceparent": "b"})
        hooks = [first, Adding(MappingProxyType({"X-One": "1"}), httpx.Headers({"X-Two": "2"})), Hooks()]

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=hooks) as caller:
                await caller.call("GET")

        run(flavour, scenario)
        names = ("traceparent", "user-agent", "x-one", "x-two")
        assert [[one.headers.get(name) for name in names] for one in server.received] == [
            ["a", "mine", "1", None],
            ["b", "mine", "1", "2"],
        ]

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({"X-Good": "1", "X-Bad": "a\r\nX-Evil: b"}, "the value of header X-Bad"),
            ({"X-Good": "1", "X-Bad": "ż"}, "the value of header X-Bad"),
            ({"X-Good": "1", "X-Bad": 5}, "the value of header X-Bad"),
            ({"X Bad": "1", "X-Good": "1"}, "'X Bad' is not a valid header name"),
            ({5: "1", "X-Good": "1"}, "5 is not a valid header name"),
            ({"authorization": "Bearer hunter2", "X-Good": "1"}, "header authorization cannot be set"),
            ({"Idempotency-Key": "k", "X-Good": "1"}, "header Idempotency-Key cannot be set"),
            (["X-Good"], "headers must be a mapping of names to values, not list"),
            ("X-Good: 1", "headers must be a mapping of names to values, not str"),
            (Crooked(), None),
        ],
    )
    def test_headers_that_cannot_be_sent_are_logged_and_left_out(
        self, server: FaultServer, caplog: pytest.LogCaptureFixture, given: Any, reason: str | None
    ) -> None:
        """The call continues with the valid headers, and the log says which were left out and why."""
        options: Any = {"api_key": KEY, "base_url": server.base_url, "limiter": None}
        with caplog.at_level(logging.WARNING, "enprompta"), Enprompta(hooks=[Adding(given)], **options) as client:
            client.prompts.get("p1")
        (logged,) = caplog.records
        fields = logged.__dict__["fields"]
        assert (fields["hook"], fields["method"]) == ("Adding", "on_request")
        assert fields.get("reason", "").startswith(reason or "")
        assert "hunter2" not in caplog.text
        (sent,) = server.received
        assert sent.headers.get("x-good") == ("1" if isinstance(given, dict) else None)
        assert not {"x-bad", "x-evil", "x bad"} & sent.headers.keys()
        assert sent.headers["authorization"] == f"Bearer {KEY}"


class TestSetup:
    def test_views_and_calls_with_options_keep_hooks(self, flavour: str, server: FaultServer, diary: Diary) -> None:
        """Views, nested views, raw views and calls with options run the client's hooks."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[diary]) as caller:
                view = caller.client.with_options(timeout=5).with_options(max_retries=0)
                await settle(view.prompts.get("p1"))
                await settle(view.with_raw_response.prompts.get("p1"))
                await settle(view.prompts.get("p1", timeout=3))

        run(flavour, scenario)
        assert diary.events == ["request", "response"] * 3

    def test_no_hooks_no_records(self, flavour: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without hooks, nothing is recorded and no hook runs."""
        for name in ("RequestRecord", "ResponseRecord", "RecordHeaders", "announce", "notify"):
            monkeypatch.delattr(f"enprompta.hooks.{name}")

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url) as caller:
                await caller.call("GET")

        run(flavour, scenario)

    def test_the_base_class_does_nothing(self, server: FaultServer, waits: Waits) -> None:
        """A subclass overrides the methods it needs; the others do nothing."""
        server.play(status(503))
        seen: list[int | None] = []

        class Mine(Hooks):
            def on_response(self, record: ResponseRecord, /) -> None:
                seen.append(record.status_code)

        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=[Mine()], limiter=Slow()) as client:
            client.prompts.get("p1")
        assert seen == [503, 200]

    def test_a_part_of_the_methods_is_enough(self, server: FaultServer) -> None:
        """An object with one of the methods is a hook; its other attributes are ignored."""

        class Counting:
            count = 0

            def on_response(self, record: object) -> None:
                self.count += 1

        counting = Counting()
        with Enprompta(api_key=KEY, base_url=server.base_url, hooks=(one for one in [counting])) as client:
            client.prompts.get("p1")
            client.prompts.get("p1")
        assert counting.count == 2

    @pytest.mark.parametrize(
        ("hooks", "reason"),
        [
            (Hooks(), "hooks must be a list of objects, not Hooks"),
            (None, "hooks must be a list of objects, not NoneType"),
            ([Hooks], r"hooks must be objects, not classes: hooks=\[Hooks\(\)\]"),
            ([object()], "on_call_start, on_request, on_response, on_retry, on_wait, on_exposure; object has none"),
            (["on_request"], "str has none"),
            ([AsyncMock()], "AsyncMock.on_call_end must be a plain function, in the async client too"),
        ],
    )
    def test_what_could_never_be_called_is_refused(self, hooks: Any, reason: str) -> None:
        """A misspelled method, a class, an object outside a list and a coroutine function are rejected at once."""
        with pytest.raises(ConfigurationError, match=reason):
            Enprompta(api_key=KEY, hooks=hooks)
