"""A strict server and its clients on a fake clock: years of pacing in seconds, without a sleep.

The server does not share code with the policy: it has its own clock and fixed windows, and answers 429 to every request
beyond a window. The network delays, reorders and loses requests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import floor, inf
from typing import TYPE_CHECKING

from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from enprompta.limiters.wait_queue import Reservation

EPOCH = 1_700_000_000.0
DAY = 86_400


@dataclass
class Server:
    """Fixed windows by its clock, counted on arrival."""

    limit: int = 50
    window: float = 3
    skew: float = 0.0
    drift: float = 0.0
    edge: float = 0.0
    """Seconds by which windows really end later than `Reset` says."""
    daily: int | None = None
    """Requests a day; None for no such limit."""
    used: Counter[int] = field(default_factory=Counter[int])
    used_today: Counter[int] = field(default_factory=Counter[int])
    refused: int = 0
    refused_today: int = 0

    def clock(self, at: float) -> float:
        """Return the server's time at a moment of the simulation."""
        return EPOCH + self.skew + at * (1 + self.drift)

    def spend(self, at: float, count: int = 1) -> None:
        """Spend budget as another client, up to what remains."""
        index = floor((self.clock(at) - self.edge) / self.window)
        self.used[index] = min(self.limit, self.used[index] + count)

    def count(self, at: float) -> tuple[int, int, int, int]:
        """Count a request on arrival; return status, limit, remaining and reset."""
        clock = self.clock(at)
        today = floor(clock / DAY)
        if self.daily is not None and self.used_today[today] >= self.daily:
            self.refused_today += 1
            return 429, self.daily, 0, (today + 1) * DAY
        index = floor((clock - self.edge) / self.window)
        reset = int((index + 1) * self.window)
        if self.used[index] >= self.limit:
            self.refused += 1
            return 429, self.limit, 0, reset
        self.used[index] += 1
        self.used_today[today] += 1
        return 200, self.limit, self.limit - self.used[index], reset

    def full_windows(self) -> list[int]:
        """Requests used of each window except the first and the last."""
        return [self.used[index] for index in range(min(self.used) + 1, max(self.used))]


@dataclass
class Network:
    """Travel times of requests and responses, and which ones are lost."""

    random: Random
    shortest: float = 0.0
    longest: float = 0.2
    tail: float = 0.0
    """Share of the trips that take up to `tail_longest`."""
    tail_longest: float = 2.5
    lost: float = 0.0
    """Share of the requests that fail without an answer, before or after they are counted."""

    def trip(self) -> float:
        """Return the next travel time of one direction."""
        if self.tail and self.random.random() < self.tail:
            return self.random.uniform(0, self.tail_longest)
        return self.random.uniform(self.shortest, self.longest)


@dataclass
class Outcome:
    """Results of the calls."""

    served: int = 0
    answered_429: int = 0
    refused: int = 0
    failed: int = 0
    """Calls that got a 429 which asks them to wait longer than their `max_wait`."""
    finished_at: float = 0.0
    longest_gap: float = 0.0
    """The longest time in which no call was served."""
    longest_wait: float = 0.0
    """The longest time that a call stood in the line."""
    refusals: list[float] = field(default_factory=list[float])
    """When each 429 came."""
    order: list[int] = field(default_factory=list[int])
    """Numbers of the tickets in the order in which they were granted."""


class Simulation:
    """Calls that all wait from the start, or come on a schedule."""

    def __init__(self, server: Server, network: Network, pacer: Pacer | None = None) -> None:
        self.server = server
        self.network = network
        self.pacer = pacer or Pacer()
        self.now = 0.0
        self.outcome = Outcome()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._alarm = inf
        self._max_wait = inf
        self.intercept: Callable[[float], Reading | None] = lambda _: None
        """Answers a request in the server's place, such as a firewall; None lets it through."""
        self.client_ahead = 0.0
        """Seconds that the client's clock has jumped ahead."""

    @property
    def local(self) -> float:
        """Return the time by the client's clock."""
        return self.now + self.client_ahead

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Schedule an action."""
        self._serial += 1
        heappush(self._events, (moment, self._serial, action))

    def calls(self, count: int, max_wait: float = inf) -> None:
        """Queue calls now."""
        self._max_wait = max_wait
        for _ in range(count):
            self.pacer.reserve(None, max_wait, self.local)
        self.pump()

    def pump(self) -> None:
        """Send what may go now, and schedule the next chance."""
        for ticket in self.pacer.grant(self.local):
            self.outcome.longest_wait = max(self.outcome.longest_wait, self.local - ticket.asked)
            if ticket.state == "granted":
                self._send(ticket)
            else:
                self.outcome.refused += 1
        chance = self.pacer.chance_at - self.client_ahead
        if self.pacer.queue and not self.now < self._alarm <= chance and chance < inf:
            self._alarm = chance
            self.at(self._alarm, self.pump)

    def _send(self, ticket: Reservation) -> None:
        self.outcome.order.append(ticket.number)
        random = self.network.random
        if random.random() < self.network.lost:
            counted = self.now + self.network.trip()
            if random.random() < 0.5:
                self.at(counted, lambda: self.server.spend(counted))
            self.at(counted + random.uniform(-1, 3), lambda: self._fail(ticket))
            return
        arrival = self.now + self.network.trip()
        self.at(arrival, lambda: self._arrive(ticket))

    def _arrive(self, ticket: Reservation) -> None:
        intercepted = self.intercept(self.now)
        if intercepted is not None:
            self.at(self.now + self.network.trip(), lambda: self._answer(ticket, intercepted))
            return
        status, limit, remaining, reset = self.server.count(self.now)
        date = float(floor(self.server.clock(self.now)))
        reading = Reading(status, limit, remaining, reset, date)
        self.at(self.now + self.network.trip(), lambda: self._answer(ticket, reading))

    def _answer(self, ticket: Reservation, reading: Reading) -> None:
        self.pacer.observe(ticket, reading, self.local)
        if reading.status == 429:
            self.outcome.answered_429 += 1
            self.outcome.refusals.append(self.now)
            self._come_back(ticket, reading)
        else:
            self.outcome.served += 1
            self.outcome.longest_gap = max(self.outcome.longest_gap, self.now - self.outcome.finished_at)
            self.outcome.finished_at = self.now
        self.pump()

    def _come_back(self, ticket: Reservation, reading: Reading) -> None:
        """Retry a call that got 429: in the queue, or after the wait that the response asks for."""
        wait = reading.retry_after or 0.0
        if wait > self._max_wait:
            self.outcome.failed += 1
        elif reading.limit:
            self.pacer.reserve(ticket, self._max_wait, self.local)
        else:
            self.at(self.now + wait, lambda: self._rejoin(ticket))

    def _rejoin(self, ticket: Reservation) -> None:
        self.pacer.reserve(ticket, self._max_wait, self.local)
        self.pump()

    def _fail(self, ticket: Reservation) -> None:
        self.pacer.fail(ticket, self.local)
        self.pacer.reserve(None, self._max_wait, self.local)
        self.pump()

    def run(self, until: float = inf) -> Outcome:
        """Let time pass until nothing is scheduled, or until a moment."""
        while self._events and self._events[0][0] <= until:
            moment, _, action = heappop(self._events)
            self.now = max(self.now, moment)
            action()
        return self.outcome
