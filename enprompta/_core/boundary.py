"""The public boundary of methods that are not described: wrong keywords get a suggestion, errors a short traceback."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import ParamSpec

from enprompta._core.arguments import OPTIONS, misuse
from enprompta._core.tracebacks import shorten
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a method or constructor; a call that works costs nothing more than the wrapper.

    Raises:
        TypeError: The call has a wrong keyword, or lacks an argument; the text names the public method.
    """
    return public_with(lambda: OPTIONS)(function)


def public_with(options: Callable[[], Iterable[str]]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a `public` for a method with other options.

    Args:
        options: Returns the names that `**options` takes; called for a wrong call only.
    """

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except EnpromptaError as error:
                shorten(error)
                raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)
            except TypeError:
                wrong = _misuse(function, args, kwargs, options)
                if wrong is None:
                    raise
                raise wrong from None

        return method

    return wrap


def public_async(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Wrap a method that is a coroutine function, as `public` does."""

    @functools.wraps(function)
    async def method(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await function(*args, **kwargs)
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)
        except TypeError:
            wrong = _misuse(function, args, kwargs, lambda: OPTIONS)
            if wrong is None:
                raise
            raise wrong from None

    return method


def _misuse(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Callable[[], Iterable[str]],
) -> TypeError | None:
    """Say what is wrong with the form of a call; None when it fits the signature."""
    _, *parameters = inspect.signature(function).parameters.values()
    positional = tuple(one.name for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD})
    keywords = {one.name: one.default is one.empty for one in parameters if one.kind is one.KEYWORD_ONLY}
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        keywords.update(dict.fromkeys(options(), False))
    by_name = tuple(kwargs[one] for one in positional[len(args) - 1 :] if one in kwargs)
    given = [name for name in kwargs if name not in positional[len(args) - 1 :] or name in keywords]
    owner, _, name = function.__qualname__.rpartition(".")
    return misuse(
        owner if name == "__init__" else f"{owner.removeprefix('Async').lower()}.{name}".removeprefix("enprompta."),
        (*args[1:], *by_name), given, positional, keywords,
    )  # fmt: skip
