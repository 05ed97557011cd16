"""Client, emulator and document have the same operations, and every request and answer is as the document says."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.routing import APIRoute

from enprompta import APIStatusError, AsyncEnprompta, Enprompta
from enprompta.emulator import Emulator
from enprompta.emulator.api import app
from tests.conformance.document import (
    OPERATIONS,
    beyond,
    of,
    problems_of_request,
    problems_of_response,
    properties,
    resolve,
)
from tests.conformance.seeds import sow
from tests.conformance.table import COMPOSED, EXTRAS, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.table import Do

RESOURCES = ("prompts", "executions", "templates", "workflows", "teams", "webhooks", "traces", "usage")


def sizes() -> list[Any]:
    """Each row of the table twice: with the fewest arguments, and with all."""
    return [
        pytest.param(row.operation, do, id=f"{row.operation}-{size}")
        for row in TABLE
        for size, do in (("minimal", row.minimal), ("full", row.full))
        if do is not None
    ]


class Recorder:
    """Takes requests and refuses all of them."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take a request."""
        self.requests.append(request)
        return httpx.Response(418)


@pytest.fixture
def record() -> Iterator[Callable[..., list[httpx.Request]]]:
    """Make a call and give the requests that it sent."""
    opened: list[httpx.Client] = []

    def make(do: Do, **credentials: Any) -> list[httpx.Request]:
        recorder = Recorder()
        opened.append(httpx.Client(transport=httpx.MockTransport(recorder)))
        settings = credentials or {"api_key": "ep_test"}
        client = Enprompta(
            **settings, http_client=opened[-1], limiter=None, max_retries=0, base_url="https://a.test/api/v1"
        )
        with suppress(APIStatusError):
            do(client)
        return recorder.requests

    yield make
    for http in opened:
        http.close()


def test_every_operation_has_one_method() -> None:
    """The table has each operation of the document once, but for the token's, which the client asks for by itself."""
    called = [row.operation for row in TABLE]
    documented = sorted(OPERATIONS.keys() - {"oauth.token"})
    assert sorted(called) == documented, (
        "each operation of docs/openapi.yaml needs one row in TABLE of tests/conformance/table.py, and vice versa"
    )


@pytest.mark.parametrize("client_class", [Enprompta, AsyncEnprompta])
def test_every_method_has_one_operation(client_class: Any) -> None:
    """No public method of a client's resources is missing from the table, nor is one named there that is not."""
    client = client_class(api_key="ep_test")
    methods = {
        f"{resource}.{name}"
        for resource in RESOURCES
        for name in dir(getattr(client, resource))
        if not name.startswith("_") and callable(getattr(getattr(client, resource), name))
    }
    known = [row.method for row in TABLE if "." in row.method] + list(EXTRAS)
    assert len(known) == len(set(known))
    assert methods - set(COMPOSED) == set(known), (
        "each method in enprompta/resources/ needs a row in TABLE of tests/conformance/table.py, or an entry in EXTRAS "
        "or COMPOSED there if it calls other methods"
    )


def test_every_operation_has_one_route() -> None:
    """The emulator routes each operation of the document once, and nothing else of the API."""
    routes = [
        (method, _shape(route.path))
        for router in app._ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.path.startswith("/api/")
        for method in route.methods
    ]
    assert sorted(routes) == sorted((it.method, _shape(it.path)) for it in OPERATIONS.values()), (
        "each operation of docs/openapi.yaml needs one route in enprompta/emulator/api/routes/, and the other way round"
    )


@pytest.mark.parametrize(("operation", "do"), sizes())
def test_requests_are_as_documented(record: Callable[..., list[httpx.Request]], operation: str, do: Do) -> None:
    """Each call sends one request, for its operation, of which everything is in the document."""
    [request] = record(do)
    assert of(request).id == operation
    assert problems_of_request(request) == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.operation)
def test_everything_can_be_said(record: Callable[..., list[httpx.Request]], row: Any) -> None:
    """All that the document lets a caller say of an operation, a caller can say through the client."""
    [request] = record(row.full or row.minimal)
    operation = OPERATIONS[row.operation]
    parameters = [it for it in map(resolve, operation.raw.get("parameters", [])) if it["in"] == "query"]
    advice = "`full` of its row in tests/conformance/table.py passes every argument, and the method takes all of them"
    assert {it["name"] for it in parameters} == set(request.url.params), advice
    if "requestBody" in operation.raw:
        schema = operation.raw["requestBody"]["content"]["application/json"]["schema"]
        assert set(_json(request)) == set(properties(schema)), advice


@pytest.mark.parametrize("name", EXTRAS)
def test_extras_send_what_rows_send(record: Callable[..., list[httpx.Request]], name: str) -> None:
    """Methods beyond the table send documented requests too."""
    for request in record(EXTRAS[name]):
        assert problems_of_request(request) == []


@pytest.mark.parametrize("scopes", [None, ["prompts:read", "executions:write"]])
def test_the_token_request_is_as_documented(record: Callable[..., list[httpx.Request]], scopes: Any) -> None:
    """A client with client credentials first asks for a token, with or without scopes."""
    [request] = record(lambda client: client.usage.get(), client_id="i", client_secret="s", scopes=scopes)
    assert of(request).id == "oauth.token"
    assert problems_of_request(request) == []
    assert ("scope" in _json(request)) == (scopes is not None)


def test_answers_are_as_documented(watched: Callable[..., httpx.Client]) -> None:
    """Each row succeeds on the emulator, in the order of the table, and every answer is as documented."""
    seen: list[httpx.Response] = []
    with Emulator(rate_limits=False, webhook_backoff=()) as emulator:
        sow(emulator)
        own = emulator.clients.enterprise
        http = watched(seen)
        client = Enprompta(
            client_id=own.client_id, client_secret=own.client_secret, base_url=emulator.url, http_client=http
        )
        for row in TABLE:
            for do in filter(None, (row.minimal, row.full)):
                do(client)
    assert {of(response.request).id for response in seen} == set(OPERATIONS)
    assert {response.status_code // 100 for response in seen} == {2}


def test_async_answers_are_as_documented() -> None:
    """The async client goes through the same table with the same success."""

    async def watch(response: httpx.Response) -> None:
        await response.aread()
        assert problems_of_request(response.request) + problems_of_response(response) == []

    async def go(emulator: Emulator) -> None:
        async with (
            httpx.AsyncClient(event_hooks={"response": [watch]}, trust_env=False) as http,
            AsyncEnprompta(api_key=emulator.keys.enterprise, base_url=emulator.url, http_client=http) as client,
        ):
            for row in TABLE:
                for do in filter(None, (row.minimal, row.full)):
                    await do(client)

    with Emulator(rate_limits=False, webhook_backoff=()) as emulator:
        sow(emulator)
        asyncio.run(go(emulator))


@pytest.mark.parametrize("dialect", ["reference", "detailed"])
def test_refusals_are_as_documented(watched: Callable[..., httpx.Client], dialect: Any) -> None:
    """Every kind of refusal that the emulator knows, in either dialect, is as documented and is read as what it is."""
    seen: list[httpx.Response] = []
    http = watched(seen)
    settings: dict[str, Any] = {"credits": {"pro": 0}, "limits": {"team": (1, 9)}, "error_dialect": dialect}
    with Emulator(clock=lambda: 1_705_492_800.0, **settings) as emulator:  # no minute ends meanwhile

        def client(key: str) -> Enprompta:
            return Enprompta(api_key=key, base_url=emulator.url, http_client=http, limiter=None, max_retries=0)

        pro, team = client(emulator.keys.pro), client(emulator.keys.team)
        prompt = pro.prompts.create(title="t", content="c")
        pro.prompts.list()
        owned = pro.teams.create(name="Mine")
        team.usage.get()
        for do in (
            lambda: pro.prompts.create(title="", content="c"),
            client("ep_nobody").prompts.list,
            lambda: pro.prompts.execute(prompt.id),
            client(emulator.keys.free).prompts.list,
            lambda: pro.prompts.get("pmt_none"),
            lambda: pro.teams.leave(owned.id),
            team.usage.get,
        ):
            with pytest.raises(APIStatusError) as caught:
                do()
            assert caught.value.status_code == seen[-1].status_code
            assert caught.value.message
    statuses = [response.status_code for response in seen if response.is_error]
    assert statuses == [400, 401, 402, 403, 404, 409, 429]


@pytest.fixture
def watched() -> Iterator[Callable[..., httpx.Client]]:
    """Make HTTP clients that hold all that goes through them against the document, which is to know every field."""
    opened: list[httpx.Client] = []

    def make(seen: list[httpx.Response]) -> httpx.Client:
        def watch(response: httpx.Response) -> None:
            response.read()
            seen.append(response)
            assert problems_of_response(response) == []
            assert beyond(response) == []
            if response.is_success:
                assert problems_of_request(response.request) == []

        opened.append(httpx.Client(event_hooks={"response": [watch]}, trust_env=False))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _json(request: httpx.Request) -> Any:
    return json.loads(request.content)
