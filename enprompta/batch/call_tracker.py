"""Tracks the calls of a run, and cancels those that have nothing in flight when the run stops.

A call is a generator of steps (see `enprompta._http.exchange`), which the client's driver performs. A run puts
`CallTracker.watch` between the two: it records which calls wait for the rate limit, and sends no request once the run
stops. Requests in flight are always waited for. No other thread can wake a sleeping one, so threads sleep in slices and
check the tracker in between; tasks are cancelled.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from enprompta._common.clock import monotonic
from enprompta._core.steps import SendRequest, Sleep, WaitForBudget
from enprompta.limiters.sleepers import DeadlineReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.steps import Steps

T = TypeVar("T")

SLICE = 0.25  # seconds after which a waiting thread checks if the run has stopped


class CallCancelled(BaseException):  # not an Exception, so no handler takes it for a failure of the call
    """The run has stopped, and this call had no request in flight."""

    unsent = True  # so that a granted request that was never sent is refunded to the budget


class Cancellable(Protocol):
    """A cancel scope of anyio, or a task of asyncio."""

    def cancel(self) -> object:
        """Cancel it."""


@dataclass(slots=True, eq=False)
class TrackedCall:
    """A call that has started and not ended."""

    scope: Cancellable | None = None
    """The cancel scope or the asyncio task it runs in; None in a thread."""
    sending: bool = False
    """True while a request of the call is in flight."""
    waiting_since: float | None = None
    """When the call began to wait for the rate limit; None if it does not wait."""


class CallTracker:
    """Tracks the calls of one run.

    Args:
        sliced: True to wait in slices, as threads must.
        clock: Monotonic seconds.
    """

    def __init__(self, *, sliced: bool, clock: Callable[[], float] = monotonic) -> None:
        self._sliced = sliced
        self._clock = clock
        self._calls: set[TrackedCall] = set()
        self._granted_at = clock()
        self._closed = False

    def close(self) -> None:
        """Cancel calls that have no request in flight; send no further request."""
        self._closed = True
        for tracked in list(self._calls):
            if tracked.scope is not None and not tracked.sending:
                tracked.scope.cancel()

    def waiting(self) -> float:
        """Return the seconds since the rate limit last granted a request, while calls wait for it; else 0."""
        since = [tracked.waiting_since for tracked in list(self._calls)]
        waits = [one for one in since if one is not None]
        return max(0.0, self._clock() - max(self._granted_at, min(waits))) if waits else 0.0

    def watch(self, steps: Steps[T], tracked: TrackedCall) -> Steps[T]:
        """Pass on the steps of a call, until the tracker is closed.

        Raises:
            CallCancelled: The tracker was closed while no request was in flight.
        """
        self._calls.add(tracked)
        try:
            step = next(steps)
            while True:
                try:
                    if self._closed:
                        self._check()
                    if isinstance(step, SendRequest):
                        tracked.sending = True
                        try:
                            outcome = yield step
                        finally:
                            tracked.sending = False
                    elif isinstance(step, WaitForBudget):
                        tracked.waiting_since = self._clock()
                        try:
                            outcome = (yield from self._wait_in_slices(step)) if self._sliced else (yield step)
                        finally:
                            tracked.waiting_since = None
                        self._granted_at = self._clock()
                    elif isinstance(step, Sleep) and self._sliced:
                        outcome = yield from self._sleep_in_slices(step)
                    else:
                        outcome = yield step
                except (Exception, CallCancelled) as error:  # noqa: BLE001 (the call's steps handle errors)
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return] # the result of the generator
        finally:
            self._calls.discard(tracked)
            steps.close()

    def _wait_in_slices(self, step: WaitForBudget) -> Steps[object]:
        began = now = self._clock()
        while True:
            ends = now + SLICE if step.ends is None else min(now + SLICE, step.ends)
            try:
                ticket = yield WaitForBudget(step.account, step.ticket, step.max_wait, ends)
            except DeadlineReached as late:
                if step.ends is not None and ends >= step.ends:
                    raise DeadlineReached(self._clock() - began) from late
                self._check()
                now = self._clock()
            else:
                if now > began:
                    with suppress(AttributeError):  # a custom limiter may return any object
                        ticket.waited = self._clock() - began
                return ticket

    def _sleep_in_slices(self, step: Sleep) -> Steps[None]:
        ends = self._clock() + step.seconds
        while (left := ends - self._clock()) > 0:
            yield Sleep(min(left, SLICE))
            self._check()

    def _check(self) -> None:
        if self._closed:
            raise CallCancelled
