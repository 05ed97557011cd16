"""A refusal is a claim until it is confirmed: blocks, probes and pauses on a fake clock."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import Reading
from enprompta.limiters.rules import BARE_RUN, LONG, LONGEST_PAUSE, NEXT_PROBE, PAUSE, PROBE_EVERY
from tests.limiters.desk import EPOCH, LIMIT, MINUTE, Desk

if TYPE_CHECKING:
    from enprompta.limiters.wait_queue import Reservation

DAY = 86_400
MAX_WAIT = 65.0


@pytest.fixture
def desk() -> Desk:
    """A pacer that knows the minute budget, of which one request is used."""
    desk = Desk()
    desk.learn(LIMIT - 1, reset=2 * MINUTE - 10)
    return desk


def day_is_used_up(desk: Desk, ticket: Reservation) -> None:
    """Answer 429 for the day budget."""
    desk.observe(ticket, 0, reset=DAY, status=429, limit=10_000)


def minute_is_used_up_for_a_day(desk: Desk, ticket: Reservation) -> None:
    """Answer 429 with the known limit and a window that ends in a day."""
    desk.observe(ticket, 0, reset=DAY, status=429)


def nothing_remains(desk: Desk, ticket: Reservation) -> None:
    """Answer 200 with nothing remaining for a day."""
    desk.observe(ticket, 0, reset=DAY)


def nothing_remains_of_another_limit(desk: Desk, ticket: Reservation) -> None:
    """Answer 200 with nothing remaining of a limit of one for a day."""
    desk.observe(ticket, 0, reset=DAY, limit=1)


CLAIMS = pytest.mark.parametrize(
    "claim", [day_is_used_up, minute_is_used_up_for_a_day, nothing_remains, nothing_remains_of_another_limit]
)
Claim = "Callable[[Desk, Reservation], None]"


def blocked_by(desk: Desk, claim: Claim) -> None:
    """Answer one request with a refusal."""
    (ticket,) = desk.ask()
    claim(desk, ticket)
    assert desk.ask(1, MAX_WAIT) == []
    desk.pacer.cancel(desk.pacer.queue.head)  # type: ignore[arg-type]


class TestBlock:
    @CLAIMS
    def test_a_probe_goes_after_half_a_minute_and_a_good_answer_lifts_the_block(self, desk: Desk, claim: Claim) -> None:
        """Callers wait for the probe's response, then all of them go."""
        blocked_by(desk, claim)
        begun = desk.now
        assert desk.ask(20, MAX_WAIT) == []
        assert desk.pacer.chance_at == begun + LONG
        desk.now = begun + LONG - 0.1
        assert desk.grant() == []
        desk.now = begun + LONG
        (probe,) = desk.grant()
        desk.now += 1.0
        assert desk.ask(1, MAX_WAIT) == []
        assert len(desk.pacer.queue) == 20  # no call was refused
        desk.observe(probe, LIMIT - 2, reset=2 * MINUTE - 10)
        assert len(desk.grant()) == 20

    @pytest.mark.parametrize("claim", [day_is_used_up, minute_is_used_up_for_a_day])
    def test_a_confirmed_block_refuses_at_once_and_probes_once_a_minute(self, desk: Desk, claim: Claim) -> None:
        """On a day whose budget is exhausted, one request a minute is sent."""
        blocked_by(desk, claim)
        desk.now += LONG
        (probe,) = desk.ask(3, MAX_WAIT)
        desk.now += 0.5
        claim(desk, probe)
        settled = desk.pacer.grant(desk.now)
        assert [ticket.state for ticket in settled] == ["refused"] * 2
        assert settled[0].wait == pytest.approx(DAY - desk.now, abs=60)
        sent: list[float] = []
        for second in range(1200):
            desk.now = 200.0 + second / 2
            for ticket in desk.ask(1, MAX_WAIT):
                sent.append(desk.now)
                claim(desk, ticket)
            assert not desk.pacer.queue
        assert len(sent) == 10
        assert all(later - earlier >= NEXT_PROBE for earlier, later in pairwise(sent))

    def test_the_first_call_after_a_silence_is_the_probe(self, desk: Desk) -> None:
        """The half minute counts from the refusal, not from the first caller."""
        (ticket,) = desk.ask()
        day_is_used_up(desk, ticket)
        desk.now += 40.0
        assert len(desk.ask(3, MAX_WAIT)) == 1

    def test_a_good_answer_that_was_in_flight_lifts_a_block_by_a_429(self, desk: Desk) -> None:
        """One request goes at once, and its response admits the rest."""
        bad, good = desk.ask(2)
        day_is_used_up(desk, bad)
        assert desk.ask(10, MAX_WAIT) == []
        desk.observe(good, LIMIT - 2, reset=2 * MINUTE - 10)
        (first,) = desk.grant()
        desk.observe(first, LIMIT - 3, reset=2 * MINUTE - 10)
        assert len(desk.grant()) == 9

    @pytest.mark.parametrize("lie", [nothing_remains, minute_is_used_up_for_a_day])
    def test_an_answer_of_a_window_that_is_still_open_refutes_a_later_one(self, desk: Desk, lie: Claim) -> None:
        """Today's window proves that tomorrow's has not begun; all callers go at once."""
        bad, good = desk.ask(2)
        lie(desk, bad)
        assert desk.ask(10, MAX_WAIT) == []
        desk.observe(good, LIMIT - 3, reset=2 * MINUTE - 10)
        assert len(desk.grant()) == 10

    def test_a_late_answer_of_a_window_that_is_over_refutes_nothing(self, desk: Desk) -> None:
        """It is older than the refusal."""
        late, last = desk.ask(2)
        desk.now = 2 * MINUTE
        desk.observe(last, 0, reset=2 * MINUTE - 10 + 3600)
        desk.observe(late, 20, reset=2 * MINUTE - 10)
        assert desk.room() == 0

    def test_a_good_answer_without_headers_lifts_too(self, desk: Desk) -> None:
        """Also one in flight, if a 429 blocked the queue."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        (probe,) = desk.ask(5, MAX_WAIT)
        desk.bare(probe, 200)
        assert len(desk.grant()) == 1  # alone, as the budget is not known
        other = Desk()
        other.learn()
        first, second = other.ask(2)
        day_is_used_up(other, first)
        other.bare(second, 204)
        assert len(other.ask(5)) == 1

    @pytest.mark.parametrize("status", [403, 500, 503])
    def test_an_error_without_headers_neither_lifts_nor_confirms(self, desk: Desk, status: int) -> None:
        """The next probe goes a minute later, and callers with enough `max_wait` wait for it."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        (probe,) = desk.ask(3, MAX_WAIT)
        desk.now += 1.0
        desk.bare(probe, status)
        assert desk.ask(1, MAX_WAIT) == []
        assert len(desk.pacer.queue) == 3
        desk.now += NEXT_PROBE
        assert len(desk.grant()) == 1

    def test_a_probe_that_is_never_answered_is_followed_a_minute_later(self, desk: Desk) -> None:
        """Callers wait for its response as long as their `max_wait` allows."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        assert len(desk.ask(1, MAX_WAIT)) == 1
        started = desk.now
        short, *_ = (desk.pacer.reserve(None, 10.0, desk.now), desk.pacer.reserve(None, MAX_WAIT, desk.now))
        assert desk.pacer.grant(desk.now) == []
        assert desk.pacer.chance_at == pytest.approx(started + 10.0, abs=0.01)
        desk.now = desk.pacer.chance_at
        assert desk.pacer.grant(desk.now) == [short]
        desk.now = started + NEXT_PROBE
        assert len(desk.grant()) == 1

    def test_a_caller_that_does_not_want_to_wait_is_refused(self, desk: Desk) -> None:
        """With `max_wait=0`, before the probe and while it is in flight."""
        blocked_by(desk, day_is_used_up)
        desk.ask(1, 0.0)
        assert not desk.pacer.queue
        desk.now += LONG
        desk.ask(1, MAX_WAIT)
        desk.ask(1, 0.0)
        assert not desk.pacer.queue

    def test_time_in_the_queue_does_not_count_as_max_wait(self, desk: Desk) -> None:
        """A call that has queued for minutes still waits `max_wait` for the probe."""
        granted = desk.ask(LIMIT + 10, MAX_WAIT)
        for left, ticket in zip(range(len(granted) - 1, -1, -1), granted, strict=True):
            desk.observe(ticket, left, reset=2 * MINUTE - 10)
        desk.now = 2 * MINUTE - 9
        (first,) = desk.grant()
        day_is_used_up(desk, first)
        assert desk.grant() == []
        assert len(desk.pacer.queue) == 10

    def test_a_probe_that_was_not_sent_is_replaced_at_once(self, desk: Desk) -> None:
        """The next caller sends it."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        (probe,) = desk.ask(2, MAX_WAIT)
        desk.pacer.cancel(probe)
        assert len(desk.grant()) == 1

    def test_a_probe_that_failed_is_followed_a_minute_later(self, desk: Desk) -> None:
        """A connection error says nothing about the budget."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        (probe,) = desk.ask(2, inf)
        desk.pacer.fail(probe, desk.now)
        assert desk.grant() == []
        desk.now += NEXT_PROBE
        assert len(desk.grant()) == 1

    def test_newer_bad_news_replaces_the_older(self, desk: Desk) -> None:
        """After a probe that finds the minute exhausted, and not the day, callers wait for the minute."""
        blocked_by(desk, day_is_used_up)
        desk.now += LONG
        (probe,) = desk.ask(2, MAX_WAIT)
        desk.observe(probe, 0, reset=MINUTE, status=429)
        desk.now = MINUTE + 2.0
        assert len(desk.grant()) == 1

    def test_a_server_that_always_says_zero_is_not_believed(self, desk: Desk) -> None:
        """If requests are served although nothing remains, pacing turns off after some of them."""
        blocked_by(desk, nothing_remains)
        desk.now += LONG
        sent = 0
        for _ in range(3 * BARE_RUN):
            for ticket in desk.ask(1, MAX_WAIT):
                sent += 1
                nothing_remains(desk, ticket)
            desk.now += PROBE_EVERY
        assert sent >= 2 * BARE_RUN
        assert desk.room() > 10 * LIMIT

    def test_a_minute_that_this_program_used_up_is_not_probed(self) -> None:
        """Its own count agrees with the server."""
        desk = Desk()
        desk.learn()
        desk.spend_window(MINUTE)
        desk.now = 0.0
        assert desk.ask(5) == []
        for second in range(MINUTE):
            desk.now = float(second)
            assert desk.grant() == []

    def test_reset_clears_everything_except_the_queue(self, desk: Desk) -> None:
        """The next request goes at once and alone; requests in flight stay charged."""
        blocked_by(desk, day_is_used_up)
        (waiting,) = [desk.pacer.reserve(None, MAX_WAIT, desk.now)]
        desk.pacer.reserve(None, MAX_WAIT, desk.now)
        desk.pacer.reset()
        assert desk.pacer.last_reported is None
        assert desk.grant() == [waiting]


class TestPause:
    def test_a_429_without_a_budget_pauses_the_queue_for_seconds(self, desk: Desk) -> None:
        """Whatever it asks for; then one request goes, and its good response admits the rest."""
        bad, good = desk.ask(2)
        desk.bare(bad, 429, retry_after=3600.0)
        assert desk.ask(10, MAX_WAIT) == []
        assert desk.pacer.chance_at == desk.now + PAUSE
        desk.observe(good, LIMIT - 3, reset=2 * MINUTE - 10)
        assert desk.grant() == []  # it was sent before, and says nothing of what stands in the way now
        desk.now += PAUSE
        (first,) = desk.grant()
        assert desk.grant() == []
        desk.observe(first, LIMIT - 4, reset=2 * MINUTE - 10)
        assert len(desk.grant()) == 9

    def test_it_is_short_when_the_answer_asks_for_less(self, desk: Desk) -> None:
        """A `Retry-After` below the pause is used."""
        (bad,) = desk.ask()
        desk.bare(bad, 429, retry_after=0.5)
        assert desk.ask(2) == []
        desk.now += 0.5
        assert len(desk.grant()) == 1
        desk.now += PAUSE - 0.1
        assert desk.grant() == []  # the next one waits for its answer, or for the pause
        desk.now += 0.1
        assert len(desk.grant()) == 1

    def test_each_further_429_doubles_it(self) -> None:
        """Up to a minute: a firewall that refuses for an hour gets one request a minute."""
        desk = Desk()
        waits: list[float] = []
        sent = 0
        while desk.now < 3600:
            for ticket in desk.ask(1, MAX_WAIT):
                sent += 1
                desk.bare(ticket, 429)
            waits.append(desk.pacer.available(desk.now).wait)
            desk.now += waits[-1]
        assert waits[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE]
        assert max(waits) == LONGEST_PAUSE
        assert sent < 66

    def test_it_is_never_longer_than_a_window(self) -> None:
        """With windows of three seconds, the pause is three seconds at most."""
        desk = Desk()
        desk.learn(reset=3)
        desk.now = 4.0
        desk.learn(reset=6)
        for _ in range(6):
            (ticket,) = desk.ask(1)
            desk.bare(ticket, 429)
            assert desk.pacer.available(desk.now).wait <= 3.0
            desk.now += 4.0

    def test_a_burst_of_them_counts_once(self, desk: Desk) -> None:
        """Fifty requests that meet the firewall together count as one refusal."""
        for ticket in desk.ask(40):
            desk.bare(ticket, 429)
        assert desk.pacer.available(desk.now).wait == PAUSE

    def test_callers_do_not_wait_longer_than_max_wait(self, desk: Desk) -> None:
        """While requests go one at a time without a good response, a call waits `max_wait` in all."""
        (bad,) = desk.ask()
        desk.bare(bad, 429)
        begun = desk.now
        tickets = [desk.pacer.reserve(None, MAX_WAIT, desk.now) for _ in range(200)]
        while desk.pacer.queue:
            for ticket in desk.pacer.grant(desk.now):
                if ticket.state == "granted":
                    desk.bare(ticket, 429)
                else:
                    assert desk.now - begun <= MAX_WAIT
            if desk.pacer.queue:
                desk.now = max(desk.now, desk.pacer.chance_at)
        assert {ticket.state for ticket in tickets} == {"done", "refused"}

    def test_a_429_of_no_known_window_pauses_too(self, desk: Desk) -> None:
        """The current window has budget, and a request is refused because of one that is over."""
        (lie,) = desk.ask()
        desk.observe(lie, 40, reset=DAY)
        desk.now = 2 * MINUTE - 10.2  # too late for the true window to refute it
        (ticket,) = desk.ask()
        desk.now += 0.1
        desk.observe(ticket, 0, reset=2 * MINUTE - 10, status=429)
        assert desk.ask(1) == []
        assert desk.pacer.available(desk.now).wait == pytest.approx(PAUSE)

    def test_answers_that_are_not_paced_end_it_too(self) -> None:
        """Also if the server reports no budget at all."""
        desk = Desk()
        (ticket,) = desk.ask()
        desk.bare(ticket, 200)
        (ticket,) = desk.ask()
        desk.bare(ticket, 429)
        desk.now += PAUSE
        (ticket,) = desk.ask(5)
        desk.bare(ticket, 404)
        assert len(desk.grant()) == 4


class Crowd:
    """Callers that come and wait by the clock of a desk, with the promises checked at every moment."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.flying: list[Reservation] = []
        self.probes: list[float] = []
        self._blocked_since: dict[Reservation, float] = {}

    def pump(self) -> None:
        """Grant requests, and check that none waits in a block for longer than its `max_wait`."""
        pacer, now = self.desk.pacer, self.desk.now
        for ticket in pacer.grant(now):
            if ticket.state == "granted":
                self.flying.append(ticket)
                if pacer._block.is_on and ticket.sent == pacer._block.probed:
                    self.probes.append(now)
        queued = [ticket for _, ticket in pacer.queue._heap if ticket.state == "queued"]
        self._blocked_since = {ticket: self._blocked_since.get(ticket, now) for ticket in queued if pacer._block.is_on}
        for ticket, since in self._blocked_since.items():
            assert now - since <= ticket.max_wait + 0.01

    def wait(self, seconds: float) -> None:
        """Let time pass, and wake at each moment that the pacer names."""
        desk = self.desk
        until = desk.now + seconds
        while desk.pacer.queue and desk.now < desk.pacer.chance_at <= until:
            desk.now = desk.pacer.chance_at
            self.pump()
        desk.now = until
        self.pump()

    def answer(self, kind: str) -> None:
        """End the oldest request in flight."""
        if not self.flying:
            return
        ticket, desk = self.flying.pop(0), self.desk
        fresh = ticket.sent > desk.pacer._block.since
        minute = (desk.now // MINUTE + 1) * MINUTE + 1
        budgets: dict[str, tuple[int, float, int, int]] = {
            "good": (LIMIT // 2, minute, 200, LIMIT),
            "day": (0, desk.now + DAY, 429, 10_000),
            "minute": (0, minute, 429, LIMIT),
            "zero": (0, desk.now + DAY, 200, LIMIT),
        }
        if kind in budgets:
            remaining, reset, status, limit = budgets[kind]
            desk.observe(ticket, remaining, reset=reset, status=status, limit=limit)
        elif kind == "fail":
            desk.pacer.fail(ticket, desk.now)
        elif kind == "cancel":
            self.probes = [probe for probe in self.probes if probe != ticket.sent]
            desk.pacer.cancel(ticket)
        else:
            desk.bare(ticket, int(kind), retry_after=3600.0)
        assert not (fresh and kind == "good" and desk.pacer._block.is_on)
        self.pump()


STEPS = st.tuples(
    st.floats(0, 50),
    st.integers(0, 3),
    st.sampled_from([0.0, 5.0, 40.0, MAX_WAIT]),
    st.sampled_from(["good", "good", "day", "minute", "zero", "200", "404", "429", "503", "fail", "cancel", "none"]),
)


@given(st.lists(STEPS, max_size=60))
def test_blocks_keep_their_promises(steps: list[tuple[float, int, float, str]]) -> None:
    """In any order of responses, probes are a minute apart, good responses lift blocks and waits keep `max_wait`."""
    crowd = Crowd()
    for passed, callers, max_wait, kind in steps:
        crowd.wait(passed)
        for _ in range(callers):
            crowd.desk.pacer.reserve(None, max_wait, crowd.desk.now)
        crowd.pump()
        if kind != "none":
            crowd.answer(kind)
    assert all(later - earlier >= NEXT_PROBE - 1e-6 for earlier, later in pairwise(crowd.probes))


@given(st.floats(0, 500), st.sampled_from([0.0, 10.0, 29.0, 31.0]))
def test_no_claim_outlives_a_good_answer(silence: float, delay: float) -> None:
    """After a false refusal and a silence, the first good response opens the queue for every call."""
    pacer = Pacer()
    ticket = pacer.reserve(None, MAX_WAIT, 0.0)
    pacer.grant(0.0)
    pacer.observe(ticket, Reading(429, LIMIT, 0, EPOCH + DAY, float(EPOCH)), 0.0)
    now = silence
    tickets = [pacer.reserve(None, MAX_WAIT, now) for _ in range(5)]
    pacer.grant(now)
    if silence < LONG:
        now = LONG
        pacer.grant(now)
    (probe,) = [each for each in tickets if each.state == "granted"]
    now += delay
    pacer.grant(now)
    reset = EPOCH + int(now) + 30
    pacer.observe(probe, Reading(200, LIMIT, LIMIT - 1, reset, float(EPOCH + int(now))), now)
    pacer.grant(now)
    assert {each.state for each in tickets} == {"granted", "done"}
