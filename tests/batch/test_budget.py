"""What a run can afford, as arithmetic."""

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
    """A row under way has its credit, whatever comes of it."""
    assert SpendTracker(Budget(credits=10), credits=spent).affords(in_flight) is affords


def test_rows_tell_what_one_costs() -> None:
    """Until a row was executed, a budget in USD has room for one at a time; then for one more than have told."""
    ledger = SpendTracker(Budget(usd=1.0))
    assert ledger.affords(0)
    assert not ledger.affords(1)
    ledger.charge(0, None, executed=False)  # it failed, and tells nothing
    assert not ledger.affords(1)
    for told in range(1, 5):
        ledger.charge(1, 0.1, executed=True)
        assert ledger.affords(told)
        assert not ledger.affords(told + 1)
    assert ledger.affords(4)  # 0.4 are spent, and five more rows are 0.5
    ledger.charge(1, 0.1, executed=True)
    assert not ledger.affords(5)


def test_a_resumed_run_knows_what_rows_cost() -> None:
    """What a checkpoint tells counts as seen."""
    ledger = SpendTracker(Budget(usd=2.0), usd=1.0, dearest=0.1, executed=10)
    assert ledger.affords(9)
    assert not ledger.affords(10)


def test_one_cheap_row_is_no_licence() -> None:
    """With 64 to be under way, a first row at a thousandth of the others' price lets two follow, not all of them."""
    ledger = SpendTracker(Budget(usd=10.0))
    costs = iter([0.001] + [1.0] * 1_000)
    under_way: list[float] = []
    while True:
        while len(under_way) < 64 and ledger.affords(len(under_way)):
            under_way.append(next(costs))
        if not under_way:
            break
        ledger.charge(1, under_way.pop(0), executed=True)
    assert 9.0 < ledger.usd <= 10.0


def test_rows_without_a_cost_are_free() -> None:
    """Where the API tells no cost, a budget in USD cannot count, and does not hold up."""
    ledger = SpendTracker(Budget(usd=1.0))
    ledger.charge(1, None, executed=True)
    assert ledger.affords(1)
    assert SpendTracker(Budget(usd=1.0), executed=1000).affords(1000)
    assert not SpendTracker(Budget(usd=0.0)).affords(0)


@pytest.mark.parametrize("seed", range(20))
def test_a_budget_is_exceeded_by_no_more_than_a_surprise(seed: int) -> None:
    """With 16 under way and costs at random, what is over the budget is what rows cost more than any before them."""
    chance = random.Random(seed)
    ledger = SpendTracker(Budget(usd=5.0))
    under_way: list[tuple[float, float]] = []  # what a row will cost, and the dearest one when it was started
    dearest, surprise = 0.0, 0.0
    for _ in range(5_000):
        while len(under_way) < 16 and ledger.affords(len(under_way)):
            under_way.append((chance.uniform(0.001, 0.1), dearest))
        if not under_way:
            break
        cost, known = under_way.pop(chance.randrange(len(under_way)))
        surprise += max(0.0, cost - known)
        dearest = max(dearest, cost)
        ledger.charge(1, cost, executed=True)
    assert 4.8 < ledger.usd <= 5.0 + surprise
    assert ledger.usd < 5.0 + 16 * 0.1
