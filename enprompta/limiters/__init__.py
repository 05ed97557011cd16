"""Limiters: who may send a request, and when, so that the budget is used and never overspent.

`LocalLimiter` paces one process and is the default; `RedisLimiter` (extra `redis`) paces all that share one Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.limiters.local import LocalLimiter

if TYPE_CHECKING:
    from enprompta.limiters.redis import RedisLimiter

__all__ = ["LocalLimiter", "RedisLimiter"]


def __getattr__(name: str) -> object:
    if name == "RedisLimiter":  # few need it, and all would pay for its import
        from enprompta.limiters.redis import RedisLimiter  # noqa: PLC0415

        return RedisLimiter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
