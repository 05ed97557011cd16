"""How `get_live` decides between cache, service and fallback, on a fake clock without requests."""

from __future__ import annotations

import itertools
import logging
import random

import pytest

from enprompta.cache.freshness import MAX_BACKOFF_SECONDS
from enprompta.cache.memory import FETCH_LEASE_SECONDS
from enprompta.errors import APIError, ConfigurationError, NotFoundError, PermissionDeniedError
from tests.cache.conftest import Sequence, Service, down, live, missing, status


class TestFresh:
    def test_one_request_within_the_ttl(self, service: Service) -> None:
        """The first call fetches; later calls are served from memory, each with a separate object."""
        first = service.get()
        service.now += 50
        second = service.get()
        assert service.sent == 1
        assert first == second
        assert first is not second
        second.variables["x"] = 1
        assert service.get().variables == {}
        assert (first.age, second.age, second.is_stale, second.is_fallback, second.error) == (0, 50, False, False, None)

    def test_prompts_are_kept_by_slug_label_and_project(self, service: Service) -> None:
        """Slug, label and project separate the cached prompts."""
        for _ in range(2):
            for how in ({}, {"label": "staging"}, {"project": "p"}, {"slug": "hi-2"}, {"project": "production"}):
                service.get(**how)  # type: ignore[arg-type]
        assert service.sent == 5
        assert len(service.cache) == 5

    def test_a_served_prompt_belongs_to_its_caller(self, service: Service) -> None:
        """A caller's changes to a prompt, its messages and its variables are in no other caller's prompt."""
        service.answer = lambda _: live(content=None, messages=[{"role": "user", "content": "Hi"}], variables={"a": 1})
        before, changed = service.get().model_dump(exclude_unset=True), service.get()
        changed.name, changed.note = "mine", "mine"
        changed.variables["b"] = 2
        assert changed.messages
        changed.messages.clear()
        assert service.get().model_dump(exclude_unset=True) == before
        assert service.get().model_extra == {}

    def test_ttl_none_never_asks_again(self, service: Service) -> None:
        """With `ttl=None` the cached prompt is served forever."""
        service.get(ttl=None)
        service.now += 1e9
        assert not service.get(ttl=None).is_stale
        assert service.sent == 1

    def test_ttl_zero_always_asks(self, service: Service) -> None:
        """With `ttl=0` every call waits for the service, with a conditional request."""
        contents = [service.get(ttl=0).content for service.answer in (lambda _: live("a"), lambda _: live("b"))]
        assert contents == ["a", "b"]
        assert service.calls[1].options["headers"] == {"If-None-Match": '"a"'}
        assert service.cache.metrics.misses == 2

    def test_each_caller_has_its_own_ttl(self, service: Service) -> None:
        """A caller with a shorter TTL triggers a refresh; other callers are unaffected."""
        service.get()
        service.now += 10
        assert not service.get(ttl=60).is_stale
        assert service.get(ttl=5).is_stale
        assert len(service.background.waiting) == 1

    def test_least_recently_used_goes_first(self) -> None:
        """The cache is bounded, and recently used prompts stay."""
        service = Service(most=2)
        for slug in ("a", "b", "a", "c", "a", "b"):
            service.get(slug)
        assert [call.path[-1] for call in service.calls] == ["a", "b", "c", "b"]
        assert len(service.cache) == 2


class TestStale:
    def test_stale_at_once_while_one_refresh_runs(self, service: Service) -> None:
        """After its TTL a prompt is served without waiting, and refreshed once for all callers."""
        service.get()
        service.now += 100
        service.answer = lambda _: live("v2")
        for _ in range(100):
            given = service.get()
            assert (given.content, given.is_stale, given.age, given.error) == ("v1", True, 100, None)
        assert len(service.background.waiting) == 1
        service.run_background()
        assert (service.get().content, service.get().is_stale, service.sent) == ("v2", False, 2)

    def test_not_modified_keeps_the_value(self, service: Service) -> None:
        """After a 304, the cached prompt is fresh again."""
        service.get()
        service.now += 100
        service.answer = lambda _: status(304)
        service.get()
        service.run_background()
        given = service.get()
        assert (given.content, given.is_stale, given.age) == ("v1", False, 0)
        assert service.calls[1].options["headers"] == {"If-None-Match": '"v1"'}
        assert service.cache.metrics.errors == 0

    def test_a_callers_headers_go_along(self, service: Service) -> None:
        """The caller's headers are sent with the ETag."""
        service.get()
        service.get(ttl=0, headers={"X-Team": "blue"})
        assert service.calls[1].options["headers"] == {"X-Team": "blue", "If-None-Match": '"v1"'}

    def test_a_tag_that_cannot_be_sent_is_not_sent(self, service: Service) -> None:
        """An invalid `ETag` is ignored, like a missing one."""
        service.answer = lambda _: live("ż")
        service.get(ttl=0)
        service.get(ttl=0)
        assert "headers" not in service.calls[1].options

    def test_a_refresh_asks_once_and_has_an_end(self, service: Service) -> None:
        """A background request has no retries, since the next call may repeat it, and a deadline of at most 30 s."""
        service.get()
        service.get(ttl=0)
        assert service.calls[0].options == {}
        assert service.calls[1].options["max_retries"] == 0
        assert service.calls[1].options["deadline"] == 30.0
        service.get(ttl=0, deadline=7.0, max_retries=2)
        assert (service.calls[2].options["deadline"], service.calls[2].options["max_retries"]) == (7.0, 2)

    def test_a_refresh_that_never_ends_is_given_up(self, service: Service) -> None:
        """After the lease a second fetch starts, and a late result of the first is discarded."""
        service.get()
        service.now += 100
        service.get()
        (first, _), *_ = service.background.waiting
        wish = next(first)
        service.now += FETCH_LEASE_SECONDS
        service.get()
        service.answer = lambda _: live("new")
        service.background.waiting.pop(0)
        service.run_background()
        with pytest.raises(StopIteration):
            first.send(service.perform(wish) and type("Old", (), {"data": live("old"), "headers": {}}))
        assert service.get().content == "new"

    def test_a_refresh_that_lost_its_lease_sends_nothing(self, service: Service) -> None:
        """A refresh that lost its lease while waiting for a thread sends nothing."""
        service.get()
        service.now += 100
        service.get()
        service.now += FETCH_LEASE_SECONDS
        service.get()
        assert len(service.background.waiting) == 2
        service.run_background()
        assert service.sent == 2


class TestAway:
    def test_an_hour_without_the_service(self) -> None:
        """In an outage every call is answered, requests follow the backoff, and all is fresh one TTL after recovery."""
        service = Service()
        draw = random.Random(6)
        service.get()
        service.answer = lambda _: down()
        gone, back = service.now, service.now + 3_600
        while service.now < back:
            service.now += 0.25
            service.chance = draw.random()
            before = service.sent
            given = service.get()
            service.run_background()
            assert given.content == "v1"
            assert given.is_stale == (given.age >= 54)  # jitter may shorten the TTL by a tenth
            assert service.sent - before <= 1
        asked = [moment for moment in service.asked_at if moment > gone]
        pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
        # At least half of each step: 1, 2, 4 … 60 s.
        assert all(pause >= min(2**n, MAX_BACKOFF_SECONDS) / 2 for n, pause in enumerate(pauses))
        assert len(asked) <= 6 + 3_600 / (MAX_BACKOFF_SECONDS / 2)
        assert service.get().error is not None
        service.answer = lambda _: live("v2")
        while service.get().content != "v2":
            service.run_background()
            service.now += 0.25
        assert service.now - back <= 60
        assert not service.get().is_stale
        assert service.get().error is None

    def test_a_fallback_from_the_start(self, service: Service) -> None:
        """The first failure costs one request; until the backoff ends no request is sent and no caller waits."""
        service.answer = lambda _: down()
        for _ in range(100):
            given = service.get(fallback="Hello {{name}}")
            assert (given.content, given.is_fallback, given.slug) == ("Hello {{name}}", True, "hi")
            assert isinstance(given.error, APIError)
        assert service.sent == 1
        service.now += 1.0
        flow = service.cache.get(service.request(fallback="x"))
        with pytest.raises(StopIteration):
            next(flow)
        assert len(service.background.waiting) == 1
        service.answer = lambda _: live()
        service.run_background()
        assert not service.get(fallback="x").is_fallback
        assert service.cache.metrics.fallbacks == 101

    def test_a_service_that_hangs_keeps_a_fallback_waiting_for_a_connection_only(self, service: Service) -> None:
        """The first caller gets the fallback after five seconds, the next one at once; a late result is cached."""
        service.is_hanging = True
        began = service.now
        given = service.get(fallback="x")
        assert (given.is_fallback, service.now - began) == (True, 5.0)
        assert "has not answered within the connect timeout" in str(given.error)
        service.get(fallback="x")
        assert service.now - began == 5.0
        service.run_background()
        assert service.get(fallback="x").content == "v1"
        assert service.sent == 1

    def test_the_budget_is_the_callers(self, service: Service) -> None:
        """A shorter timeout or deadline shortens the wait."""
        service.is_hanging = True
        for slug, how in (("a", {"timeout": 2.0}), ("b", {"deadline": 2.0})):
            began = service.now
            service.get(slug, fallback="x", **how)
            assert service.now - began == 2.0

    def test_without_a_fallback_the_error_lists_all_attempts(self, service: Service) -> None:
        """A caller without a fallback retries as in an ordinary call; during the backoff others fail at once."""
        service.answer = lambda _: down()
        with pytest.raises(APIError, match=r"cannot connect$"):
            service.get()
        assert "max_retries" not in service.calls[0].options
        with pytest.raises(APIError, match=r"cannot connect; get_live sends no further request for 1.0 s"):
            service.get()
        assert service.sent == 1
        service.now += 1
        service.answer = lambda _: live()
        assert service.get().content == "v1"
        assert service.cache.metrics.errors == 1

    def test_each_caller_gets_a_copy_of_the_error(self, service: Service) -> None:
        """Each caller gets a copy of the error, because each raise extends a traceback."""
        service.answer = lambda _: down()
        errors = []
        for _ in range(3):
            with pytest.raises(APIError) as caught:
                service.get()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == 3
        assert errors[2].message.count("no further request") == 1

    def test_a_refresh_that_cannot_be_made_is_logged(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        """A request that was never sent, as after closing the client, is not a failure of the service."""
        service.get()
        service.now += 100
        service.answer = lambda _: ConfigurationError("this client is closed")
        service.get()
        with caplog.at_level(logging.WARNING, logger="enprompta"):
            service.run_background()
        assert "this client is closed" in caplog.text
        assert service.cache.metrics.errors == 0

    def test_failures_are_logged(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        """A failure hidden from the callers is logged, once per request."""
        service.get()
        service.now += 100
        service.answer = lambda _: down()
        with caplog.at_level(logging.WARNING, logger="enprompta"):
            for _ in range(10):
                service.get()
                service.run_background()
        (record,) = caplog.records
        assert record.__dict__["event"] == "live_refresh_failed"
        assert record.__dict__["fields"]["slug"] == "hi"


class TestRefused:
    def test_not_found_is_no_outage(self, service: Service) -> None:
        """A deleted prompt is not served from cache, and every call without a fallback fetches again."""
        service.get()
        service.now += 100
        service.answer = lambda _: missing()
        assert service.get().content == "v1"
        service.run_background()
        for _ in range(2):
            with pytest.raises(NotFoundError, match=r"returned 404$"):
                service.get()
        assert service.sent == 4
        service.answer = lambda _: live("new")
        assert service.get().content == "new"

    def test_not_found_with_a_fallback(self, service: Service) -> None:
        """With a fallback, a deleted prompt is fetched again only after the backoff."""
        service.answer = lambda _: missing()
        for _ in range(5):
            given = service.get(fallback="x")
            assert given.is_fallback
            assert isinstance(given.error, NotFoundError)
        assert service.sent == 1

    def test_a_revoked_key_keeps_the_cached_prompt(self, service: Service) -> None:
        """A revoked key does not stop a running program; the served prompt reports the error."""
        service.get()
        service.now += 100
        service.answer = lambda _: status(403, PermissionDeniedError)
        service.get()
        service.run_background()
        given = service.get()
        assert given.is_stale
        assert isinstance(given.error, PermissionDeniedError)

    def test_forbidden_from_the_start(self, service: Service) -> None:
        """A refusal is raised and not cached, so that a call succeeds as soon as the key has access."""
        service.answer = Sequence(status(403, PermissionDeniedError), live())
        with pytest.raises(PermissionDeniedError):
            service.get()
        assert service.get().content == "v1"

    def test_a_304_without_a_cached_copy_is_an_error(self, service: Service) -> None:
        """A malformed response of a broken server or proxy is not cached."""
        service.answer = lambda _: status(304)
        with pytest.raises(APIError, match="304"):
            service.get()
