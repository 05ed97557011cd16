"""The call tracker, step by step on a fake clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from enprompta._core.steps import SendRequest, Sleep, WaitForBudget
from enprompta.batch.call_tracker import SLICE, CallCancelled, CallTracker, TrackedCall
from enprompta.limiters.sleepers import DeadlineReached

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass
class Reservation:
    """A reservation of the limiter."""

    waited: float = 0.0


class Clock:
    """A clock that tests advance."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


SEND: Any = SendRequest(None, "GET /x")  # type: ignore[arg-type]


def call(ends: float | None = None) -> Generator[Any, Any, str]:
    """Wait for the budget, send, sleep, send again."""
    ticket = yield WaitForBudget(None, None, 65.0, ends)  # type: ignore[arg-type]
    first = yield SEND
    yield Sleep(1.0)
    second = yield SEND
    return f"{ticket.waited:.2f} {first} {second}"


@pytest.fixture
def clock() -> Clock:
    """Provide a clock."""
    return Clock()


def watch(tracker: CallTracker, tracked: TrackedCall, ends: float | None = None) -> Generator[Any, Any, str]:
    """Track a call."""
    return tracker.watch(call(ends), tracked)


def test_steps_pass_in_tasks(clock: Clock) -> None:
    """Tasks can be cancelled, so their steps are passed on unchanged."""
    steps = watch(CallTracker(sliced=False, clock=clock), TrackedCall())
    assert next(steps).ends is None
    assert steps.send(Reservation()) is SEND
    step = steps.send("a")
    assert isinstance(step, Sleep)
    assert step.seconds == 1.0
    assert steps.send(None) is SEND
    with pytest.raises(StopIteration) as stop:
        steps.send("b")
    assert stop.value.value == "0.00 a b"


def test_waits_of_threads_are_cut(clock: Clock) -> None:
    """A thread waits in slices, and its ticket reports the total wait."""
    steps = watch(CallTracker(sliced=True, clock=clock), TrackedCall())
    assert next(steps).ends == clock.now + SLICE
    clock.now += SLICE
    assert steps.throw(DeadlineReached(SLICE)).ends == clock.now + SLICE
    assert steps.send(Reservation()) is SEND
    slept = [steps.send("a")]
    while isinstance(slept[-1], Sleep):
        clock.now += slept[-1].seconds
        slept.append(steps.send(None))
    assert sum(one.seconds for one in slept[:-1]) == pytest.approx(1.0)
    assert all(one.seconds <= SLICE for one in slept[:-1])
    with pytest.raises(StopIteration) as stop:
        steps.send("b")
    assert stop.value.value == "0.25 a b"


def test_a_deadline_ends_the_last_slice(clock: Clock) -> None:
    """The call's deadline is kept, and its error reports the total wait."""
    steps = watch(CallTracker(sliced=True, clock=clock), TrackedCall(), ends=clock.now + 1.5 * SLICE)
    next(steps)
    clock.now += SLICE
    assert steps.throw(DeadlineReached(SLICE)).ends == 100 + 1.5 * SLICE
    clock.now += SLICE / 2
    with pytest.raises(DeadlineReached) as late:
        steps.throw(DeadlineReached(SLICE / 2))
    assert late.value.waited == pytest.approx(1.5 * SLICE)


def test_a_limiter_may_give_any_ticket(clock: Clock) -> None:
    """A ticket that cannot be written to is passed on as it is."""

    class Bare:
        __slots__ = ()
        waited = 0.0

    steps = watch(CallTracker(sliced=True, clock=clock), TrackedCall())
    next(steps)
    clock.now += SLICE
    steps.throw(DeadlineReached(SLICE))
    assert steps.send(Bare()) is SEND


@pytest.mark.parametrize("at", ["start", "admit", "sent", "sleep"])
def test_a_closed_tracker_cancels_calls(clock: Clock, at: str) -> None:
    """After the tracker is closed, a call is cancelled at its next step; a response in flight is still received."""
    tracker = CallTracker(sliced=True, clock=clock)
    steps = watch(tracker, TrackedCall())
    if at == "start":
        tracker.close()
        with pytest.raises(CallCancelled):
            next(steps)
        return
    next(steps)
    if at == "admit":
        tracker.close()
        with pytest.raises(CallCancelled):
            steps.throw(DeadlineReached(SLICE))
        return
    steps.send(Reservation())
    if at == "sent":
        tracker.close()
        with pytest.raises(CallCancelled):
            steps.send("a")
        return
    steps.send("a")
    tracker.close()
    with pytest.raises(CallCancelled):
        steps.send(None)


def test_what_was_granted_and_not_sent_is_given_back(clock: Clock) -> None:
    """A call cancelled between grant and request is marked as unsent, so the request is refunded."""
    tracker = CallTracker(sliced=True, clock=clock)
    steps = watch(tracker, TrackedCall())
    next(steps)
    tracker.close()
    with pytest.raises(CallCancelled) as given_up:
        steps.send(Reservation())
    assert given_up.value.unsent


def test_only_tasks_without_a_request_in_flight_are_cancelled(clock: Clock) -> None:
    """Closing cancels waiting calls, not those with a request in flight."""

    class Scope:
        cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    tracker = CallTracker(sliced=False, clock=clock)
    waiting, sending = TrackedCall(Scope()), TrackedCall(Scope())
    steps = [watch(tracker, waiting), watch(tracker, sending)]
    for one in steps:
        next(one)
    steps[1].send(Reservation())
    tracker.close()
    assert waiting.scope.cancelled
    assert not sending.scope.cancelled


def test_waiting_is_measured(clock: Clock) -> None:
    """The wait counts from the last grant, and is 0 when no call waits."""
    tracker = CallTracker(sliced=False, clock=clock)
    steps = [watch(tracker, TrackedCall()) for _ in range(3)]
    assert tracker.waiting() == 0.0
    for one in steps:
        next(one)
    clock.now += 5
    assert tracker.waiting() == 5.0
    steps[0].send(Reservation())
    clock.now += 2
    assert tracker.waiting() == 2.0
    for one in steps[1:]:
        one.send(Reservation())
    assert tracker.waiting() == 0.0
    for one in steps:
        one.close()
