"""Pending fetches: how callers share, lose and invalidate them, and what the metrics count; on a fake clock."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from enprompta._core.runner import Raw
from enprompta._core.steps import WaitForFuture
from enprompta.cache.live_cache import _after_fork
from enprompta.cache.memory import FETCH_LEASE_SECONDS
from enprompta.errors import APIError, APITimeoutError, ConfigurationError, NotFoundError
from tests.cache.conftest import Sequence, Service, down, live, missing


class TestSingleFlight:
    def test_others_join_the_first(self, service: Service) -> None:
        """A caller that arrives during a fetch waits for it, up to the lease."""
        leader, wish = service.begin()
        assert isinstance(wish, Raw)
        others = [service.begin() for _ in range(100)]
        assert all(
            isinstance(until, WaitForFuture) and until.ends == service.now + FETCH_LEASE_SECONDS for _, until in others
        )
        assert service.drive_on(leader, wish).content == "v1"
        assert all(service.drive_on(flow, until).content == "v1" for flow, until in others)
        assert service.sent == 1
        assert service.cache.metrics.misses == 101

    def test_they_share_its_failure(self, service: Service) -> None:
        """A failed fetch fails all callers that wait for it."""
        service.answer = lambda _: down()
        leader, wish = service.begin()
        other, until = service.begin()
        with_fallback, until_too = service.begin(fallback="x")
        with pytest.raises(APIError):
            service.drive_on(leader, wish)
        with pytest.raises(APIError):
            service.drive_on(other, until)
        assert service.drive_on(with_fallback, until_too).is_fallback
        assert service.sent == 1

    def test_when_the_first_gives_up_another_takes_over(self, service: Service) -> None:
        """A cancelled caller does not cancel the others."""
        leader, _ = service.begin()
        others = [service.begin() for _ in range(3)]
        leader.close()
        assert [service.drive_on(flow, until).content for flow, until in others] == ["v1"] * 3
        assert service.sent == 1

    def test_a_failing_call_does_not_fail_the_others(self, service: Service) -> None:
        """A bug in one call does not fail the others."""
        leader, _ = service.begin()
        other, until = service.begin()
        with pytest.raises(ConfigurationError):
            leader.throw(ConfigurationError("no"))
        assert service.drive_on(other, until).content == "v1"

    def test_a_waiting_caller_stops_at_its_deadline(self, service: Service) -> None:
        """A waiting caller's deadline ends its wait, with a message that says so."""
        leader, _ = service.begin()
        service.is_hanging = True
        with pytest.raises(
            APITimeoutError, match=r"'hi': the deadline of 3 s passed while another caller was fetching"
        ):
            service.get(deadline=3.0)
        leader.close()

    def test_one_that_stands_still_is_replaced(self, service: Service) -> None:
        """If the leader has not finished within the lease, one of the waiting callers fetches."""
        leader, wish = service.begin()
        service.is_hanging = True
        began = service.now
        assert service.get().content == "v1"
        assert service.now - began == FETCH_LEASE_SECONDS
        service.answer = lambda _: live("late")
        assert service.drive_on(leader, wish).content == "late"
        assert service.get().content == "v1"

    def test_what_an_ending_event_loop_broke_off_is_waited_for_next_time(self, service: Service) -> None:
        """An abandoned refresh makes the next caller wait, so that a program with a loop per call gets new versions."""
        service.get()
        service.now += 100
        service.get()
        ((flow, ended),) = service.background.waiting
        service.background.waiting.clear()
        flow.close()
        ended()
        service.answer = lambda _: live("v2")
        assert service.get().content == "v2"

    def test_a_refresh_that_cannot_start_delays_no_caller(self, service: Service) -> None:
        """If no thread can be started, the fallback is served at once."""
        service.background.spawn = lambda client, flow, ended: ended()  # type: ignore[method-assign]
        assert service.get(fallback="x").is_fallback


class TestInvalidate:
    @pytest.mark.parametrize(
        ("how", "count", "asked"),
        [({}, 2, ["foo", "foo"]), ({"label": "staging"}, 1, ["foo"]), ({"label": "none"}, 0, [])],
    )
    def test_exactly_this_slug(self, service: Service, how: Any, count: int, asked: list[str]) -> None:
        """`invalidate` matches the exact slug, under every label or the given one."""
        keys: list[Any] = [("foo", "production"), ("foo", "staging"), ("foobar", "production"), ("fo", "production")]
        for slug, label in keys:
            service.get(slug, label=label)
        service.calls.clear()
        assert service.cache.invalidate("foo", **how) == count
        for slug, label in keys:
            service.get(slug, label=label)
        assert [call.path.rpartition("/")[2] for call in service.calls] == asked

    def test_the_next_call_waits_for_the_new_one(self, service: Service) -> None:
        """The fetch after `invalidate` sends the ETag of the cached prompt."""
        service.get()
        service.cache.invalidate("hi")
        service.answer = lambda _: live("v2")
        assert service.get().content == "v2"
        assert service.calls[1].options["headers"] == {"If-None-Match": '"v1"'}

    def test_when_that_fails_the_old_one_is_given(self, service: Service) -> None:
        """Invalidating during an outage has no cost."""
        service.get()
        service.cache.invalidate("hi")
        service.answer = lambda _: down()
        assert [service.get().is_stale for _ in range(3)] == [True] * 3
        assert service.sent == 2

    def test_a_fetch_started_before_invalidate_is_not_stored(self, service: Service) -> None:
        """A fetch started before `invalidate` is not stored, because it may return the old version."""
        leader, wish = service.begin()
        service.cache.invalidate("hi")
        service.answer = Sequence(live("old"), live("new"))
        assert service.drive_on(leader, wish).content == "old"
        assert service.get().content == "new"


class TestMetricsAndPreload:
    def test_metrics(self, service: Service) -> None:
        """Each call counts once, and so does each failed or background request."""
        service.get()
        service.get()
        service.now += 100
        service.answer = lambda _: down()
        service.get()
        service.run_background()
        service.get("other", fallback="x")
        metrics = service.cache.metrics
        assert (metrics.misses, metrics.hits, metrics.stale, metrics.fallbacks) == (1, 1, 1, 1)
        assert (metrics.refreshes, metrics.errors) == (2, 2)
        assert "hits=1" in repr(service.cache)

    def test_preload(self, service: Service) -> None:
        """`preload` fetches all prompts concurrently, with ordinary retries, and returns them in order."""
        requests = [service.request(slug) for slug in ("a", "b", "a")]
        service.answer = lambda call: live(call.path[-1])
        assert [one.content for one in service.drive(service.cache.preload(requests))] == ["a", "b", "a"]
        assert service.sent == 2
        assert all("max_retries" not in call.options for call in service.calls)
        service.drive(service.cache.preload(requests))
        assert service.sent == 2

    def test_preload_says_what_is_missing(self, service: Service) -> None:
        """`preload` raises an error after all fetches were started."""
        service.answer = lambda call: missing() if call.path.endswith("b") else live()
        with pytest.raises(NotFoundError):
            service.drive(service.cache.preload([service.request(slug) for slug in ("b", "a")]))
        service.calls.clear()
        service.get("a")
        assert service.sent == 0

    def test_clear_forgets(self, service: Service) -> None:
        """After `clear`, every prompt is fetched again."""
        service.get()
        service.cache.clear()
        assert len(service.cache) == 0
        service.get()
        assert service.sent == 2


class TestEvents:
    @pytest.mark.parametrize(
        ("name", "data", "count"),
        [
            ("prompt.updated", {"slug": "hi"}, 1),
            ("prompt.updated", {"prompt_id": "p1"}, 1),
            ("prompt.published", {"promptId": "p1"}, 1),
            ("prompt.updated", {"slug": "h"}, 0),
            ("prompt.updated", {"slug": 7}, 0),
            ("prompt.updated", None, 0),
            ("prompt.executed", {"prompt_id": "p1"}, 0),
            ("workflow.completed", {"prompt_id": "p1"}, 0),
        ],
    )
    def test_events_that_concern_a_prompt(self, service: Service, name: str, data: Any, count: int) -> None:
        """An event that reports a changed prompt invalidates it by slug or id; other events do nothing."""
        from enprompta.models.events import UnknownEvent

        service.get()
        event = UnknownEvent(id="e", created_at="2026-01-01T00:00:00Z", event=name, data=data)  # type: ignore[arg-type]
        assert service.cache.on_event(event) == count
        assert service.cache.on_event(object()) == 0


class TestAfterAFork:
    def test_a_child_process_waits_for_nothing_of_its_parent(self, service: Service) -> None:
        """A child process keeps the cached prompts, and waits for no request, thread or lock of its parent."""
        service.get()
        service.now += 100
        service.get()
        service.cache._memory._lock.acquire()
        (entry,) = service.cache._memory._entries.values()
        assert entry.pending is not None
        entry.reading = Future()
        service.background.waiting.clear()
        _after_fork()  # as a child process does for every cache
        assert entry.reading is None
        assert service.get().is_stale
        service.run_background()
        assert not service.get().is_stale
        assert service.sent == 2

    def test_what_was_read_is_kept(self, service: Service) -> None:
        """A snapshot that the parent has read is not read again."""
        service.get()
        (entry,) = service.cache._memory._entries.values()
        entry.reading = gate = Future()
        gate.set_result(None)
        service.cache.after_fork()
        assert entry.reading is gate
