"""One call's exchange, step by step: its requests, and its reaction to responses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from enprompta import APITimeoutError
from enprompta._core.steps import WaitForBudget
from enprompta._http.exchange import Exchange, ExchangeConfig
from enprompta._http.exchange.auth import ApiKeyAuth, Secret
from enprompta._http.exchange.retry import RetryPolicy
from enprompta.limiters.interface import NoLimiter


class Account(NoLimiter):
    """Records returned budget."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: list[object] = []

    def cancel(self, ticket: Any) -> None:
        """Record it."""
        self.cancelled.append(ticket)


def test_a_deadline_that_passes_while_the_budget_is_waited_for() -> None:
    """Nothing is sent although there was budget, and the reservation is cancelled."""
    now = [100.0]
    account = Account()
    retry = RetryPolicy(max_retries=2, max_wait=65.0)
    plan = ExchangeConfig(retry, account, ApiKeyAuth(Secret("ep_hunter2")), deadline=5.0, clock=lambda: now[0])
    request = httpx.Request("GET", "https://api.test/api/v1/prompts/p")
    steps = Exchange(request, "GET /prompts/p", plan).steps()
    assert isinstance(next(steps), WaitForBudget)
    now[0] += 6.0
    ticket = SimpleNamespace(waited=0.0)
    with pytest.raises(APITimeoutError, match=r"the deadline of 5 s has passed: .* 0 attempts"):
        steps.send(ticket)
    assert account.cancelled == [ticket]
