"""Budgets: when a run can afford another row."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from enprompta import ConfigurationError
from enprompta.batch import Budget
from enprompta.batch.budget import SpendTracker


@pytest.mark.parametrize("given", [{}, {"credits": -1}, {"usd": -0.1}, {"usd": math.nan}, {"usd": math.inf}])
def test_a_budget_is_an_amount(given: dict[str, Any]) -> None:
    """A budget is a finite amount of one kind or both."""
    with pytest.raises(ConfigurationError, match="a budget is"):
        Budget(**given)


def test_no_budget_affords_everything() -> None:
    """Without a budget there is always room."""
    assert SpendTracker(None, credits=10**9, usd=1e9).affords(10**6)


@pytest.mark.parametrize(("spent", "in_flight", "affords"), [(0, 0, True), (4, 5, True), (4, 6, False), (10, 0, False)])
def test_credits_count_from_the_start_of_a_row(spent: int, in_flight: int, affords: bool) -> None:  # noqa: FBT001
    """A row in flight counts as one credit, before its outcome is known."""
    assert SpendTracker(Budget(credits=10), credits=spent).affords(in_flight) is affords


def test_rows_in_flight_follow_known_costs() -> None:
    """With a budget in USD, rows in flight exceed the number of known costs by at most one."""
    spend = SpendTracker(Budget(usd=1.0))
    assert spend.affords(0)
    assert not spend.affords(1)
    spend.charge(0, None, executed=False)  # it failed, so its cost is unknown
    assert not spend.affords(1)
    for known in range(1, 5):
        spend.charge(1, 0.1, executed=True)
        assert spend.affords(known)
        assert not spend.affords(known + 1)
    assert spend.affords(4)  # 0.4 is spent, and five more rows cost 0.5
    spend.charge(1, 0.1, executed=True)
    assert not spend.affords(5)


def test_a_resumed_run_knows_what_rows_cost() -> None:
    """Costs from a checkpoint count as known."""
    spend = SpendTracker(Budget(usd=2.0), usd=1.0, highest_cost=0.1, executed=10)
    assert spend.affords(9)
    assert not spend.affords(10)


def test_one_cheap_row_is_no_licence() -> None:
    """With 64 slots, a first row at a thousandth of the price of the others lets two follow, not all."""
    spend = SpendTracker(Budget(usd=10.0))
    costs = iter([0.001] + [1.0] * 1_000)
    under_way: list[float] = []
    while True:
        while len(under_way) < 64 and spend.affords(len(under_way)):
            under_way.append(next(costs))
        if not under_way:
            break
        spend.charge(1, under_way.pop(0), executed=True)
    assert 9.0 < spend.usd <= 10.0


def test_rows_without_a_cost_are_free() -> None:
    """If the API reports no cost, a budget in USD blocks no row."""
    spend = SpendTracker(Budget(usd=1.0))
    spend.charge(1, None, executed=True)
    assert spend.affords(1)
    assert SpendTracker(Budget(usd=1.0), executed=1000).affords(1000)
    assert not SpendTracker(Budget(usd=0.0)).affords(0)


@pytest.mark.parametrize("seed", range(20))
def test_a_budget_is_exceeded_by_no_more_than_a_surprise(seed: int) -> None:
    """With 16 slots and random costs, the budget is exceeded at most by costs above all earlier ones."""
    chance = random.Random(seed)
    spend = SpendTracker(Budget(usd=5.0))
    under_way: list[tuple[float, float]] = []  # the cost of a row, and the highest known cost when it started
    highest, surprise = 0.0, 0.0
    for _ in range(5_000):
        while len(under_way) < 16 and spend.affords(len(under_way)):
            under_way.append((chance.uniform(0.001, 0.1), highest))
        if not under_way:
            break
        cost, known = under_way.pop(chance.randrange(len(under_way)))
        surprise += max(0.0, cost - known)
        highest = max(highest, cost)
        spend.charge(1, cost, executed=True)
    assert 4.8 < spend.usd <= 5.0 + surprise
    assert spend.usd < 5.0 + 16 * 0.1
