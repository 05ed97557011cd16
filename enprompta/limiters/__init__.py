"""Rate limiters: they decide when each request may go, so that the budget is used and never exceeded.

`LocalLimiter` paces one process and is the default; `RedisLimiter` (extra `redis`) paces all processes
that share a Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy
from enprompta.limiters.local import LocalLimiter

if TYPE_CHECKING:
    from enprompta.limiters.interface import NoLimiter as NoLimiter
    from enprompta.limiters.redis import RedisLimiter
    from enprompta.limiters.server_wait import parse_rate_limit as parse_rate_limit
else:
    __getattr__, __dir__ = lazy(
        __name__, {".interface": "NoLimiter", ".redis": "RedisLimiter", ".server_wait": "parse_rate_limit"}
    )

__all__ = ["LocalLimiter", "RedisLimiter"]
