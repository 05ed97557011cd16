"""Authentication, tiers and rate limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from tests.emulator.conftest import Clock


def budget(response: httpx.Response) -> tuple[int, int, int]:
    """The limit, remaining requests and reset in the headers."""
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    limit, remaining, reset = (int(response.headers[name]) for name in names)
    return limit, remaining, reset


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ep", "Bearer ep_nobody", "Basic ep_test_pro"])
def test_unknown_key_is_a_401(emulator: Emulator, connect: Any, authorization: str | None) -> None:
    """A missing or invalid key gets a 401 on all paths of the API, known or not."""
    headers = {} if authorization is None else {"Authorization": authorization}
    client = connect(emulator, None)
    for path in ("/prompts", "/nowhere", "/prompts/x"):
        response = client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "UNAUTHORIZED"
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_free_tier_has_no_access(emulator: Emulator, connect: Any) -> None:
    """The free tier's key gets a 403 everywhere, with advice."""
    client = connect(emulator, emulator.keys.free)
    for response in (client.get("/prompts"), client.post("/prompts", json={}), client.get("/nowhere")):
        assert response.status_code == 403
        assert "subscribe to Pro" in response.json()["error"]["message"]


@pytest.mark.parametrize(("tier", "limit"), [("pro", 60), ("team", 300), ("enterprise", 1000), ("free", 60)])
def test_each_tier_has_its_limit(emulator: Emulator, connect: Any, tier: str, limit: int) -> None:
    """The headers have the tier's limit per minute, the remaining requests and the start of the next minute."""
    client = connect(emulator, getattr(emulator.keys, tier))
    assert budget(client.get("/prompts")) == (limit, limit - 1, 1_705_492_860)
    assert budget(client.get("/prompts/none")) == (limit, limit - 2, 1_705_492_860)
    assert budget(client.get("/nowhere")) == (limit, limit - 3, 1_705_492_860)
    assert budget(client.patch("/prompts")) == (limit, limit - 4, 1_705_492_860)


def test_anonymous_requests_share_a_separate_budget(emulator: Emulator, connect: Any) -> None:
    """Anonymous responses have the headers too and do not use an account's budget."""
    assert budget(connect(emulator, None).get("/prompts")) == (1000, 999, 1_705_492_860)
    assert budget(connect(emulator, emulator.keys.pro).get("/prompts"))[1] == 59


def test_a_minute_is_used_up_and_the_next_is_full(clock: Clock, connect: Any) -> None:
    """A request over the limit gets a 429 with `Retry-After` and is not counted; the next window is full again."""
    clock.now += 17.5
    with Emulator(clock=clock, limits={"pro": (3, 100)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        assert [budget(client.get("/prompts"))[1] for _ in range(3)] == [2, 1, 0]
        for _ in range(2):
            refused = client.get("/prompts")
            assert refused.status_code == 429
            assert refused.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
            assert refused.headers["Retry-After"] == "43"
            assert budget(refused) == (3, 0, 1_705_492_860)
        clock.now = 1_705_492_859.999
        assert client.get("/prompts").headers["Retry-After"] == "1"
        clock.now = 1_705_492_860
        assert budget(client.get("/prompts")) == (3, 2, 1_705_492_920)


def test_window_can_be_short(clock: Clock, connect: Any) -> None:
    """The window's length can be set; windows start at its multiples."""
    clock.now += 1.2
    with Emulator(clock=clock, window=2.5, limits={"pro": (2, 100)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        assert budget(client.get("/prompts")) == (2, 1, 1_705_492_803)  # the window ends at .5, which is rounded up
        clock.now += 1.3
        assert budget(client.get("/prompts")) == (2, 1, 1_705_492_805)


def test_day_is_used_up_until_midnight(clock: Clock, connect: Any) -> None:
    """A request over the daily limit gets a 429 with the day's numbers and a wait until midnight UTC."""
    with Emulator(clock=clock, limits={"pro": (10, 2)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        assert [client.get("/prompts").status_code for _ in range(3)] == [200, 200, 429]
        clock.now += 600
        refused = client.get("/prompts")
        assert refused.headers["Retry-After"] == str(12 * 3600 - 600)
        assert budget(refused) == (2, 0, 1_705_536_000)
        assert "per day" in refused.json()["error"]["message"]
        clock.now = 1_705_536_000
        assert budget(client.get("/prompts")) == (10, 9, 1_705_536_060)


def test_limits_can_be_off(clock: Clock, connect: Any) -> None:
    """Without rate limits no request is refused, and the headers report a practically unlimited budget."""
    with Emulator(clock=clock, rate_limits=False, limits={"pro": (1, 1)}) as emulator:
        client = connect(emulator, emulator.keys.pro)
        answers = [client.get("/prompts") for _ in range(3)]
        assert {it.status_code for it in answers} == {200}
        assert budget(answers[-1]) == (1_000_000, 1_000_000, 1_705_492_860)


def test_date_follows_the_clock(client: httpx.Client, clock: Clock) -> None:
    """`Date` and all times follow the emulator's clock."""
    clock.now = 1_000_000_000.9
    response = client.post("/prompts", json={"title": "t", "content": "c"})
    assert response.headers.get_list("Date") == ["Sun, 09 Sep 2001 01:46:40 GMT"]
    assert response.json()["data"]["createdAt"] == "2001-09-09T01:46:40Z"


def test_health_is_for_everyone(emulator: Emulator, connect: Any, clock: Clock) -> None:
    """Health needs no key, has no envelope, and lists components on request."""
    client = connect(emulator, None)
    clock.now += 61
    brief = client.get("/health")
    assert brief.status_code == 200
    assert brief.json()["components"] is None
    detailed = client.get("/health?detailed=true").json()
    assert detailed["components"]["database"]["status"] == detailed["status"] == "healthy"
    assert (detailed["timestamp"], detailed["uptime_seconds"]) == ("2024-01-17T12:01:01Z", 61)
    assert connect(emulator, emulator.keys.free).get("/health?detailed=0").status_code == 200
    assert client.get("/health?detailed=maybe").json()["error"]["details"][0]["field"] == "detailed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limits": {"gold": (1, 1)}}, "Unknown tier gold; use one of free, pro, team, enterprise"),
        ({"limits": {"pro": (0, 1)}}, "at least 1 request"),
        ({"credits": {"gold": 1}}, "Unknown tier"),
        ({"window": 0}, "longer than 0 seconds"),
        ({"day": -1}, "longer than 0 seconds"),
        ({"port": 70_000}, "between 0 and 65535"),
        ({"upstream": "localhost:1"}, "must be an http"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    """An invalid setting is rejected at the start, with the reason."""
    with pytest.raises(ConfigurationError, match=message):
        Emulator(**settings).start()


def test_error_dialect_is_one_of_two() -> None:
    """An unknown error format is rejected."""
    with pytest.raises(ConfigurationError, match="reference, detailed"):
        Emulator(error_dialect="klingon")  # type: ignore[arg-type]
