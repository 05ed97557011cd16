"""Budgets: how much a run may spend, and if it can afford another row. Pure.

A row counts from its start: as one credit and one more for each repair that it may need, and in USD as the most
expensive row so far. Once its response arrives, it counts as its real cost. A run therefore stops before it exceeds a
budget of credits. It can exceed a budget in USD only if rows in flight cost more than every row before them. No cost is
known before the first response, and that row may be a cheap one. So a run with a budget in USD starts with one row in
flight, and the number of rows in flight never exceeds the number of known costs by more than one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from enprompta.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The amount that a run may spend, in total over all resumptions.

    Raises:
        ConfigurationError: Neither bound is given, or one is negative or not finite.
    """

    credits: int | None = None
    """Maximum number of credits, one per execution; None for no bound."""
    usd: float | None = None
    """Maximum cost of the executions in USD, as reported by the API; None for no bound. Until its cost is known, a row
    is assumed to cost as much as the most expensive row so far, so the budget is exceeded only if rows in flight cost
    more than that."""

    def __post_init__(self) -> None:
        given: list[object] = [one for one in (self.credits, self.usd) if one is not None]
        if not given or not all(_is_bound(one) for one in given):
            raise ConfigurationError("a budget is Budget(credits=…), Budget(usd=…) or both, of 0 or more")


def _is_bound(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


class SpendTracker:
    """Tracks the spending of a run.

    Args:
        budget: The budget; None for no bound.
        credits: Credits spent before the run was resumed.
        usd: USD spent before the run was resumed.
        highest_cost: The cost of the most expensive row in USD.
        executed: The number of rows with a known cost.
        credits_per_row: The credits that one row costs at most: more than one if it may be repaired.
    """

    def __init__(
        self,
        budget: Budget | None,
        *,
        credits: int = 0,
        usd: float = 0.0,
        highest_cost: float = 0.0,
        executed: int = 0,
        credits_per_row: int = 1,
    ) -> None:
        self._budget = budget
        self._credits_per_row = credits_per_row
        self.credits: int = credits
        self.usd: float = usd
        self._highest_cost = highest_cost
        self._executed = executed

    def affords(self, in_flight: int) -> bool:
        """Return True if another row may start beside those in flight."""
        budget, rows = self._budget, in_flight + 1
        if budget is None:
            return True
        if budget.credits is not None and self.credits + rows * self._credits_per_row > budget.credits:
            return False
        if budget.usd is None:
            return True
        if rows > self._executed + 1:
            return False
        if not self._executed and not self._highest_cost:
            return self.usd < budget.usd
        # Sums of floats may exceed the exact sum slightly: ten times 0.1 must fit into a budget of 1.
        return self.usd + rows * self._highest_cost <= budget.usd * (1 + 1e-9)

    def charge(self, credits: int, cost: float | None, *, executed: bool) -> None:
        """Count a row that has ended.

        Args:
            credits: The credits it was charged or may have been.
            cost: In USD; None if the API did not report it.
            executed: True if the row shows what a row costs.
        """
        cost = cost or 0.0
        self.credits += credits
        self.usd += cost
        self._highest_cost = max(self._highest_cost, cost)
        if executed:
            self._executed += 1
