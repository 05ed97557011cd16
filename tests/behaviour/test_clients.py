"""Clients are created, viewed with other options, overridden for one call, and closed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, InternalServerError
from enprompta.limiters import LocalLimiter, RedisLimiter

PROMPT = {"id": "pmt_1", "title": "Greeting", "content": "Hello"}


def ok(_: httpx.Request | None = None) -> httpx.Response:
    """Answer with a prompt."""
    return httpx.Response(200, json={"success": True, "data": PROMPT})


def get(client: Any) -> Any:
    """Fetch a prompt."""
    return client.prompts.get("p")


def timeouts(request: httpx.Request) -> Any:
    """Return the timeouts passed to httpx."""
    return request.extensions["timeout"]


def test_settings_reach_the_request(api: Any) -> None:
    """Timeouts and headers of the client apply to its requests."""
    api.answers(ok(), ok())
    api.run(get, api.scripted(timeout=2, default_headers={"X-Team": "blue"}))
    api.run(get, api.scripted(timeout=None))
    assert timeouts(api.requests[0]) == {"connect": 2, "read": 2, "write": 2, "pool": 2}
    assert api.requests[0].headers["X-Team"] == "blue"
    assert timeouts(api.requests[1]) == {"connect": 5.0, "read": None, "write": None, "pool": None}


def test_the_environment_sets_up_a_client(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Enprompta()` works without arguments if the environment variables are set."""
    monkeypatch.setenv("ENPROMPTA_API_KEY", "ep_env")
    monkeypatch.setenv("ENPROMPTA_BASE_URL", "https://env.test/api/v1/")
    monkeypatch.setenv("ENPROMPTA_TIMEOUT", "3")
    monkeypatch.setenv("ENPROMPTA_MAX_RETRIES", "0")
    client = api.make(api_key=None, http_client=api.http_client)
    api.answers(httpx.Response(503))
    with pytest.raises(InternalServerError):
        api.run(get, client)
    (request,) = api.requests
    assert str(request.url) == "https://env.test/api/v1/prompts/p"
    assert request.headers["Authorization"] == "Bearer ep_env"
    assert timeouts(request)["read"] == 3.0


@pytest.mark.parametrize(
    ("limiter", "given"),
    [("redis://localhost", "str"), (LocalLimiter, "the class LocalLimiter"), (RedisLimiter, "the class RedisLimiter")],
)
def test_an_invalid_limiter_is_refused(api: Any, limiter: object, given: str) -> None:
    """An invalid limiter is rejected when the client is created, with the accepted kinds in the error."""
    with pytest.raises(ConfigurationError, match=rf"limiter must be LocalLimiter\(\), .*, not {given}"):
        api.make(limiter=limiter)


def test_a_missing_key_is_an_error_of_the_constructor(api: Any) -> None:
    """The error names the variables to set."""
    with pytest.raises(ConfigurationError, match=r"api_key.*ENPROMPTA_API_KEY"):
        api.client_class()


@pytest.mark.parametrize("key", ["ep_hunter2\n", "ep_hunter2ż", "ep_hunter2 ", ""])
def test_an_invalid_key_is_refused_and_not_shown(api: Any, key: str) -> None:
    """An invalid key is rejected when the client is created, and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        api.client_class(api_key=key)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://api.test"},
        {"base_url": ""},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_retries": -1},
        {"max_retries": True},
        {"max_wait": -1},
        {"default_headers": {"Authorization": "x"}},
        {"default_headers": {"Content-Type": "text/plain"}},
        {"default_headers": [("X-A", "b")]},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_the_client_is_made(api: Any, options: dict[str, Any]) -> None:
    """Settings are checked before any request."""
    with pytest.raises(ConfigurationError):
        api.client_class(api_key="ep_x", **options)


def test_a_client_shows_its_address_and_no_key(api: Any) -> None:
    """`repr` is safe for logs: it shows no secret."""
    client = api.scripted(api_key="ep_hunter2")
    name = "AsyncEnprompta" if api.is_async else "Enprompta"
    assert repr(client) == f"<{name} https://api.test/api/v1 <API key>>"
    assert client.base_url == "https://api.test/api/v1"


def test_a_client_that_could_not_be_made_can_be_shown(api: Any) -> None:
    """A debugger that shows a client whose constructor raised gets a repr, not another exception."""
    name = api.client_class.__name__
    assert repr(object.__new__(api.client_class)) == f"<{name} that could not be created>"


def test_the_wrong_kind_of_http_client_is_refused(api: Any) -> None:
    """The error says which HTTP client each client class takes."""
    other = httpx.Client if api.is_async else httpx.AsyncClient
    for wrong in (other(transport=httpx.MockTransport(ok)), object(), "proxy"):
        with pytest.raises(
            ConfigurationError, match=r"http_client must be an httpx\..* \(Enprompta takes an httpx\.Client"
        ):
            api.client_class(api_key="ep_x", http_client=wrong)


def test_per_call_keywords_override_the_client_for_one_call(api: Any) -> None:
    """`timeout`, `max_retries` and `headers` of a call apply to that call only."""
    client = api.scripted(default_headers={"X-Team": "blue", "X-Two": "2"})
    api.answers(ok(), ok(), httpx.Response(503))
    api.run(lambda c: c.prompts.get("p", timeout=1.5, headers={"x-team": "red"}), client)
    api.run(get, client)
    first, second = api.requests
    assert timeouts(first)["read"] == 1.5
    assert first.headers.get_list("X-Team") == ["red"]
    assert first.headers["X-Two"] == "2"
    assert timeouts(second)["read"] == 30.0
    assert second.headers["X-Team"] == "blue"
    with pytest.raises(InternalServerError):
        api.run(lambda c: c.prompts.get("p", max_retries=0), client)


def test_a_listing_keeps_the_keywords_of_its_call(api: Any) -> None:
    """Every page is requested with the options of the first."""
    pages = [{"has_more": True, "next_cursor": "n"}, {"has_more": False}]
    api.answers(*(httpx.Response(200, json={"data": [PROMPT], "pagination": one}) for one in pages))
    assert len(api.items(lambda c: c.prompts.list(timeout=1.5, headers={"X-Team": "red"}))) == 2
    assert [timeouts(one)["read"] for one in api.requests] == [1.5, 1.5]
    assert [one.headers["X-Team"] for one in api.requests] == ["red", "red"]


def test_a_view_has_separate_settings_on_the_same_connections(api: Any) -> None:
    """`with_options` leaves its parent unchanged, can be chained, and shares the known budget."""
    parent = api.scripted(default_headers={"X-Team": "blue"})
    view = parent.with_options(timeout=1, max_retries=0, headers={"X-Two": "2"})
    further = view.with_options(timeout=None, headers={"X-Team": "red"})
    budget = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "9"}
    api.answers(httpx.Response(503, headers=budget), ok(), httpx.Response(503), ok())
    with pytest.raises(InternalServerError):
        api.run(get, view)
    api.run(get, further)
    api.run(get, parent)
    in_view, in_further, *in_parent = api.requests
    assert timeouts(in_view)["read"] == 1
    assert timeouts(in_further)["read"] is None
    assert {timeouts(one)["read"] for one in in_parent} == {30.0}
    assert (in_view.headers["X-Team"], in_view.headers["X-Two"]) == ("blue", "2")
    assert (in_further.headers["X-Team"], in_further.headers["X-Two"]) == ("red", "2")
    assert [one.headers.get("X-Two") for one in in_parent] == [None, None]
    assert parent.rate_limit is not None
    assert parent.rate_limit == view.rate_limit == further.rate_limit
    assert type(view) is type(parent)


@pytest.mark.uses_respx
def test_closing_a_view_leaves_its_parent_open(driver: Any) -> None:
    """A view does not close its parent, even as a context manager; closing the parent closes its views."""
    parent = driver.make(api_key="ep_x")
    view = parent.with_options(timeout=1)
    with respx.mock(base_url="https://enprompta.com/api/v1") as router:
        router.get("/prompts/p").mock(return_value=ok())
        driver.call(get, parent)
        driver.use(view, get)
        driver.close(view)
        assert not parent.is_closed
        driver.call(get, parent)
        driver.close(parent)
        assert parent.is_closed
        assert view.is_closed
        for client in (parent, view):
            with pytest.raises(ConfigurationError, match="this client is closed"):
                driver.call(get, client)


@pytest.mark.uses_respx
def test_a_context_manager_closes(driver: Any) -> None:
    """Leaving the block closes the client; closing it again does nothing."""
    client = driver.make()
    with respx.mock(base_url="https://enprompta.com/api/v1") as router:
        router.get("/prompts/p").mock(return_value=ok())
        assert driver.use(client, get).id == "pmt_1"
    assert client.is_closed
    driver.close(client)
    driver.close(client)


def test_the_callers_http_client_stays_open(driver: Any) -> None:
    """The caller's HTTP client is closed by the caller only."""
    http = driver.http(ok)
    client = driver.make(http_client=http)
    assert driver.use(client, get).id == "pmt_1"
    driver.close(client)
    assert not http.is_closed
    assert driver.call(get, client).id == "pmt_1"


@pytest.mark.uses_respx
def test_canned_answers_of_respx_work(driver: Any) -> None:
    """Users can test their programs with respx, like any program that uses httpx."""
    client = driver.make(max_retries=1)
    with respx.mock(base_url="https://enprompta.com/api/v1") as router:
        route = router.get("/prompts/p").mock(side_effect=[httpx.Response(503, headers={"Retry-After": "0"}), ok()])
        assert driver.call(get, client).title == "Greeting"
        assert route.call_count == 2


def test_both_clients_have_the_same_methods() -> None:
    """Both clients have the same methods, except for closing."""

    def public(cls: type) -> set[str]:
        return {name for name in dir(cls) if not name.startswith("_")}

    assert public(Enprompta) - {"close"} == public(AsyncEnprompta) - {"aclose"}
