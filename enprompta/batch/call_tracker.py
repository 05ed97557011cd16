"""Tracks the calls of a run, and cancels those that have nothing in flight when the run stops.

A call is a generator of steps (see `enprompta._http.exchange`), which the client's driver performs. A run puts
`CallTracker.watch` between the two: it records which calls wait for the rate limit, and sends no request once the run
stops. Requests in flight are always waited for. No other thread can wake a sleeping one, so threads sleep in slices and
check the tracker in between; tasks are cancelled.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from enprompta._common.clock import monotonic
from enprompta._core.steps import SendRequest, Sleep, WaitForBudget
from enprompta.limiters.sleepers import DeadlineReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.steps import Step, Steps

T = TypeVar("T")

SLICE = 0.25  # seconds after which a waiting thread looks whether it shall go on


class CallCancelled(BaseException):  # not an Exception, so that nothing on its way takes it for a failure of the call
    """The run stops, and this call had nothing on the way."""

    unsent = True  # so that a request that was let go and did not leave is given back to the budget


@dataclass(slots=True, eq=False)
class TrackedCall:
    """One call under way."""

    scope: Any = None
    """The cancel scope it runs in; None in a thread."""
    sending: bool = False
    """Whether a request of it is on the way."""
    waiting_since: float | None = None
    """When it began to wait for the request budget; None while it does not."""


class CallTracker:
    """The calls of one run.

    Args:
        sliced: Whether waits are cut into slices, as they must be in threads.
        clock: Monotonic seconds.
    """

    def __init__(self, *, sliced: bool, clock: Callable[[], float] = monotonic) -> None:
        self._sliced = sliced
        self._clock = clock
        self._flights: set[TrackedCall] = set()
        self._admitted_at = clock()
        self._closed = False

    def close(self) -> None:
        """Let nothing go any more."""
        self._closed = True
        for flight in list(self._flights):
            if flight.scope is not None and not flight.sending:
                flight.scope.cancel()

    def waiting(self) -> float:
        """Tell for how many seconds calls have waited for the request budget and none was let go."""
        since = [flight.waiting_since for flight in list(self._flights)]
        waits = [one for one in since if one is not None]
        return max(0.0, self._clock() - max(self._admitted_at, min(waits))) if waits else 0.0

    def watch(self, steps: Steps[T], flight: TrackedCall) -> Steps[T]:
        """Pass on the steps of a call, those aside that are not to be taken any more.

        Raises:
            CallCancelled: The tracker was closed while nothing was on the way.
        """
        self._flights.add(flight)
        try:
            step = next(steps)
            while True:
                try:
                    outcome = yield from self._passed(step, flight)
                except (Exception, CallCancelled) as error:  # noqa: BLE001 (the steps decide what an error means)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            self._flights.discard(flight)
            steps.close()

    def _passed(self, step: Step, flight: TrackedCall) -> Steps[Any]:
        if isinstance(step, SendRequest):
            self._check()
            flight.sending = True
            try:
                return (yield step)
            finally:
                flight.sending = False
        self._check()
        if isinstance(step, WaitForBudget):
            flight.waiting_since = self._clock()
            try:
                ticket = yield from self._admitted(step) if self._sliced else _same(step)
            finally:
                flight.waiting_since = None
            self._admitted_at = self._clock()
            return ticket
        if isinstance(step, Sleep) and self._sliced:
            return (yield from self._slept(step))
        return (yield step)

    def _admitted(self, step: WaitForBudget) -> Steps[Any]:
        began = now = self._clock()
        while True:
            ends = now + SLICE if step.ends is None else min(now + SLICE, step.ends)
            try:
                ticket = yield step._replace(ends=ends)
            except DeadlineReached as late:
                if step.ends is not None and ends >= step.ends:
                    raise DeadlineReached(self._clock() - began) from late
                self._check()
                now = self._clock()
            else:
                if now > began:
                    with suppress(AttributeError):  # a limiter of the caller's may give anything
                        ticket.waited = self._clock() - began
                return ticket

    def _slept(self, step: Sleep) -> Steps[None]:
        ends = self._clock() + step.seconds
        while (left := ends - self._clock()) > 0:
            yield Sleep(min(left, SLICE))
            self._check()

    def _check(self) -> None:
        if self._closed:
            raise CallCancelled


def _same(step: Step) -> Steps[Any]:
    return (yield step)
