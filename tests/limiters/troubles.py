"""Faults between a client and its budget for the simulation: false reports, firewalls and clocks that jump."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from random import Random
from typing import TYPE_CHECKING

from enprompta.limiters.rate_limit_headers import Reading
from tests.limiters.simulation import DAY, Network, Server, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.limiters.pacer import Pacer

TROUBLE_AT = 125.0
HALF_HOUR = 1800.0


def lies_once(  # noqa: PLR0917 (an answer has so many parts)
    simulation: Simulation, status: int, limit: int, reset_in: float, retry_after: float | None, remaining: int = 0
) -> None:
    """Let one response report an exhausted budget, or none if no limit is given."""
    told = False

    def intercept(at: float) -> Reading | None:
        nonlocal told
        if told or at < TROUBLE_AT:
            return None
        told = True
        date = floor(simulation.server.clock(at))
        if not limit:
            return Reading(status, retry_after=retry_after)
        return Reading(status, limit, remaining, date + int(reset_in), float(date), retry_after)

    simulation.intercept = intercept


def zero_for_a_day(simulation: Simulation) -> None:
    """Let one 200 report nothing remaining until tomorrow."""
    lies_once(simulation, 200, 60, DAY, None)


def much_for_a_day(simulation: Simulation) -> None:
    """Let one 200 report a window that ends tomorrow, with much of it left."""
    lies_once(simulation, 200, 60, DAY, None, remaining=40)


def day_is_used_up_once(simulation: Simulation) -> None:
    """Let one 429 report the day's 10,000 as exhausted until tomorrow."""
    lies_once(simulation, 429, 10_000, DAY, None)


def one_429_without_headers(simulation: Simulation) -> None:
    """Let one 429 report nothing."""
    lies_once(simulation, 429, 0, 0, None)


def one_429_for_an_hour(simulation: Simulation) -> None:
    """Let one firewall's 429 ask to retry in an hour."""
    lies_once(simulation, 429, 0, 0, 3600.0)


def firewall(simulation: Simulation) -> None:
    """Answer 429 for ten minutes, asking to retry in an hour."""

    def intercept(at: float) -> Reading | None:
        return Reading(429, retry_after=3600.0) if TROUBLE_AT <= at < TROUBLE_AT + 600 else None

    simulation.intercept = intercept


def server_clock_ahead(simulation: Simulation) -> None:
    """Set the server's clock ahead by an hour, as a suspended client sees it."""
    _jump(simulation, 3600.0, 0.0)


def server_clock_back(simulation: Simulation) -> None:
    """Set the server's clock back by an hour."""
    _jump(simulation, -3600.0, 0.0)


def client_clock_ahead(simulation: Simulation) -> None:
    """Let the client's monotonic clock jump by an hour."""
    _jump(simulation, 0.0, 3600.0)


def _jump(simulation: Simulation, server: float, client: float) -> None:
    def act() -> None:
        simulation.server.skew += server
        simulation.client_ahead += client

    simulation.at(TROUBLE_AT, act)


def day_is_used_up(simulation: Simulation) -> None:
    """Exhaust the day budget from the third minute on."""
    simulation.server.daily = 120


TROUBLES: tuple[Callable[[Simulation], None], ...] = (
    zero_for_a_day,
    much_for_a_day,
    day_is_used_up_once,
    one_429_without_headers,
    one_429_for_an_hour,
    firewall,
    server_clock_ahead,
    server_clock_back,
    client_clock_ahead,
    day_is_used_up,
)


@dataclass
class Steady:
    """Fifty calls a minute at 60 a minute for half an hour, each with a `max_wait` of 65 s."""

    trouble: Callable[[Simulation], None]
    seed: int = 1
    every: float = 1.2

    def run(self, pacer: Pacer | None = None) -> Simulation:
        """Run the calls."""
        # The day begins at 0.0, so that it does not end in the half hour.
        server = Server(limit=60, window=60, skew=DAY - 1_700_000_000.0 % DAY)
        simulation = Simulation(server, Network(Random(self.seed), shortest=0.02, longest=0.2), pacer)
        self.trouble(simulation)
        for number in range(int(HALF_HOUR / self.every)):
            simulation.at(number * self.every, lambda: simulation.calls(1, max_wait=65.0))
        simulation.run()
        return simulation
