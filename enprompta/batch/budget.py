"""How much a run may spend, and whether it can afford another row. Pure.

A row is counted from the moment it is started: as one credit, and as the dearest row so far in USD. When its answer is
there it counts as what it did cost. So a run stops before it exceeds a budget of credits; one of USD it can exceed only
by what the rows under way cost more than any row before them. Before the first answer, when nobody knows what a row
costs, a run with a budget in USD has one row under way.
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
    """What the executions may cost in USD, as the API tells it; None for no bound."""

    def __post_init__(self) -> None:
        given = [one for one in (self.credits, self.usd) if one is not None]
        if not given or not all(math.isfinite(one) and one >= 0 for one in given):
            raise ConfigurationError("a budget is Budget(credits=…), Budget(usd=…) or both, of 0 or more")


class Ledger:
    """Counts what rows cost.

    Args:
        budget: The bound; None for none.
        credits: What was spent before the run was resumed.
        usd: The same in USD.
        dearest: What the dearest row has cost; None when none has been executed.
    """

    def __init__(
        self, budget: Budget | None, *, credits: int = 0, usd: float = 0.0, dearest: float | None = None
    ) -> None:
        self._budget = budget
        self.credits: int = credits
        self.usd: float = usd
        self._dearest = dearest

    def affords(self, in_flight: int) -> bool:
        """Tell whether a row may be started beside those under way."""
        budget, rows = self._budget, in_flight + 1
        if budget is None:
            return True
        if budget.credits is not None and self.credits + rows > budget.credits:
            return False
        if budget.usd is None:
            return True
        if self._dearest is None:
            return in_flight == 0 and self.usd < budget.usd
        # What floats add up to may be a hair above what people add up to: ten times 0.1 is within a budget of 1.
        return self.usd + rows * self._dearest <= budget.usd * (1 + 1e-9)

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
            self._dearest = max(self._dearest or 0.0, cost or 0.0)
