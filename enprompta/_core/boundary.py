"""Decorators for hand-written public methods: suggestions for wrong keywords, short tracebacks for errors."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import ParamSpec

from enprompta._core.arguments import OPTIONS, misuse
from enprompta._core.tracebacks import shorten
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a method or constructor to improve its errors.

    Raises:
        TypeError: A keyword is wrong or an argument is missing; the message names the public method.
    """
    return public_with(lambda: OPTIONS)(function)


def public_with(options: Callable[[], Iterable[str]]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a variant of `public` for a method with other options, whose names only a wrong call needs."""

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except EnpromptaError as error:
                shorten(error)
                raise error
            except TypeError:
                wrong = _misuse(function, args, kwargs, options)
                if wrong is None:
                    raise
                raise wrong from None

        return method

    return wrap


def public_async(function: Callable[P, Coroutine[object, object, T]]) -> Callable[P, Coroutine[object, object, T]]:
    """Wrap a coroutine method as `public` does."""

    @functools.wraps(function)
    async def method(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await function(*args, **kwargs)
        except EnpromptaError as error:
            shorten(error)
            raise error
        except TypeError:
            wrong = _misuse(function, args, kwargs, lambda: OPTIONS)
            if wrong is None:
                raise
            raise wrong from None

    return method


def _misuse(
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    options: Callable[[], Iterable[str]],
) -> TypeError | None:
    """Return the error for wrong argument names or counts; None if the call fits the signature."""
    _, *parameters = inspect.signature(function).parameters.values()
    positional = tuple(one.name for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD})
    keywords = {one.name: one.default is one.empty for one in parameters if one.kind is one.KEYWORD_ONLY}
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        keywords.update(dict.fromkeys(options(), False))
    by_name = tuple(kwargs[one] for one in positional[len(args) - 1 :] if one in kwargs)
    given = [name for name in kwargs if name not in positional[len(args) - 1 :] or name in keywords]
    owner, _, name = function.__qualname__.rpartition(".")
    is_of_client = owner.endswith(("Enprompta", "BaseClient"))
    return misuse(
        owner if name == "__init__" else name if is_of_client else f"{owner.removeprefix('Async').lower()}.{name}",
        (*args[1:], *by_name), given, positional, keywords,
    )  # fmt: skip
