"""The gate between a call and its transport, step by step on a clock that is told."""

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
class Ticket:
    """A right to send."""

    waited: float = 0.0


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
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
    """Stand at a time."""
    return Clock()


def passed(gate: CallTracker, flight: TrackedCall, ends: float | None = None) -> Generator[Any, Any, str]:
    """Let a call pass the gate."""
    return gate.watch(call(ends), flight)


def test_steps_pass_in_tasks(clock: Clock) -> None:
    """Tasks can be cancelled, so their steps pass as they are."""
    steps = passed(CallTracker(sliced=False, clock=clock), TrackedCall())
    assert next(steps).ends is None
    assert steps.send(Ticket()) is SEND
    assert steps.send("a") == Sleep(1.0)
    assert steps.send(None) is SEND
    with pytest.raises(StopIteration) as stop:
        steps.send("b")
    assert stop.value.value == "0.00 a b"


def test_waits_of_threads_are_cut(clock: Clock) -> None:
    """A thread waits in slices, and its ticket tells the whole of them."""
    steps = passed(CallTracker(sliced=True, clock=clock), TrackedCall())
    assert next(steps).ends == clock.now + SLICE
    clock.now += SLICE
    assert steps.throw(DeadlineReached(SLICE)).ends == clock.now + SLICE
    assert steps.send(Ticket()) is SEND
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
    """The call's own deadline is kept, and told with all that was waited."""
    steps = passed(CallTracker(sliced=True, clock=clock), TrackedCall(), ends=clock.now + 1.5 * SLICE)
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

    steps = passed(CallTracker(sliced=True, clock=clock), TrackedCall())
    next(steps)
    clock.now += SLICE
    steps.throw(DeadlineReached(SLICE))
    assert steps.send(Bare()) is SEND


@pytest.mark.parametrize("at", ["start", "admit", "sent", "sleep"])
def test_a_closed_gate_lets_nothing_go(clock: Clock, at: str) -> None:
    """After the gate was closed a call gives up at its next step; what is on the way is still taken in."""
    gate = CallTracker(sliced=True, clock=clock)
    steps = passed(gate, TrackedCall())
    if at == "start":
        gate.close()
        with pytest.raises(CallCancelled):
            next(steps)
        return
    next(steps)
    if at == "admit":
        gate.close()
        with pytest.raises(CallCancelled):
            steps.throw(DeadlineReached(SLICE))
        return
    steps.send(Ticket())
    if at == "sent":
        gate.close()
        with pytest.raises(CallCancelled):
            steps.send("a")
        return
    steps.send("a")
    gate.close()
    with pytest.raises(CallCancelled):
        steps.send(None)


def test_what_was_granted_and_not_sent_is_given_back(clock: Clock) -> None:
    """A call that gives up between its grant and its request is told that nothing was sent."""
    gate = CallTracker(sliced=True, clock=clock)
    steps = passed(gate, TrackedCall())
    next(steps)
    gate.close()
    with pytest.raises(CallCancelled) as given_up:
        steps.send(Ticket())
    assert given_up.value.unsent


def test_only_tasks_with_nothing_on_the_way_are_cancelled(clock: Clock) -> None:
    """Closing cancels those who wait, not those whose request is on the way."""

    class Scope:
        cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    gate = CallTracker(sliced=False, clock=clock)
    waiting, sending = TrackedCall(Scope()), TrackedCall(Scope())
    steps = [passed(gate, waiting), passed(gate, sending)]
    for one in steps:
        next(one)
    steps[1].send(Ticket())
    gate.close()
    assert waiting.scope.cancelled
    assert not sending.scope.cancelled


def test_waiting_is_told(clock: Clock) -> None:
    """The wait is as long as nobody was let go, and over when nobody waits."""
    gate = CallTracker(sliced=False, clock=clock)
    steps = [passed(gate, TrackedCall()) for _ in range(3)]
    assert gate.waiting() == 0.0
    for one in steps:
        next(one)
    clock.now += 5
    assert gate.waiting() == 5.0
    steps[0].send(Ticket())
    clock.now += 2
    assert gate.waiting() == 2.0
    for one in steps[1:]:
        one.send(Ticket())
    assert gate.waiting() == 0.0
    for one in steps:
        one.close()
