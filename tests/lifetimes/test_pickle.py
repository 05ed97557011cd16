"""Clients, errors, models and other objects can be pickled and copied without showing the secret."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timezone
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import httpx
import pytest

import enprompta.errors
import enprompta.models
from enprompta import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    AsyncEnprompta,
    Attempt,
    ConfigurationError,
    Enprompta,
    EnpromptaError,
    FieldError,
    NotFoundError,
    OutputError,
    Page,
    RateLimit,
    RateLimitError,
    TemplateError,
    VersionMismatchError,
    WorkflowFailedError,
)
from enprompta.errors import APIStatusError, ErrorInfo
from enprompta.limiters import LocalLimiter
from enprompta.models import Model
from tests.faults.flavours import Caller, run, settle
from tests.faults.server import FaultServer, Peer, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "ep_test_hunter2"
CLIENTS: Any = pytest.mark.parametrize("kind", [Enprompta, AsyncEnprompta])
CREDENTIALS: Any = pytest.mark.parametrize(
    "credentials",
    [{"api_key": KEY}, {"client_id": "me", "client_secret": KEY}, {"client_id": "me", "client_secret": KEY,
                                                                    "scopes": ["prompts:read", "teams:read"]}],
    ids=["key", "oauth", "scopes"],
)  # fmt: skip


class Counting:
    """Hooks with state."""

    def __init__(self) -> None:
        self.count = 0

    def on_response(self, record: object) -> None:
        """Count a response."""
        self.count += 1


def travel(it: Any, protocol: int | None = None) -> Any:
    """Pickle and unpickle."""
    return pickle.loads(pickle.dumps(it, protocol))


class TestClients:
    @CLIENTS
    @CREDENTIALS
    def test_settings_travel(self, kind: Any, credentials: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """Every argument survives, whatever the environment of the receiving process."""
        client = kind(
            **credentials, base_url="https://api.test/v9", timeout=None, deadline=7.5, max_retries=0, max_wait=3.0,
            max_response_bytes=5_000,
            default_headers={"X-Team": "blue"}, hooks=[Counting()],
        )  # fmt: skip
        pickled = pickle.dumps(client)
        for name, value in {"BASE_URL": "https://other.test", "TIMEOUT": "1", "DEADLINE": "1", "MAX_RETRIES": "9",
                            "MAX_WAIT": "1", "API_KEY": "ep_other", "SCOPES": "other"}.items():  # fmt: skip
            monkeypatch.setenv(f"ENPROMPTA_{name}", value)
        arrived = pickle.loads(pickled)
        assert type(arrived) is kind
        assert vars(arrived._settings) == vars(client._settings)
        assert arrived._auth.arguments() == client._auth.arguments()
        assert arrived._headers == client._headers
        assert [type(hook) for hook in arrived._hooks] == [Counting]

    @CLIENTS
    @CREDENTIALS
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_an_unpickled_client_does_not_show_its_key(
        self, kind: Any, credentials: dict[str, Any], protocol: int
    ) -> None:
        """The unpickled client does not show its key."""
        arrived = travel(kind(**credentials), protocol)
        assert KEY in arrived._auth.secrets()
        for it in (arrived, arrived._auth, arrived._settings, arrived._plan, arrived._transport):
            assert KEY not in repr(it)
            assert KEY not in str(it)

    def test_an_arrived_client_works(self, flavour: str, server: FaultServer) -> None:
        """The copy makes calls on its own connections, whether or not the original is closed."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, hooks=[Counting()]) as caller:
                await caller.call("GET")
                arrived = travel(caller.client)
                await caller.call("GET", arrived)
                await settle(caller.client.aclose() if caller.is_async else caller.client.close())
                await caller.call("GET", arrived)
                assert (caller.client._hooks[0].count, arrived._hooks[0].count) == (1, 3)
                await settle(arrived.aclose() if caller.is_async else arrived.close())

        run(flavour, scenario)
        assert server.connections == 2
        assert len({one.headers["authorization"] for one in server.received}) == 1

    def test_a_closed_client_arrives_open(self) -> None:
        """A pickle contains the arguments of a client."""
        client = Enprompta(api_key=KEY)
        client.close()
        assert not travel(client).is_closed

    def test_limiters_travel(self) -> None:
        """None, the default and a custom limiter are preserved; accounts of one key stay one account."""
        assert travel(Enprompta(api_key=KEY, limiter=None))._limiter is None
        default = Enprompta(api_key=KEY)
        assert travel(default)._limiter is default._limiter
        own = travel(Enprompta(api_key=KEY, limiter=LocalLimiter()))
        assert isinstance(own._limiter, LocalLimiter)
        assert own._account is travel(default)._account is default._account

    def test_a_view_arrives_as_a_client(self) -> None:
        """It has the view's settings and its own connections."""
        with Enprompta(api_key=KEY) as client:
            view = travel(client.with_options(timeout=3, headers={"X-Team": "blue"}))
        assert view._settings.timeout == 3
        assert view._settings.headers == {"X-Team": "blue"}
        view.close()
        assert view.is_closed

    @CLIENTS
    def test_the_callers_http_client_is_not_lost_in_silence(self, kind: Any) -> None:
        """A client with its own `http_client` is refused, because proxies and certificates would be lost."""
        http: Any = httpx.Client() if kind is Enprompta else httpx.AsyncClient()
        client = kind(api_key=KEY, http_client=http)
        for it in (client, client.with_options(timeout=3)):
            with pytest.raises(ConfigurationError, match=r"with an http_client cannot be pickled.*create the client"):
                pickle.dumps(it)
        if kind is Enprompta:
            http.close()

    def test_hooks_that_cannot_travel_say_so(self) -> None:
        """Pickle itself reports the options that it cannot handle."""

        class Local:
            def on_wait(self, record: object) -> None:
                """Do nothing."""

        with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
            pickle.dumps(Enprompta(api_key=KEY, hooks=[Local()]))

    @CLIENTS
    @pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
    def test_copies(self, kind: Any, make: Callable[[Any], Any]) -> None:
        """A copy has the same settings, hooks and limiter, but its own connections."""
        hooks, limiter = Counting(), LocalLimiter()
        client = kind(api_key=KEY, hooks=[hooks], limiter=limiter, timeout=3)
        made = make({"client": client})["client"] if make is copy.deepcopy else make(client)
        assert type(made) is kind
        assert made is not client
        assert vars(made._settings) == vars(client._settings)
        assert made._transport is not client._transport
        assert made._hooks == [hooks]
        assert made._limiter is limiter
        assert made._account is client._account

    @pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
    def test_copies_share_the_callers_http_client(self, make: Callable[[Any], Any]) -> None:
        """The caller's `http_client` is shared, not created again."""
        with httpx.Client() as http:
            assert make(Enprompta(api_key=KEY, http_client=http))._http_client is http

    def test_a_page_travels_with_its_client(self, server: FaultServer) -> None:
        """It can fetch the next page after unpickling."""

        def listing(peer: Peer) -> None:
            cursor = None if "cursor" in peer.read().path else "two"
            body = {
                "data": [{"id": "p1", "title": "Greeting", "content": "Hello"}],
                "pagination": {"next_cursor": cursor},
            }
            peer.send(answer(200, json.dumps(body).encode()))

        server.play(then=listing)
        with Enprompta(api_key=KEY, base_url=server.base_url, limiter=None) as client:
            page: Page[Any] = travel(client.prompts.list())
        assert [prompt.id for prompt in page] == ["p1", "p1"]
        page._fetch.__self__.close()  # type: ignore[attr-defined]
        assert KEY not in repr(page)


def errors() -> Iterator[EnpromptaError]:
    """Build one error of each class with all attributes."""
    attempts = [Attempt(1, 0.5, 503, wait=1.5, request_id="r1"), Attempt(2, 0.25, error="reset")]
    moment = RateLimit(60, 0, datetime(2026, 1, 2, tzinfo=timezone.utc))
    info = ErrorInfo(
        "no",
        "CODE",
        numeric_code=1001,
        details=(FieldError("title", "too long"),),
        request_id="r2",
        documentation_url="https://docs.test",
        body={"a": [1]},
    )
    for name in enprompta.errors.__all__:
        cls = getattr(enprompta.errors, name)
        if not (isinstance(cls, type) and issubclass(cls, EnpromptaError)):
            continue
        made: Any = cls
        if issubclass(cls, APIStatusError):
            yield made(
                "it said no", status_code=418, info=info, request_id="r3", rate_limit=moment, retry_after=2.5,
                headers=httpx.Headers({"X-A": "1"}), attempts=attempts,
            )  # fmt: skip
        elif issubclass(cls, APIResponseError):
            yield made("what", status_code=200, headers=httpx.Headers({"X-A": "1"}), body=b"\0", attempts=attempts)
        elif issubclass(cls, TemplateError):
            yield made("who", missing=["a"], unknown=["b"])
        elif issubclass(cls, VersionMismatchError):
            yield made("moved", prompt_id="p", expected=3, actual="v4")
        elif issubclass(cls, OutputError):
            paid = enprompta.models.Execution.model_validate({"id": "e", "output": "{}", "more": 1})
            yield made("misfit", execution=paid, place="items[2].price", text="{}")
        elif issubclass(cls, WorkflowFailedError):
            execution = enprompta.models.WorkflowExecution.model_validate({"id": "w", "status": "failed", "more": 1})
            yield made("failed", execution=execution)
        else:
            yield made("text", **({"attempts": attempts} if issubclass(cls, APIConnectionError) else {}))


class TestErrors:
    @pytest.mark.parametrize("error", list(errors()), ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("make", [travel, copy.copy, copy.deepcopy])
    def test_errors_travel(self, error: EnpromptaError, make: Callable[[Any], Any]) -> None:
        """Class, text and every attribute survive, also later additions."""
        error.add_context("gave up")
        arrived = make(error)
        assert type(arrived) is type(error)
        assert str(arrived) == str(error) == arrived.message
        assert str(error).endswith("; gave up")
        assert arrived.args == error.args
        assert vars(arrived) == vars(error)
        assert repr(arrived) == repr(error)

    def test_all_classes_are_here(self) -> None:
        """The list above contains every error class."""

        def tree(cls: type) -> set[type]:
            return {cls}.union(*(tree(one) for one in cls.__subclasses__() if one.__module__ == "enprompta.errors"))

        assert {type(error) for error in errors()} == tree(EnpromptaError)

    def test_an_error_of_a_call_travels(self, flavour: str, server: FaultServer) -> None:
        """An API error and a connection error."""
        server.play(lambda peer: (peer.read(), peer.send(answer(404, b'{"error": {"message": "none"}}')))[0])

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url, max_retries=0) as caller:
                error: Any = await caller.outcome("GET")
                arrived = travel(error)
                assert type(arrived) is NotFoundError
                assert (str(arrived), arrived.attempts) == (str(error), error.attempts)
                assert arrived.headers["Content-Length"] == error.headers["content-length"]
            with FaultServer(listening=False) as nobody:
                async with Caller(flavour, base_url=nobody.base_url, max_retries=0) as caller:
                    error = await caller.outcome("GET")
                    arrived = travel(error)
                    assert (str(arrived), arrived.attempts, arrived.unsent) == (str(error), error.attempts, True)

        run(flavour, scenario)

    def test_standard_bases_arrive(self) -> None:
        """`except TimeoutError` and `except ValueError` catch them after unpickling."""
        assert isinstance(travel(APITimeoutError("late")), TimeoutError)
        assert isinstance(travel(ConfigurationError("odd")), ValueError)
        assert travel(RateLimitError("slow", status_code=429, retry_after=3.0)).retry_after == 3.0


def example(annotation: Any) -> Any:
    """Build a value of a type with nested models and unknown fields."""
    annotation = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        fields = {name: example(field.annotation) for name, field in annotation.model_fields.items()}
        return {**fields, "notInTheReference": {"deep": [1, None, {"deeper": "ż"}]}}
    if origin in {Union, UnionType}:
        return example(next(one for one in arguments if one is not type(None)))
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [example(arguments[0])]
    if origin is dict:
        return {"key": example(arguments[1])}
    name = getattr(annotation, "__name__", "Any")
    made_up = {
        "str": "text",
        "int": 3,
        "float": 0.5,
        "bool": True,
        "datetime": "2026-01-02T03:04:05Z",
        "Any": {"a": [1]},
    }
    return made_up.get(name, "2026-01-02")


MODELS = [
    cls for name in enprompta.models.__all__ if isinstance(cls := getattr(enprompta.models, name), type)
    and issubclass(cls, Model)
]  # fmt: skip


class TestModels:
    @pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
    @pytest.mark.parametrize("make", [travel, copy.copy, copy.deepcopy])
    def test_models_travel(self, cls: type[Model], make: Callable[[Any], Any]) -> None:
        """Every field survives, nested and unknown ones too."""
        value = cls.model_validate(example(cls))
        arrived = make(value)
        assert type(arrived) is cls
        assert arrived == value
        assert arrived.model_extra == {"notInTheReference": {"deep": [1, None, {"deeper": "ż"}]}}
        assert arrived.model_dump_json(by_alias=True) == value.model_dump_json(by_alias=True)

    def test_models_arrive_where_none_was_used_before(self, program: Callable[..., str]) -> None:
        """A process that has not imported a model can unpickle and dump it."""
        values = [cls.model_validate(example(cls)) for cls in MODELS]
        text = (
            "import pickle, sys\n"
            "for value in pickle.loads(bytes.fromhex(sys.argv[1])):\n"
            "    print(value.model_dump_json())\n"
        )
        printed = program(text, pickle.dumps(values).hex())
        assert printed.splitlines() == [value.model_dump_json() for value in values]

    def test_responses_travel(self, flavour: str, server: FaultServer) -> None:
        """Results of `with_raw_response` are pickled completely."""

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url) as caller:
                response = await caller.call("GET")
                assert travel(response) == response
                assert travel(response).headers["x-request-id"] == response.request_id == "req_1"

        run(flavour, scenario)
