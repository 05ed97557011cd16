"""Measures programs against each other: in turns, in one process, many times over; only ratios of one round count."""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Figure(NamedTuple):
    """The result of a comparison."""

    what: str
    value: float
    unit: str = "x"
    """`x` for a ratio."""
    budget: float | None = None
    """The maximum, or the minimum if `at_least`; None if nothing is promised."""
    at_least: bool = False

    def show(self) -> None:
        """Print it."""
        unit = self.unit if self.unit == "x" else f" {self.unit}"
        text = f"{self.what:<72} {self.value:8.2f}{unit:<4}"
        if self.budget is not None:
            held = self.value >= self.budget if self.at_least else self.value <= self.budget
            bound = "at least" if self.at_least else "at most"
            text += f" {bound} {self.budget:g}{unit}  {'ok' if held else 'NOT HELD'}"
        sys.stdout.write(f"{text.rstrip()}\n")
        sys.stdout.flush()


def in_turns(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all cases in every round, in an order that differs, and give what each returned, round by round."""
    chance = random.Random(1)
    for case in cases.values():
        case()
    gc.collect()
    gc.freeze()
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        names = list(cases)
        chance.shuffle(names)
        for name in names:
            figures[name].append(cases[name]())
    return figures


def ratio(figures: Mapping[str, list[float]], name: str, against: str) -> float:
    """Return the median over the rounds of one figure divided by another of the same round."""
    return statistics.median(one / other for one, other in zip(figures[name], figures[against], strict=True))


def processor_seconds(call: Callable[[], object], times: int) -> Callable[[], float]:
    """Make a case of a call: the processor time that it takes.

    Wall time says the same on an idle machine; on one that others use, it says how busy they were.
    """

    def case() -> float:
        began = time.process_time()
        for _ in range(times):
            call()
        return (time.process_time() - began) / times

    return case
