"""End-to-end scenarios over real sockets, against the emulator."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    FieldError,
    InsufficientTokensError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from enprompta.emulator import Emulator
from enprompta.emulator.stores import prompts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client(driver: Any, emulator: Emulator) -> Any:
    """Create a client of the team account."""
    return driver.make(api_key=emulator.keys.team, base_url=emulator.url)


def add_prompts(emulator: Emulator, number: int) -> list[str]:
    """Insert prompts into the enterprise account without requests; return their ids, oldest first."""
    services = emulator._started().services
    account = services.accounts.authenticate(f"Bearer {emulator.keys.enterprise}")
    with services.database.transaction():
        values = ({"title": uuid.uuid4().hex, "content": "Hello"} for _ in range(number))
        return [prompts.create(services.database, account, one, services.clock())["id"] for one in values]


@pytest.fixture(scope="module")
def crowded(flavour: str) -> Iterator[tuple[Emulator, list[str]]]:
    """Serve an account with 10,000 prompts; with 1,000 for the clients that share the code of the first."""
    with Emulator(rate_limits=False) as emulator:
        yield emulator, add_prompts(emulator, 10_000 if flavour == "sync" else 1_000)


def test_the_life_of_a_prompt(driver: Any, client: Any) -> None:
    """Create, list, fetch, change and execute a prompt, list its executions, and delete it."""
    title = uuid.uuid4().hex
    prompt = driver.call(
        lambda c: c.prompts.create(title=title, content="Hello {{name}}", category=title, tags=["a"]), client
    )
    assert (prompt.title, prompt.version, prompt.tags) == (title, 1, ["a"])
    assert [one.name for one in prompt.variables] == ["name"]

    page = driver.call(lambda c: c.prompts.list(category=title, limit=5), client)
    assert [one.id for one in page.data] == [prompt.id]
    assert page.pagination.total_count == 1
    assert driver.call(lambda c: c.prompts.get(prompt.id), client) == prompt

    changed = driver.call(
        lambda c: c.prompts.update(prompt.id, content="Bye {{name}}", description=None, visibility="TEAM"), client
    )
    assert (changed.version, changed.content, changed.visibility) == (2, "Bye {{name}}", "TEAM")

    execution = driver.call(lambda c: c.prompts.execute(prompt.id, variables={"name": "Ada"}, temperature=0.5), client)
    assert (execution.status, execution.output, execution.prompt_id) == ("completed", "Bye Ada", prompt.id)
    assert execution.variables == {"name": "Ada"}
    assert driver.call(lambda c: c.executions.get(execution.id), client).output == "Bye Ada"
    past = driver.walk(lambda c: c.executions.list(prompt_id=prompt.id), client)
    assert [one.id for one in past] == [execution.id]
    stats = driver.call(lambda c: c.executions.stats(group_by="prompt"), client)
    (of_prompt,) = [one for one in stats if one.key == prompt.id]
    assert of_prompt.executions == 1
    assert of_prompt.tokens == execution.tokens

    assert driver.call(lambda c: c.prompts.delete(prompt.id), client) is None
    with pytest.raises(NotFoundError) as caught:
        driver.call(lambda c: c.prompts.get(prompt.id), client)
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)
    assert driver.call(lambda c: c.prompts.list(category=title), client).data == []


def test_the_live_version_of_a_prompt(driver: Any, client: Any, emulator: Emulator) -> None:
    """`get_live` returns the version that a label points at, outside the versioned API."""
    title = uuid.uuid4().hex
    prompt = driver.call(lambda c: c.prompts.create(title=title, content="one"), client)
    driver.call(lambda c: c.prompts.update(prompt.id, content="two"), client)
    emulator.set_label(prompt.id, "staging", 1)
    live = driver.call(lambda c: c.prompts.get_live(title), client)
    assert (live.id, live.content, live.label) == (prompt.id, "two", "production")
    staged = driver.call(lambda c: c.prompts.get_live(title, label="staging"), client)
    assert (staged.content, staged.version.number) == ("one", 1)
    with pytest.raises(NotFoundError, match="canary"):
        driver.call(lambda c: c.prompts.get_live(title, label="canary"), client)


def test_templates_are_found_and_forked(driver: Any, client: Any) -> None:
    """Browse and fetch templates, fork one, and execute it."""
    templates = driver.walk(lambda c: c.templates.list(limit=5), client)
    assert len({one.id for one in templates}) == len(templates) >= 12
    template = driver.call(lambda c: c.templates.get(templates[0].id), client)
    assert template.content == templates[0].content
    fork = driver.call(lambda c: c.templates.fork(template.id, title="Mine"), client)
    mine = driver.call(lambda c: c.prompts.get(fork.prompt_id), client)
    assert (mine.title, mine.content) == ("Mine", template.content)
    assert [one.name for one in mine.variables] == [one.name for one in template.variables]


def test_an_id_cannot_climb(driver: Any, client: Any) -> None:
    """On a real server, any id addresses a prompt with that id, which is not found; no other endpoint answers."""
    for prompt_id in ("../templates", "..", ".", "a/b?x=1", "żółw", "%2e%2e/templates"):
        with pytest.raises(NotFoundError, match="Prompt"):
            driver.call(lambda c, prompt_id=prompt_id: c.prompts.get(prompt_id), client)


def test_errors_of_the_service_name_the_field(driver: Any, client: Any) -> None:
    """A 400 names the invalid fields in `details`."""
    prompt = driver.call(lambda c: c.prompts.create(title="t", content="{{topic}}"), client)
    with pytest.raises(BadRequestError) as caught:
        driver.call(lambda c: c.prompts.execute(prompt.id, variables={"topc": "x"}), client)
    assert caught.value.code == "VALIDATION_ERROR"
    assert {one.field for one in caught.value.details} == {"variables.topic", "variables.topc"}
    assert all(isinstance(one, FieldError) for one in caught.value.details)


@pytest.mark.parametrize("dialect", ["reference", "detailed"])
def test_refusals_name_their_reason(driver: Any, dialect: Any) -> None:
    """An invalid key raises 401, a free plan 403, and used-up credits 402, in both dialects of the service."""
    with Emulator(rate_limits=False, error_dialect=dialect, credits={"pro": 1}) as emulator:
        for key, error in (("ep_wrong", AuthenticationError), (emulator.keys.free, PermissionDeniedError)):
            with pytest.raises(error) as caught:
                driver.call(lambda c: c.prompts.list(), driver.make(api_key=key, base_url=emulator.url))
            assert caught.value.request_id
            assert (caught.value.numeric_code is not None) == (dialect == "detailed")
            assert key not in str(caught.value)
        client = driver.make(api_key=emulator.keys.pro, base_url=emulator.url)
        prompt = driver.call(lambda c: c.prompts.create(title="t", content="c"), client)
        driver.call(lambda c: c.prompts.execute(prompt.id), client)
        with pytest.raises(InsufficientTokensError) as refused:
            driver.call(lambda c: c.prompts.execute(prompt.id), client)
        assert len(refused.value.attempts) == 1
        driver.close(client)


def test_an_idempotency_key_is_charged_once(driver: Any) -> None:
    """Repeating a call with its idempotency key returns the first response; another call with the key is a conflict."""
    with Emulator(rate_limits=False, credits={"pro": 2}) as emulator:
        client = driver.make(api_key=emulator.keys.pro, base_url=emulator.url)
        prompt = driver.call(lambda c: c.prompts.create(title="t", content="{{x}}"), client)

        def execute(key: str, x: str = "1") -> Any:
            return driver.call(lambda c: c.prompts.execute(prompt.id, variables={"x": x}, idempotency_key=key), client)

        assert execute("k1").id == execute("k1").id == execute("k1").id
        assert execute("k2").id != execute("k1").id
        with pytest.raises(InsufficientTokensError):
            execute("k3")
        with pytest.raises(ConflictError):
            execute("k1", "2")
        assert len(driver.walk(lambda c: c.executions.list(), client)) == 2
        driver.close(client)


def test_a_used_up_budget_is_a_rate_limit_error(driver: Any) -> None:
    """A client that does not wait gets an error at its limit, with the budget and the seconds until the reset."""
    with Emulator(limits={"pro": (2, 1000)}, clock=lambda: 1_705_486_510.0) as emulator:
        client = driver.make(api_key=emulator.keys.pro, base_url=emulator.url, max_wait=0, limiter=None)
        for left in (1, 0):
            driver.call(lambda c: c.prompts.list(), client)
            assert client.rate_limit.remaining == left
        with pytest.raises(RateLimitError, match=r"more than max_wait \(0 s\)") as caught:
            driver.call(lambda c: c.prompts.list(), client)
        assert caught.value.retry_after == 50.0
        assert caught.value.rate_limit.limit == 2
        driver.close(client)


def test_a_long_list_is_complete(driver: Any, crowded: tuple[Emulator, list[str]]) -> None:
    """Paging loses and repeats nothing, in the service's order."""
    emulator, ids = crowded
    client = driver.make(api_key=emulator.keys.enterprise, base_url=emulator.url)
    pages = driver.walk(lambda c: c.prompts.list(limit=100).pages(), client)
    listed = [one.id for page in pages for one in page.data]
    first = set(ids)  # the account may have grown since
    assert [one for one in listed if one in first] == ids[::-1]
    assert len(set(listed)) == len(listed)
    assert {len(page.data) for page in pages[:-1]} == {100}
    assert len(pages) == -(-len(listed) // 100) >= 10
    driver.close(client)


def test_a_list_may_grow_while_it_is_walked(driver: Any, crowded: tuple[Emulator, list[str]]) -> None:
    """Prompts added during paging neither hide nor repeat others."""
    emulator, ids = crowded
    client = driver.make(api_key=emulator.keys.enterprise, base_url=emulator.url)
    walked: list[str] = []

    def grow(prompt: Any) -> None:
        walked.append(prompt.id)
        if len(walked) % 250 == 0:
            add_prompts(emulator, 7)

    driver.walk(lambda c: c.prompts.list(limit=100), client, then=grow)
    assert len(set(walked)) == len(walked)
    assert set(ids) <= set(walked)
    driver.close(client)
