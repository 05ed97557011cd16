"""Limiters: who may send a request, and when, so that the budget is used and never overspent.

`LocalLimiter` paces one process and is the default; `RedisLimiter` (extra `redis`) paces all that share one Redis.
"""

from __future__ import annotations

from enprompta.limiters.local import LocalLimiter

__all__ = ["LocalLimiter"]
