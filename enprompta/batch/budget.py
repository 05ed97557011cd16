"""How much a run may spend, and whether it can afford another row. Pure.

A row is counted from the moment it is started: as one credit, and as the dearest row so far in USD. When its answer is
there it counts as what it did cost. So a run stops before it exceeds a budget of credits; one of USD it can exceed only
by what the rows under way cost more than any row before them. What a row costs nobody knows before the first answer,
and one answer may be a cheap one: so a run with a budget in USD begins with one row under way, and has never more than
one above the number of rows that have told their cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from enprompta.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may spend, all its resumptions together.

    Raises:
        ConfigurationError: Neither is given, or one is less than nothing.
    """

    credits: int | None = None
    """Tokens of the plan, one an execution; None for no bound."""
    usd: float | None = None
    """What the executions may cost in USD, as the API tells it; None for no bound. A row counts as the dearest one
    before it until its own cost is known, so this is exceeded only by what rows under way cost more than all before."""

    def __post_init__(self) -> None:
        given = [one for one in (self.credits, self.usd) if one is not None]
        if not given or not all(math.isfinite(one) and one >= 0 for one in given):
            raise ConfigurationError("a budget is Budget(credits=…), Budget(usd=…) or both, of 0 or more")


class SpendTracker:
    """Counts what rows cost.

    Args:
        budget: The bound; None for none.
        credits: What was spent before the run was resumed.
        usd: The same in USD.
        dearest: What the dearest row has cost.
        executed: How many rows have told what they cost.
    """

    def __init__(
        self, budget: Budget | None, *, credits: int = 0, usd: float = 0.0, dearest: float = 0.0, executed: int = 0
    ) -> None:
        self._budget = budget
        self.credits: int = credits
        self.usd: float = usd
        self._highest_cost = dearest
        self._executed = executed

    def affords(self, in_flight: int) -> bool:
        """Tell whether a row may be started beside those under way."""
        budget, rows = self._budget, in_flight + 1
        if budget is None:
            return True
        if budget.credits is not None and self.credits + rows > budget.credits:
            return False
        if budget.usd is None:
            return True
        if rows > self._executed + 1:
            return False
        if not self._executed:
            return self.usd < budget.usd
        # What floats add up to may be a hair above what people add up to: ten times 0.1 is within a budget of 1.
        return self.usd + rows * self._highest_cost <= budget.usd * (1 + 1e-9)

    def charge(self, credits: int, cost: float | None, *, executed: bool) -> None:
        """Count a row that has ended.

        Args:
            credits: 1 when it was charged, or may have been; else 0.
            cost: In USD; None when the API did not tell.
            executed: Whether it tells what a row costs.
        """
        self.credits += credits
        self.usd += cost or 0.0
        if executed:
            self._executed += 1
            self._highest_cost = max(self._highest_cost, cost or 0.0)
