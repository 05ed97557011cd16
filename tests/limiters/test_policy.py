"""The rules of the policy, one by one, on a fake clock."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import LONGEST_WAIT, Reading
from enprompta.limiters.rules import BARE_RUN, GRACE, LATEST_EDGE, PROBE_EVERY, TRANSIT
from enprompta.limiters.server_clock import DRIFT
from tests.limiters.desk import EPOCH, LIMIT, MINUTE, Desk

if TYPE_CHECKING:
    from enprompta.limiters.wait_queue import Reservation


@pytest.fixture
def desk() -> Desk:
    """Return a desk that has learned nothing."""
    return Desk()


@pytest.fixture
def settled() -> Desk:
    """Return a desk that knows the limit and the window length, in its third window, with nothing used."""
    desk = Desk()
    desk.learn(reset=MINUTE)
    desk.spend_window(MINUTE)
    desk.now = MINUTE + 2.0
    desk.learn(reset=2 * MINUTE)
    desk.spend_window(2 * MINUTE)
    desk.now = 2 * MINUTE + 2.0
    return desk


class TestStart:
    def test_one_goes_and_the_rest_wait_for_its_answer(self, desk: Desk) -> None:
        """At the start nothing is known, so one request learns the budget."""
        (first,) = desk.ask(100)
        assert desk.grant() == []
        desk.observe(first, LIMIT - 1)
        assert len(desk.grant()) == LIMIT - 1

    def test_another_request_is_sent_if_the_response_is_lost(self, desk: Desk) -> None:
        """A slow first call holds the others for a moment only."""
        desk.ask(3)
        assert desk.pacer.chance_at == PROBE_EVERY
        desk.now = PROBE_EVERY - 0.01
        assert desk.grant() == []
        desk.now = PROBE_EVERY
        assert len(desk.grant()) == 1
        assert desk.grant() == []

    def test_a_failure_releases_the_next_request_at_once(self, desk: Desk) -> None:
        """An unavailable API fails its callers one after the other, without pauses."""
        (first,) = desk.ask(2)
        desk.pacer.fail(first, desk.now)
        assert len(desk.grant()) == 1

    def test_failures_before_the_first_answer_are_charged(self, desk: Desk) -> None:
        """They may have been counted after the first response."""
        (first,) = desk.ask(2)
        desk.pacer.fail(first, desk.now)
        (second,) = desk.grant()
        desk.observe(second, LIMIT - 1)
        assert desk.room() == LIMIT - 2

    def test_requests_counted_before_the_first_response_are_not_charged(self, desk: Desk) -> None:
        """A long outage does not use up the first window."""
        for _ in range(10):
            (ticket,) = desk.ask()
            desk.pacer.fail(ticket, desk.now)
        desk.now += GRACE
        (ticket,) = desk.ask()
        assert len(desk.pacer._charges) == 1  # nor remembered
        desk.observe(ticket, LIMIT - 11)
        assert desk.room() == LIMIT - 11

    def test_a_server_error_without_headers_changes_nothing(self, desk: Desk) -> None:
        """It came from an intermediary, so the next request goes alone too."""
        (first,) = desk.ask(10)
        desk.bare(first, 503)
        assert len(desk.grant()) == 1


class TestNoBudgetTold:
    def test_pacing_is_off_until_good_headers_appear(self, desk: Desk) -> None:
        """A server that reports no budget is not paced until it begins to report one."""
        (first,) = desk.ask(1000)
        desk.bare(first)
        granted = desk.grant()
        assert len(granted) == 999
        desk.observe(granted[0], 30)
        assert desk.room() == 0  # 998 are under way
        assert desk.pacer.last_reported == (LIMIT, 30, EPOCH + MINUTE)

    def test_a_run_of_bare_answers_turns_it_off(self, settled: Desk) -> None:
        """If the headers disappear, callers go freely."""
        settled.learn(reset=3 * MINUTE)
        for done in range(BARE_RUN):
            assert settled.room() == LIMIT - 1 - done
            settled.now += 0.01
            (ticket,) = settled.ask()
            settled.bare(ticket)
        assert settled.room() > 10 * LIMIT

    def test_single_bare_answers_stay_charged(self, settled: Desk) -> None:
        """They were counted, and no later report may include them yet."""
        settled.learn(reset=3 * MINUTE)
        (ticket,) = settled.ask()
        settled.now += 1
        settled.bare(ticket)
        assert settled.room() == LIMIT - 2

    @pytest.mark.parametrize("reset", [-3, LONGEST_WAIT + 1])
    def test_a_reset_far_from_the_date_is_absurd(self, desk: Desk, reset: float) -> None:
        """A window ends neither before its response nor after the next midnight."""
        desk.learn(reset=reset)
        assert desk.pacer.last_reported is None

    def test_a_reset_passed_while_the_answer_was_made_is_not_absurd(self, desk: Desk) -> None:
        """The response to a request counted at the end of a window may take long."""
        (ticket,) = desk.ask()
        desk.now = 40.0
        desk.observe(ticket, LIMIT - 1, reset=10)
        assert desk.pacer.last_reported is not None


class TestBudget:
    def test_what_is_in_flight_is_charged(self, desk: Desk) -> None:
        """`Remaining` does not include the requests in flight."""
        desk.learn(LIMIT - 1)
        desk.ask(20)
        assert desk.room() == LIMIT - 21

    def test_the_least_remaining_counts_in_any_order_of_responses(self, desk: Desk) -> None:
        """A late response with an old number does not return what was spent."""
        desk.learn(LIMIT - 1)
        early, late = desk.ask(2)
        desk.observe(late, 10)
        desk.observe(early, 11)
        assert desk.room() == 10

    def test_a_lost_request_stays_charged_to_the_end_of_the_window(self, desk: Desk) -> None:
        """It may have been counted; the response to a later request shows it."""
        desk.learn(LIMIT - 1)
        ticket, other = desk.ask(2)
        desk.pacer.fail(ticket, desk.now)
        desk.observe(other, LIMIT - 2)
        desk.now = 1.0
        assert desk.room() == LIMIT - 3
        desk.now = GRACE + 0.5
        desk.learn(LIMIT - 4)
        assert desk.room() == LIMIT - 4

    def test_a_long_request_is_counted_in_the_window_it_was_sent_in(self, desk: Desk) -> None:
        """A call that takes minutes does not take a place in every window."""
        desk.learn(LIMIT - 1)
        desk.ask(5)
        desk.now = TRANSIT + 0.1
        desk.learn(LIMIT - 7)
        assert desk.room() == LIMIT - 7

    def test_a_changed_limit_is_taken_over(self, settled: Desk) -> None:
        """A new plan counts from the next window on."""
        (ticket,) = settled.ask()
        settled.observe(ticket, 299, reset=3 * MINUTE, limit=300)
        settled.now = 3 * MINUTE + 2.0
        assert settled.room() == 300


class TestWindow:
    def test_a_window_is_over_when_the_slowest_clock_says_so(self, desk: Desk) -> None:
        """`Date` has whole seconds, so up to a second is waited for."""
        desk.skew = 0.9  # so the answers are dated up to 0.9 s before their time
        desk.learn(0)
        assert desk.known_room(60.0 - 0.9) == 0
        assert desk.known_room(60.0) == 0
        assert desk.known_room(60.0 + 60 * 2 * DRIFT) == 1

    def test_more_answers_narrow_the_doubt(self, desk: Desk) -> None:
        """Responses just after a turn of the server's second narrow the interval."""
        desk.skew = 0.9
        desk.learn(LIMIT - 1)
        desk.now = 0.1
        desk.learn(0)
        assert desk.known_room(59.0) == 0
        assert desk.known_room(59.2) == 1

    def test_time_widens_the_doubt(self, desk: Desk) -> None:
        """Clocks drift, so the end of a window an hour away is uncertain."""
        desk.learn(0, reset=3600)
        assert desk.known_room(desk.now) == 0
        assert desk.known_room(3600 + 3600 * DRIFT - 0.1) == 0
        assert desk.known_room(3600 + 3600 * DRIFT + 0.1) == 1

    @pytest.mark.parametrize("skew", [300.37, -299.81])
    def test_a_clock_minutes_off_does_not_matter(self, skew: float) -> None:
        """The time until `Reset` is computed from the server's own `Date`."""
        desk = Desk(skew=skew)
        desk.learn(0, reset=skew + MINUTE)
        assert desk.known_room(MINUTE - 1.0) == 0
        assert desk.known_room(MINUTE + 1.5) == 1

    def test_the_first_new_window_is_tried_with_one_request(self, desk: Desk) -> None:
        """One reset does not reveal the window length."""
        desk.learn()
        desk.spend_window(MINUTE)
        desk.now = MINUTE + 1.0
        (probe,) = desk.ask(2 * LIMIT)
        desk.observe(probe, LIMIT - 1, reset=2 * MINUTE)
        assert len(desk.grant()) == LIMIT - 1

    def test_a_probe_that_was_not_sent_is_not_waited_for(self, desk: Desk) -> None:
        """The next request goes at once."""
        desk.learn()
        desk.spend_window(MINUTE)
        desk.now = MINUTE + 1.0
        (probe,) = desk.ask(2)
        desk.pacer.cancel(probe)
        assert len(desk.grant()) == 1

    def test_later_windows_are_opened_in_full(self, settled: Desk) -> None:
        """Two resets reveal the window length."""
        assert len(settled.ask(2 * LIMIT)) == LIMIT

    def test_unused_windows_are_skipped(self, settled: Desk) -> None:
        """After a night without calls the current window opens, and its end is known."""
        settled.now = 1000 * MINUTE + 30.0
        assert len(settled.ask(2 * LIMIT)) == LIMIT
        assert settled.pacer.available(1000 * MINUTE + 59.0)[0] == 0
        assert settled.pacer.chance_at == pytest.approx(1001 * MINUTE, abs=40)

    def test_what_is_in_flight_at_the_end_is_charged_to_the_next(self, settled: Desk) -> None:
        """It may arrive in either window."""
        in_flight = settled.ask(10)
        settled.now = 3 * MINUTE - 1.0
        in_flight += settled.ask(20)
        settled.now = 3 * MINUTE + 2.0
        assert settled.room() == LIMIT - 20  # the first ten were sent a minute ago
        settled.observe(in_flight[-1], LIMIT - 30, reset=3 * MINUTE)
        assert settled.room() == LIMIT - 19

    def test_the_length_of_a_window_is_the_least_distance_of_two_resets(self, settled: Desk) -> None:
        """A night without calls does not make windows as long as the night."""
        settled.now = 1000 * MINUTE + 2.0
        settled.learn(LIMIT - 1, reset=1001 * MINUTE)
        settled.now = 1002 * MINUTE + 2.0
        assert len(settled.ask(2 * LIMIT)) == LIMIT
        settled.now = 1003 * MINUTE + 2.0
        assert len(settled.grant()) == LIMIT

    def test_a_window_may_have_begun_before_it_is_known_to(self, settled: Desk) -> None:
        """A request counted in the uncertain moment may be counted in the new window, and is charged to it."""
        settled.now = 3 * MINUTE - TRANSIT - 0.5
        settled.ask(10)
        settled.now = 3 * MINUTE + 2.0
        assert settled.room() == LIMIT - 10

    def test_answers_of_windows_that_were_skipped_are_old_ones(self, settled: Desk) -> None:
        """They are about a window before the current one, even if it was never seen."""
        settled.now = 3 * MINUTE - 1.0
        granted = settled.ask(3)
        settled.observe(granted[0], LIMIT - 1, reset=3 * MINUTE)
        settled.observe(granted[1], LIMIT - 1, reset=5 * MINUTE)
        settled.observe(granted[2], 3, reset=4 * MINUTE)
        assert settled.room() == LIMIT - 1

    def test_an_answer_with_a_later_reset_opens_the_next(self, settled: Desk) -> None:
        """The server's report wins."""
        settled.now = 3 * MINUTE - 1.0
        early, late, other = settled.ask(3)
        settled.observe(early, LIMIT - 1, reset=3 * MINUTE)
        settled.observe(late, LIMIT - 1, reset=4 * MINUTE)
        assert settled.room() == LIMIT - 2
        settled.observe(other, LIMIT - 2, reset=3 * MINUTE)
        assert settled.room() == LIMIT - 1

    def test_a_window_with_an_unknown_end_is_probed(self, desk: Desk) -> None:
        """If every granted request is lost and no length is known, one goes when the old ones cannot count any more."""
        (ticket,) = desk.ask()
        desk.observe(ticket, 0, limit=1)
        desk.now = 61.0
        (probe,) = desk.ask(2)
        desk.pacer.fail(probe, desk.now)
        assert desk.grant() == []
        assert desk.pacer.chance_at == desk.now + TRANSIT
        desk.now += TRANSIT
        assert len(desk.grant()) == 1

    def test_a_late_edge_is_learnt(self, settled: Desk) -> None:
        """A response of a window assumed to be over restores it, and the next one is tried with one request."""
        settled.now = 2 * MINUTE + 0.2
        desk = settled
        first, *rest = desk.ask(LIMIT)
        desk.observe(first, 0, reset=2 * MINUTE, status=429)
        assert desk.room() == 0
        for ticket in rest:
            desk.observe(ticket, 0, reset=2 * MINUTE, status=429)
        wait = desk.pacer.available(desk.now)[1]
        assert 0 < wait < LATEST_EDGE
        desk.now += wait
        (probe,) = desk.ask(LIMIT)
        desk.observe(probe, LIMIT - 1, reset=3 * MINUTE)
        assert len(desk.grant()) == LIMIT - 1

    def test_a_clock_that_was_set_starts_again(self, settled: Desk) -> None:
        """Responses from an hour ago are believed, not treated as old."""
        granted = settled.ask(10)
        settled.observe(granted[0], 40, reset=3 * MINUTE)
        settled.skew = -3600.0
        settled.observe(granted[1], 30, reset=3 * MINUTE - 3600)
        assert settled.pacer.last_reported == (LIMIT, 30, EPOCH + 3 * MINUTE - 3600)
        assert settled.room() == 30 - 8
        settled.observe(granted[2], 29, reset=3 * MINUTE - 3600)
        assert settled.room() == 29 - 7

    def test_nodes_that_differ_by_a_little_do_not_bring_old_windows_back(self, desk: Desk) -> None:
        """A late response of the last window is still old if its clock is more than a second behind."""
        desk.learn()
        desk.now = MINUTE - 0.2
        (late,) = desk.ask()
        desk.now = MINUTE + 0.1
        desk.skew = 1.0
        desk.learn(LIMIT - 1, reset=2 * MINUTE)
        desk.now = MINUTE + 0.3
        desk.skew = -0.5
        desk.observe(late, 10, reset=MINUTE)
        assert desk.pacer.last_reported == (LIMIT, LIMIT - 1, EPOCH + 2 * MINUTE)

    def test_nodes_that_differ_by_a_little_are_one_clock(self, settled: Desk) -> None:
        """Servers behind a balancer differ slightly; that does not restart the account."""
        granted = settled.ask(4)
        for skew, ticket in zip((0.9, 0.0, 1.4, 0.0), granted, strict=True):
            settled.skew = skew
            settled.observe(ticket, 40, reset=3 * MINUTE)
        assert settled.room() == 40


class TestOthers:
    def test_what_others_spent_is_remembered(self, settled: Desk) -> None:
        """After a window in which other clients spent, the next one opens with less until its first response."""
        granted = settled.ask(4)
        for ticket in granted:
            settled.observe(ticket, LIMIT - 20, reset=3 * MINUTE)  # 4 are ours
        settled.now = 3 * MINUTE + 2.0
        granted = settled.ask(LIMIT)
        assert len(granted) == LIMIT - 2 * 16

    def test_the_usual_share_of_other_clients_is_reserved(self, settled: Desk) -> None:
        """Less and less as the window ends."""
        for ticket in settled.ask(4):
            settled.observe(ticket, LIMIT - 20, reset=3 * MINUTE)
        settled.now = 3 * MINUTE + 2.0
        (first,) = settled.ask()
        settled.observe(first, LIMIT - 1, reset=4 * MINUTE)
        early = settled.room()
        settled.now = 3 * MINUTE + 30.0
        middle = settled.room()
        settled.now = 3 * MINUTE + 59.5
        assert LIMIT - 18 <= early < middle <= LIMIT - 1 - 8
        assert settled.room() >= LIMIT - 2

    def test_the_reserved_share_is_released_in_time(self, settled: Desk) -> None:
        """The wait names the moment of the next grant to the tick."""
        for ticket in settled.ask(4):
            settled.observe(ticket, LIMIT - 20, reset=3 * MINUTE)
        settled.now = 3 * MINUTE + 2.0
        (first,) = settled.ask()
        settled.observe(first, LIMIT - 1, reset=4 * MINUTE)
        while settled.ask():
            pass
        waits = 0
        while settled.now < 4 * MINUTE - 4:
            room = settled.pacer.available(settled.now)
            assert room.free == 0
            settled.now += room.wait
            assert len(settled.ask(2)) == 1
            waits += 1
        assert waits >= 14

    def test_the_belief_fades(self, settled: Desk) -> None:
        """Other clients that have stopped are forgotten window by window."""
        for ticket in settled.ask(4):
            settled.observe(ticket, LIMIT - 20, reset=3 * MINUTE)
        openings: list[int] = []
        for minute in range(3, 16):
            settled.now = minute * MINUTE + 2.0
            openings.append(settled.room())
            settled.learn(LIMIT - 1, reset=(minute + 1) * MINUTE)
        assert openings == sorted(openings)
        assert openings[0] == LIMIT - 32
        assert openings[1] == LIMIT - int(2 * 16 * 0.7) - 1
        assert openings[-1] == LIMIT

    def test_a_lost_first_response_delays_the_others_briefly(self, settled: Desk) -> None:
        """A lost first response holds the others for a moment only."""
        for ticket in settled.ask(4):
            settled.observe(ticket, 0, reset=3 * MINUTE)
        settled.now = 3 * MINUTE + 2.0
        assert len(settled.ask(10)) == 1
        settled.now += PROBE_EVERY
        assert len(settled.grant()) == 1

    def test_lost_requests_are_not_counted_as_another_clients(self, settled: Desk) -> None:
        """A lost request that appears in the server's count is not another client's."""
        ticket, other = settled.ask(2)
        settled.pacer.fail(ticket, settled.now)
        settled.observe(other, LIMIT - 2, reset=3 * MINUTE)
        settled.now += GRACE + 1
        settled.learn(LIMIT - 3, reset=3 * MINUTE)
        settled.now = 3 * MINUTE + 2.0
        assert settled.room() == LIMIT


class TestTooMany:
    def test_a_429_ends_the_window_and_keeps_its_place(self, settled: Desk) -> None:
        """No request goes before the next window, and then the refused one goes first."""
        first, second = settled.ask(2)
        settled.pacer.reserve(None, inf, settled.now)
        settled.observe(second, 0, reset=3 * MINUTE, status=429)
        settled.pacer.reserve(second, inf, settled.now)
        assert settled.grant() == []
        settled.observe(first, 20, reset=3 * MINUTE)
        assert settled.grant() == []
        assert settled.pacer.queue.head is second
        settled.now = 3 * MINUTE + 2.0
        assert settled.grant()[0] is second

    def test_a_429_with_budget_left_ends_the_window_too(self, settled: Desk) -> None:
        """If number and status contradict each other, the status counts."""
        (ticket,) = settled.ask()
        settled.observe(ticket, 20, reset=3 * MINUTE, status=429)
        assert settled.room() == 0

    def test_retry_after_delays_all_requests(self, settled: Desk) -> None:
        """Also some seconds into the next window."""
        (ticket,) = settled.ask()
        settled.observe(ticket, 0, reset=3 * MINUTE, status=429, retry_after=62.0)
        assert settled.known_room(3 * MINUTE + 3.0) == 0
        assert settled.known_room(3 * MINUTE + 4.0) >= 1

    def test_the_day_limit_delays_all_requests_until_its_reset(self, settled: Desk) -> None:
        """A 429 with another limit is about another budget; the window's account stays."""
        settled.learn(LIMIT - 1, reset=3 * MINUTE)
        (ticket,) = settled.ask()
        settled.observe(ticket, 0, reset=7200, status=429, limit=10_000)
        room = settled.pacer.available(settled.now)
        assert room.free == 0
        assert room.wait == pytest.approx(7200 - settled.now, abs=5)
        assert settled.pacer.last_reported == (10_000, 0, EPOCH + 7200)
        settled.now = 7206.0
        (probe,) = settled.ask(100)
        settled.observe(probe, LIMIT - 1, reset=7260)
        assert len(settled.grant()) == LIMIT - 1

    def test_another_limit_leaves_the_windows_account_alone(self, settled: Desk) -> None:
        """When a shorter budget is renewed, the rest of the minute budget is available."""
        settled.learn(LIMIT - 1, reset=3 * MINUTE)
        settled.now += 0.5
        (ticket,) = settled.ask()
        settled.observe(ticket, 0, reset=2 * MINUTE + 10, status=429, limit=5)
        assert settled.room() == 0
        settled.now = 2 * MINUTE + 12.0
        assert settled.room() == LIMIT - 2

    def test_the_day_limit_as_the_first_answer(self, desk: Desk) -> None:
        """A program that starts on an exhausted day waits for midnight, then learns the minute budget."""
        (ticket,) = desk.ask()
        desk.observe(ticket, 0, reset=7200, status=429, limit=10_000)
        assert desk.room() == 0
        desk.now = 7205.0
        (probe,) = desk.ask(100)
        desk.observe(probe, LIMIT - 1, reset=7260)
        assert len(desk.grant()) == LIMIT - 1

    def test_a_window_shorter_than_the_first_reported_one_replaces_it(self, desk: Desk) -> None:
        """If the day budget was reported first, a response with the minute's replaces it."""
        first, second = desk.ask(1) + desk.ask(0) + [desk.pacer.reserve(None, inf, 0.0)]
        desk.now = PROBE_EVERY
        desk.grant()
        desk.observe(first, 9_000, reset=7200, limit=10_000)
        desk.observe(second, LIMIT - 1, reset=MINUTE)
        assert desk.room() == LIMIT - 1

    @pytest.mark.parametrize("max_wait", [5.0, 29.0])
    def test_a_chance_beyond_max_wait_is_refused_at_once(self, settled: Desk, max_wait: float) -> None:
        """Queued and later callers are refused, with the wait."""
        (ticket,) = settled.ask()
        patient = settled.pacer.reserve(None, inf, settled.now)
        settled.pacer.cancel(patient)
        settled.observe(ticket, 0, reset=7200, status=429, limit=10_000)
        waiting = [settled.pacer.reserve(None, max_wait, settled.now) for _ in range(3)]
        patient = settled.pacer.reserve(None, inf, settled.now)
        assert settled.pacer.grant(settled.now) == waiting
        assert {each.state for each in waiting} == {"refused"}
        assert waiting[0].wait == pytest.approx(7200 - settled.now, abs=5)
        assert patient.state == "queued"
        assert settled.ask(1, max_wait) == []
        assert len(settled.pacer.queue) == 1

    def test_max_wait_does_not_limit_the_queue(self, settled: Desk) -> None:
        """A thousand callers wait twenty minutes, because the next chance is never more than a minute away."""
        settled.ask(1000, max_wait=65.0)
        for minute in range(3, 20):
            settled.now = minute * MINUTE + 2.0
            settled.pacer.grant(settled.now)
        assert len(settled.pacer.queue) > 0


class TestLine:
    def test_a_granted_request_that_was_not_sent_gives_its_place_back(self, desk: Desk) -> None:
        """Also at the start, when it was the one to learn the budget."""
        (first,) = desk.ask(2)
        desk.pacer.cancel(first)
        (second,) = desk.grant()
        desk.observe(second, LIMIT - 1)
        (third,) = desk.ask()
        assert desk.room() == LIMIT - 2
        desk.pacer.cancel(third)
        desk.pacer.cancel(third)
        assert desk.room() == LIMIT - 1

    def test_one_of_the_last_window_that_was_not_sent_is_not_missed_in_this_one(self, desk: Desk) -> None:
        """The single request that tries a new window is not doubled by it."""
        desk.learn()
        desk.now = MINUTE - 1.0
        (late,) = desk.ask()
        desk.now = MINUTE + 2.0
        (probe,) = desk.ask(2)
        desk.pacer.cancel(late)
        assert desk.grant() == []
        desk.observe(probe, LIMIT - 1, reset=2 * MINUTE)
        assert len(desk.grant()) == 1

    def test_a_request_that_left_the_queue_is_skipped(self, desk: Desk) -> None:
        """The next one has its turn."""
        first = desk.pacer.reserve(None, inf, 0.0)
        second = desk.pacer.reserve(None, inf, 0.0)
        desk.pacer.cancel(first)
        assert desk.grant() == [second]

    def test_many_that_leave_take_no_memory(self, desk: Desk) -> None:
        """The heap holds at most twice the waiting tickets."""
        desk.ask()
        for _ in range(1000):
            desk.pacer.cancel(desk.pacer.reserve(None, inf, 0.0))
        assert len(desk.pacer.queue._heap) <= 2

    def test_a_ticket_that_is_not_done_is_not_queued_twice(self, desk: Desk) -> None:
        """Joining with a ticket that is queued or has left creates another one."""
        waiting = desk.pacer.reserve(None, inf, 0.0)
        assert desk.pacer.reserve(waiting, inf, 0.0) is not waiting
        desk.pacer.cancel(waiting)
        assert desk.pacer.reserve(waiting, inf, 0.0) is not waiting

    def test_an_answer_to_a_ticket_of_before_a_fork_does_no_harm(self) -> None:
        """The child's account learns from it without charging it."""
        (ticket,) = Desk().ask()
        child = Desk()
        child.observe(ticket, 20)
        assert child.room() == 20
        child.pacer.fail(ticket, 0.0)
        child.pacer.cancel(ticket)
        again = child.pacer.reserve(ticket, inf, 0.0)
        assert child.ask()[0].number == again.number == 1

    @given(st.lists(st.sampled_from(["ask", "grant", "leave", "answer", "again"]), max_size=200))
    def test_first_come_first_served(self, steps: list[str]) -> None:
        """However requests join, leave or return, none goes before a lower number that waits."""
        desk = Desk()
        desk.learn(LIMIT - 1)
        waiting: list[Reservation] = []
        flying: list[Reservation] = []
        for step in steps:
            if step == "ask":
                waiting.append(desk.pacer.reserve(None, inf, 0.0))
            elif step == "leave" and waiting:
                desk.pacer.cancel(waiting.pop(len(waiting) // 2))
            elif step == "grant":
                granted = desk.pacer.grant_unchecked(2, 0.0)
                assert granted == sorted(waiting, key=lambda each: each.number)[:2]
                waiting = [each for each in waiting if each not in granted]
                flying += granted
            elif step in {"answer", "again"} and flying:
                ticket = flying.pop(0)
                desk.observe(ticket, 0, status=429)
                if step == "again":
                    waiting.append(desk.pacer.reserve(ticket, inf, 0.0))
            assert len(desk.pacer.queue) == len(waiting)


READINGS = st.builds(
    Reading,
    status=st.sampled_from([200, 200, 200, 201, 404, 429, 500, 503]),
    limit=st.integers(0, 100),
    remaining=st.integers(0, 100),
    reset=st.integers(EPOCH - 100, EPOCH + 400),
    date=st.integers(EPOCH - 10, EPOCH + 300).map(float),
    retry_after=st.none() | st.floats(0, 100),
)


@given(st.lists(st.tuples(st.floats(0, 20), READINGS, st.sampled_from(["observe", "fail", "cancel"])), max_size=60))
def test_no_report_stops_the_queue_forever(steps: list[tuple[float, Reading, str]]) -> None:
    """No report raises, and every waiter goes within the wait that was asked for, an hour at most."""
    pacer = Pacer()
    now = 0.0
    for passed, reading, end in steps:
        now += passed
        pacer.reserve(None, inf, now)
        for ticket in pacer.grant(now):
            if end == "observe":
                pacer.observe(ticket, reading, now)
            elif end == "fail":
                pacer.fail(ticket, now)
            else:
                pacer.cancel(ticket)
    for _ in range(1000):
        if not pacer.queue:
            break
        for ticket in pacer.grant(now):
            pacer.fail(ticket, now)
        now = max(now, pacer.chance_at)
    assert not pacer.queue
    assert now < 3600 * 2


class TestSharers:
    """Processes that share the budget without coordination, as when Redis is unavailable."""

    def test_each_keeps_to_its_share_of_a_window(self) -> None:
        """A quarter for each of four, although no other spending is seen, and again in the next window."""
        desk = Desk()
        desk.learn()
        desk.now = MINUTE + 2
        desk.learn(reset=2 * MINUTE)
        desk.pacer.process_count = 4
        assert len(desk.ask(LIMIT)) == LIMIT // 4 - 1
        assert desk.room() == 0
        desk.now = 2 * MINUTE + 2
        assert len(desk.ask(LIMIT)) == LIMIT // 4

    def test_the_share_of_other_processes_is_not_reserved_twice(self) -> None:
        """They are the other processes, which have their share."""
        desk = Desk()
        desk.learn()
        for minute in range(1, 4):
            desk.now = minute * MINUTE + 2
            desk.learn(remaining=LIMIT - 40, reset=(minute + 1) * MINUTE)
        desk.pacer.process_count = 2
        desk.now = 4 * MINUTE + 2
        assert len(desk.ask(LIMIT)) == LIMIT // 2

    def test_a_share_is_one_at_least(self) -> None:
        """With more processes than requests, each still gets its turn."""
        desk = Desk()
        (ticket,) = desk.ask()
        desk.observe(ticket, 1, limit=2)
        desk.pacer.process_count = 5
        desk.now = MINUTE + 2
        assert len(desk.ask(3)) == 1

    def test_what_is_left_still_bounds(self) -> None:
        """A share cannot exceed the remaining budget."""
        desk = Desk()
        desk.learn(remaining=0)
        desk.pacer.process_count = 2
        assert desk.ask(3) == []

    def test_doubt_is_settled_by_one_request(self) -> None:
        """If the report may be outdated, one request learns the budget again."""
        desk = Desk()
        desk.learn()
        desk.now = MINUTE + 2
        desk.learn(reset=2 * MINUTE)
        desk.pacer.distrust_window()
        desk.now += PROBE_EVERY
        (asks,) = desk.ask(LIMIT)
        assert desk.room() == 0
        desk.observe(asks, 10, reset=2 * MINUTE)
        assert desk.room() == 10
