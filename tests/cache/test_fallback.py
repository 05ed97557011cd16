"""The fallbacks that callers pass to `get_live`."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from enprompta.errors import ConfigurationError, TemplateError
from enprompta.models import LiveMessage, LivePrompt
from tests.cache.conftest import Service, down, live

MESSAGES = [{"role": "system", "content": "Be {{tone}}."}, LiveMessage(role="user", content="{{question}}")]


class Static:
    """Callables of every kind."""

    def __call__(self) -> str:
        """Return a text."""
        return "called"

    def method(self, slug: str) -> str:
        """Return a text for a slug."""
        return f"method {slug}"


class Awaited:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Any:
        """Return a text."""
        yield


@pytest.fixture
def away(service: Service) -> Service:
    """Provide a service that is unavailable."""
    service.answer = lambda _: down()
    return service


@pytest.mark.parametrize(
    ("fallback", "content"),
    [
        ("text", "text"),
        ("", ""),
        (lambda: "lazy", "lazy"),
        (lambda slug: f"for {slug}", "for hi"),
        (lambda path="file": f"from {path}", "from file"),
        (lambda *args: f"{len(args)}", "0"),
        (functools.partial(lambda a, b: a + b, "a"), "ahi"),
        (Static(), "called"),
        (Static().method, "method hi"),
        (lambda: live("kept elsewhere"), "kept elsewhere"),
        (str, ""),
    ],
)
def test_texts_and_callables(away: Service, fallback: Any, content: str) -> None:
    """A fallback is a string or a callable, which gets the slug if it requires an argument."""
    given = away.get(fallback=fallback)
    assert (given.content, given.is_fallback, given.label) == (content, True, "production")


@pytest.mark.parametrize("fallback", [MESSAGES, lambda: tuple(MESSAGES)])
def test_messages(away: Service, fallback: Any) -> None:
    """Messages are models or plain dicts."""
    rendered = away.get(fallback=fallback).render(tone="kind", question="Why?")
    assert [(one.role, one.content) for one in rendered] == [("system", "Be kind."), ("user", "Why?")]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "fallback", [7, b"x", ["x"], [{"role": "user"}], {"role": "user", "content": "x"}, lambda: None]
)
def test_anything_else_is_refused(away: Service, fallback: Any) -> None:
    """Any other fallback is rejected, with the accepted types in the error."""
    with pytest.raises(ConfigurationError, match=r"fallback of prompt 'hi' must be a string, a list of messages"):
        away.get(fallback=fallback)


def test_it_is_asked_only_when_it_is_needed(service: Service) -> None:
    """A callable is not called while the service answers; in an outage it is called once per failure."""
    called: list[int] = []
    fallback = lambda: called.append(1) or "x"  # noqa: E731 (the same object in several calls)
    service.get(fallback=fallback)
    assert called == []
    service.cache.clear()
    service.answer = lambda _: down()
    for _ in range(10):
        service.get(fallback=fallback)
    assert len(called) == 1
    service.now += 1
    for _ in range(10):
        service.get(fallback=fallback)
        service.run_background()
    assert len(called) == 2


def test_each_caller_has_a_separate_fallback(away: Service) -> None:
    """Each caller gets its own fallback."""
    for text in ("a", "b", "a"):
        assert away.get(fallback=lambda text=text: text).content == text


def test_what_it_raises_is_the_callers(away: Service) -> None:
    """An error in a fallback reaches the caller."""

    def broken() -> str:
        raise LookupError("no file")

    with pytest.raises(LookupError, match="no file"):
        away.get(fallback=broken)


def test_an_async_one_needs_the_async_client(away: Service) -> None:
    """The blocking client rejects an async fallback and leaves no coroutine behind."""

    async def fallback() -> str:
        return "x"

    for it in (fallback, Awaited):
        with pytest.raises(ConfigurationError, match="the fallback is async: use AsyncEnprompta"):
            away.get(fallback=it)


def test_a_fallback_knows_fewer_names(away: Service) -> None:
    """A variable that the fallback does not use is ignored; a missing one raises."""
    given = away.get(fallback="Hello {{name}}")
    assert given.render(name="Ada", tone="kind") == "Hello Ada"
    with pytest.raises(TemplateError) as caught:
        given.render(nmae="Ada")
    assert (caught.value.missing, caught.value.unknown) == (("name",), ("nmae",))
    with pytest.raises(TemplateError, match="tone"):
        LivePrompt(id="p", content="Hello {{name}}").render(name="Ada", tone="kind")
