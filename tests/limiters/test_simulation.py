"""The whole policy against a strict server on a fake clock, in thousands of windows.

`ENPROMPTA_LONG_TESTS=1` runs the long form: more seeds, more hours.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from enprompta.limiters.pacer import Pacer
from tests.limiters import troubles
from tests.limiters.simulation import DAY, EPOCH, Network, Server, Simulation
from tests.limiters.troubles import HALF_HOUR, Steady

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
SEEDS = range(20 if LONG else 3)


@pytest.mark.parametrize("skew", [0.0, 300.37, -299.81])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_calls_at_once(seed: int, skew: float) -> None:
    """No 429, every window used, first come first served."""
    simulation = Simulation(Server(skew=skew), Network(Random(seed), tail=0.01))
    simulation.calls(1000)
    outcome = simulation.run()
    assert (outcome.served, outcome.answered_429) == (1000, 0)
    use = simulation.server.full_windows()
    assert sum(use) >= 0.995 * 50 * len(use)
    assert outcome.order == sorted(outcome.order)


@pytest.mark.parametrize(
    ("limit", "window", "hours", "use"),
    [(1, 60, 24, 0.99), (60, 60, 4, 0.995), (1000, 60, 1, 0.995), (50, 3, 0.25, 0.985), (7, 1, 0.25, 0.93)],
)
@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_hours_of_losses_tails_and_drift(seed: int, limit: int, window: int, hours: float, use: float) -> None:
    """Requests lost before or after they are counted, responses 5 s late, clocks 50 ppm apart: still no 429."""
    drift = (5e-5, -5e-5, 0.0)[seed % 3]
    server = Server(limit=limit, window=window, skew=(0, 300, -300)[seed % 3], drift=drift)
    network = Network(Random(seed), shortest=0.02, longest=0.3, tail=0.01, tail_longest=5.0, lost=0.002)
    simulation = Simulation(server, network)
    hours *= 6 if LONG else 1
    simulation.calls(int(limit * hours * 3600 / window))
    assert simulation.run(hours * 3600).answered_429 == 0
    full = server.full_windows()
    assert sum(full) >= use * limit * len(full)


def test_a_long_idle_with_clocks_that_drift() -> None:
    """After an hour of silence the interval is wider, and the next burst still fits its window."""
    server = Server(drift=4e-4, window=60)
    simulation = Simulation(server, Network(Random(1), longest=0.01))
    for hour in range(24):
        simulation.at(hour * 3600.0, lambda: simulation.calls(120))
    outcome = simulation.run()
    assert (outcome.served, outcome.answered_429) == (24 * 120, 0)


def test_the_day_limit_is_met_once_and_waited_for() -> None:
    """60 a minute, 2,000 a day: no 429 for the minute, one burst a day at most, then a probe a minute."""
    server = Server(limit=60, window=60, daily=2_000, drift=5e-5)
    network = Network(Random(2), lost=0.002, tail=0.01, tail_longest=5.0)
    simulation = Simulation(server, network)

    def more() -> None:
        simulation.calls(100, max_wait=65.0)
        if simulation.now < DAY:
            simulation.at(simulation.now + 60, more)

    more()
    outcome = simulation.run()
    assert server.refused == 0
    assert outcome.refused > 1000
    per_minute = Counter(int(moment // 60) for moment in outcome.refusals)
    bursts = [count for count in per_minute.values() if count > 2]  # two: sent a minute apart, answered in one
    assert len(bursts) <= 2
    assert max(bursts) <= server.limit
    midnight = DAY - EPOCH % DAY
    assert outcome.finished_at > midnight
    assert max(server.used_today.values()) == 2_000


@pytest.mark.parametrize("seed", SEEDS)
def test_another_client_that_spends_a_third(seed: int) -> None:
    """Another client's requests spread over each window: every call succeeds, and 429s stay under 5 %."""
    server = Server()
    network = Network(Random(seed), longest=0.1)
    simulation = Simulation(server, network)
    moment = 0.0
    while moment < 150:
        moment += network.random.expovariate(16 / 3)
        simulation.at(moment, lambda: server.spend(simulation.now))
    simulation.calls(1000)
    outcome = simulation.run()
    assert outcome.served == 1000
    assert outcome.answered_429 <= 50
    assert max(server.used.values()) <= 50


def test_another_client_that_spends_at_the_start_of_each_window() -> None:
    """Once they are known, their share is reserved first."""
    server = Server()
    simulation = Simulation(server, Network(Random(3), longest=0.1))
    for window in range(100):
        simulation.at(3 * window - EPOCH % 3 + 0.01, lambda: server.spend(simulation.now, 16))
    simulation.calls(1000)
    outcome = simulation.run()
    assert (outcome.served, outcome.answered_429) == (1000, 0)


def test_windows_that_end_later_than_reported_cost_one_burst() -> None:
    """A `Reset` truncated to whole seconds is learned from the first burst."""
    server = Server(edge=0.4)
    simulation = Simulation(server, Network(Random(4), longest=0.05))
    simulation.calls(3000)
    outcome = simulation.run()
    assert outcome.served == 3000
    assert outcome.answered_429 <= 50


@pytest.mark.parametrize("step", [-7200.0, -2.0, 2.0, 7200.0])
def test_a_server_clock_that_is_set_costs_one_burst(step: float) -> None:
    """Forward or back, by seconds or hours."""
    server = Server(window=60)
    simulation = Simulation(server, Network(Random(5), longest=0.05))

    def set_clock() -> None:
        server.skew += step

    simulation.at(100.0, set_clock)
    simulation.calls(1000)
    outcome = simulation.run()
    assert outcome.served == 1000
    assert outcome.answered_429 <= 100
    assert outcome.finished_at < 60 * 25


def test_a_limit_that_is_cut_costs_one_burst() -> None:
    """A smaller plan is learned from the first response that reports it."""
    server = Server()
    simulation = Simulation(server, Network(Random(6), longest=0.05))

    def cut() -> None:
        server.limit = 20

    simulation.at(10.0, cut)
    simulation.calls(1000)
    outcome = simulation.run()
    assert outcome.served == 1000
    assert outcome.answered_429 <= 50


def test_two_pacers_that_know_nothing_of_each_other_lose_nothing() -> None:
    """Two processes without a shared account get 429s, but every call is served."""
    server = Server()
    simulations = [Simulation(server, Network(Random(seed), longest=0.05), Pacer()) for seed in (7, 8)]
    for simulation in simulations:
        simulation.calls(300)
    moment = 0.0
    while any(simulation.outcome.served < 300 for simulation in simulations):
        moment += 0.01
        for simulation in simulations:
            simulation.run(moment)
        assert moment < 200
    assert sum(simulation.outcome.answered_429 for simulation in simulations) < 300


CALLS = int(HALF_HOUR / 1.2)


@pytest.mark.parametrize("seed", SEEDS)
class TestTroubles:
    """A steady program for half an hour, with one fault in the third minute."""

    @pytest.mark.parametrize("lie", [troubles.zero_for_a_day, troubles.day_is_used_up_once])
    def test_a_lie_costs_half_a_minute(self, seed: int, lie: Callable[[Simulation], None]) -> None:
        """No call fails, and only the false response is a refusal."""
        simulation = Steady(lie, seed).run()
        outcome = simulation.outcome
        assert (outcome.failed, outcome.refused) == (0, 0)
        assert outcome.answered_429 <= 1
        assert outcome.longest_gap < 35
        assert outcome.longest_wait < 65

    @pytest.mark.parametrize("every", [1.2, 0.7])
    def test_a_window_that_never_was_costs_nothing(self, seed: int, every: float) -> None:
        """Responses of the real window refute it, also with more calls than budget."""
        outcome = Steady(troubles.much_for_a_day, seed, every).run().outcome
        assert outcome.served == int(HALF_HOUR / every)
        assert outcome.answered_429 <= 60

    @pytest.mark.parametrize("lie", [troubles.one_429_without_headers, troubles.one_429_for_an_hour])
    def test_a_429_without_a_budget_costs_seconds(self, seed: int, lie: Callable[[Simulation], None]) -> None:
        """Only the call that got it may fail."""
        outcome = Steady(lie, seed).run().outcome
        assert outcome.failed <= 1
        assert outcome.refused == 0
        assert outcome.served >= CALLS - 1
        assert outcome.longest_gap < 5
        assert outcome.longest_wait < 5

    def test_a_firewall_sees_a_request_a_minute_and_is_over_a_minute_after_it_ends(self, seed: int) -> None:
        """After ten minutes with a handful of 429s, all calls are served again."""
        outcome = Steady(troubles.firewall, seed).run().outcome
        assert outcome.answered_429 <= 16
        assert outcome.longest_gap < 600 + 65
        assert outcome.longest_wait < 66

    @pytest.mark.parametrize(
        "jump", [troubles.server_clock_ahead, troubles.server_clock_back, troubles.client_clock_ahead]
    )
    def test_a_clock_that_jumps_costs_a_minute_at_most(self, seed: int, jump: Callable[[Simulation], None]) -> None:
        """By an hour, forward or back, on either side."""
        simulation = Steady(jump, seed).run()
        outcome = simulation.outcome
        assert outcome.served == CALLS
        assert outcome.longest_gap < 62
        assert outcome.answered_429 <= 60

    def test_a_day_that_is_used_up_sees_one_429_a_minute(self, seed: int) -> None:
        """After the first one the probes are a minute apart."""
        outcome = Steady(troubles.day_is_used_up, seed).run().outcome
        assert outcome.served == 120
        later = outcome.refusals[1:]
        assert all(two - one > 59 for one, two in pairwise(later))
        assert len(later) <= HALF_HOUR / 60
