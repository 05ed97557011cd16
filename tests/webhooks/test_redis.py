"""A RedisStore keeps claims as the other stores do."""

from __future__ import annotations

import socket
import sys

import pytest

from enprompta.errors import ConfigurationError
from enprompta.webhooks import ClaimState, RedisStore


def test_redis_keeps_claims(redis_url: str) -> None:
    """A RedisStore has the same states as the others, whether or not its client decodes responses."""
    import redis

    for decode in (False, True):
        with redis.Redis.from_url(redis_url, decode_responses=decode) as client:
            store = RedisStore(client, prefix=f"test:{decode}:")
            assert store.claim("e", "a", 60) is ClaimState.NEW
            assert 0 < client.pttl(f"test:{decode}:e") <= 60_000
            assert store.claim("e", "b", 60) is ClaimState.BUSY
            assert not store.release("e", "b")
            assert store.release("e", "a")
            assert store.claim("e", "b", 60) is ClaimState.NEW
            assert not store.complete("e", "a")
            assert store.complete("e", "b")
            assert store.claim("e", "c", 60) is ClaimState.DONE
            assert 60_000 < client.pttl(f"test:{decode}:e") <= 7 * 86_400_000


def test_redis_leases_end(redis_url: str) -> None:
    """A claim in Redis expires with its lease, after which its first holder can no longer end it."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        store = RedisStore(client, prefix="lease:")
        assert store.claim("e", "a", 60) is ClaimState.NEW
        client.delete("lease:e")  # as the server does after 60 seconds
        assert store.claim("e", "b", 60) is ClaimState.NEW
        assert not store.complete("e", "a")
        assert not store.release("e", "a")
        assert store.claim("f", "a", 0.001) is ClaimState.NEW
        assert 0 < client.pttl("lease:e") <= 60_000


def test_redis_is_reached_when_it_is_used() -> None:
    """A RedisStore from a URL connects on its first claim, so it can be created before Redis is up."""
    redis = pytest.importorskip("redis", reason="redis-py is not installed")
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        store = RedisStore(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        with pytest.raises(redis.ConnectionError):
            store.claim("e", "t", 60)


def test_redis_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py, a RedisStore from a URL names the package to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"^RedisStore needs redis-py: pip install 'enprompta\[redis\]'$"):
        RedisStore("redis://localhost")
