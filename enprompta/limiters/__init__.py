"""Rate limiters: they decide when each request may go, so that the budget is used and never exceeded.

`LocalLimiter` paces one process and is the default; `RedisLimiter` (extra `redis`) paces all processes
that share a Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.limiters.local import LocalLimiter

if TYPE_CHECKING:
    from enprompta.limiters.redis import RedisLimiter

__all__ = ["LocalLimiter", "RedisLimiter"]


def __getattr__(name: str) -> object:
    if name == "RedisLimiter":  # loaded on first use: few programs need it
        from enprompta.limiters.redis import RedisLimiter  # noqa: PLC0415

        return RedisLimiter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
