"""Validate the arguments of a method before the request is built: names, ids, texts, numbers, lists, variables.

The checks are derived from the signature of the method's description, once for each method. Checked values are in plain
form: numpy integers become `int`, and a `Decimal` passed for a number becomes `float`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import date, time
from decimal import Decimal
from typing import Any, cast

from enprompta._common.values import LISTS, MAX_EXACT_INT, NotScalar, RefusedValueError, own_error, scalar, variables
from enprompta._core.call import WriteOptions, check_id, kind_of
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError, EnpromptaError

RANGES: dict[str, tuple[float, float | None]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, MAX_EXACT_INT),
    "limit": (1, 100),
}
"""Inclusive bounds from the API reference; None for no upper bound."""
OPTIONS = tuple(WriteOptions.__annotations__)
WIRE_NAMES = {"maxTokens": "max_tokens", "topP": "top_p"}

Check = Callable[[str, Any], Any]
_LONGEST_LIST = 30  # names listed in a message
_LONGEST_TEXT = 40  # characters of a value shown in a message
_LARGEST = 10**15
_MOMENT = "2024-01-17 or 2024-01-17T10:15:00Z"
_ISO_MOMENT = (  # compiled on first use, because most programs pass no times
    r"(?a:\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)"
)


@contextmanager
def own_code(name: str, value: object) -> Generator[None]:
    """Convert an exception of the code of a caller's object, such as its `__len__`, to an error that names the place.

    Raises:
        ConfigurationError: The code raised an exception, which is the cause.
    """
    try:
        yield
    except (EnpromptaError, RefusedValueError):
        raise
    except Exception as error:
        raise ConfigurationError(own_error(value, error).at(name)) from error


def misuse(
    method: str,
    args: tuple[object, ...],
    given: Iterable[str],
    positional: tuple[str, ...],
    keywords: Mapping[str, bool],
) -> TypeError | None:
    """Return the error for wrong argument names or counts; None if the call is well-formed.

    The positional parameters are all required; `keywords` has True for those that are.
    """
    for name in given:
        if name in keywords:
            continue
        if name in positional:
            return TypeError(f"{method}() takes {name} without its name: {method}({', '.join(positional)}, …)")
        near = nearest(name, keywords)
        if near:
            return TypeError(f"{method}() got {name!r}; did you mean {near!r}?")
        takes = ", ".join(list(keywords)[:_LONGEST_LIST])
        return TypeError(f"{method}() got an unexpected keyword argument {name!r}; it takes {takes}")
    if len(args) > len(positional):
        plural = "s" if len(positional) > 1 else ""
        first = f"{len(positional)} positional argument{plural} ({', '.join(positional)})"
        first = first if positional else "keywords only" if keywords else "no arguments"
        cure = f": pass the others by name, {next(iter(keywords))}=…" if keywords else ""
        were = "was" if len(args) == 1 else "were"
        return TypeError(f"{method}() takes {first}, {len(args)} {were} given{cure}")
    missing = [
        *positional[len(args) :],
        *(name for name, required in keywords.items() if required and name not in given),
    ]
    return TypeError(f"{method}() is missing {', '.join(map(repr, missing))}") if missing else None


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Find the most similar name; None if no name is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 (slow to import, and needed for errors only)

    folded = {known.replace("_", "").lower(): known for known in names}
    found = get_close_matches(name.replace("_", "").lower(), folded, n=1)
    return folded[found[0]] if found else None


class Parameters:
    """The parameters of one method, whose public name is such as `prompts.execute`, and their checks."""

    def __init__(self, describe: Callable[..., Any], method: str) -> None:
        self._method = method
        self._positional: list[str] = []
        self._positional_checks: list[tuple[int, str, Check]] = []
        self._checks: dict[str, Check | None] = {}
        self._keywords: dict[str, bool] = {}
        _, *parameters = inspect.signature(describe).parameters.values()
        options = next((str(one.annotation) for one in parameters if one.kind is one.VAR_KEYWORD), "")
        for one in parameters:
            check = _check_for(one.name, str(one.annotation), reads="WriteOptions" not in options)
            if one.kind is one.POSITIONAL_ONLY:
                if check is not None:
                    self._positional_checks.append((len(self._positional), one.name, check))
                self._positional.append(one.name)
            elif one.kind is one.KEYWORD_ONLY:
                self._checks[one.name] = check
                self._keywords[one.name] = one.default is one.empty
        if options:
            self._keywords.update(dict.fromkeys(OPTIONS, False))
        self._names = self._keywords.keys()
        self._required = frozenset(name for name, required in self._keywords.items() if required)

    def checked(self, args: tuple[object, ...], kwargs: dict[str, object]) -> list[object] | TypeError:
        """Check the arguments; return the positional ones in plain form and update `kwargs` in place.

        Returns an error for wrong names or counts, instead of raising it here: its traceback should be short.

        Raises:
            ConfigurationError: A value cannot be sent; the message names the parameter and the fix.
        """
        given, required = kwargs.keys(), self._required
        if len(args) != len(self._positional) or not given <= self._names or (required and not required <= given):
            return cast("TypeError", misuse(self._method, args, given, tuple(self._positional), self._keywords))
        name, value = "", None
        try:
            for name, value in kwargs.items():
                if (check := self._checks.get(name)) is not None and value is not UNSET:
                    kwargs[name] = check(name, value)
            plain = list(args)
            for at, name, check in self._positional_checks:
                value = args[at]
                plain[at] = check(name, value)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(own_error(value, error).at(name)) from error
        return plain


def _check_for(name: str, annotation: str, *, reads: bool) -> Check | None:
    """Choose the check of a parameter by its name and annotation; None if the method checks it itself."""
    kind = annotation.partition(" | ")[0]
    check: Check | None = None
    if name.endswith("_id") or name == "slug":
        check = check_id
    elif kind in {"str", "Visibility", "GroupBy", "WorkflowStatus", "TeamRole"}:
        check = text
    elif kind.startswith(("Sequence[str", "Sequence[EventType")):
        check = texts
    elif kind.startswith("Sequence[PromptVariable"):
        check = declarations
    elif kind.startswith("Mapping[str, Any"):
        check = values
    elif "Unset" in annotation:
        check = {"float": number, "int": whole_number, "bool": boolean, "datetime": moment}.get(kind)
    if check is None:
        return None
    if "None" in annotation.split(" | ") or (reads and check is not check_id):
        return _or_none(check)  # queries leave out None
    return _not_none(check)


def _or_none(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _not_none(check: Check) -> Check:
    def checked(name: str, value: object) -> object:
        if value is None:
            raise ConfigurationError(f"{name} is None: leave it out, or pass a value")
        return check(name, value)

    return checked


def text(name: str, value: object) -> str:
    """Check a text.

    Raises:
        ConfigurationError: The value is not text and has no text form.
    """
    if type(value) is str:
        return value
    plain = _plain(name, value)
    if isinstance(plain, str):
        return plain
    fix = "pass str(value)" if isinstance(plain, (int, float)) else "pass text"
    raise ConfigurationError(f"{name} must be text, not {kind_of(value)}: {fix}")


def moment(name: str, value: object) -> object:
    """Check a time, given as a datetime, a date or text."""
    plain = _plain(name, value)
    if not isinstance(plain, str):
        raise ConfigurationError(f"{name} must be a datetime, a date or text, not {kind_of(value)}")
    if isinstance(value, (date, time)) or _is_moment(plain):
        return plain
    raise ConfigurationError(f"{name} must be a date or a time in ISO 8601, such as {_MOMENT}, not {_shown(plain)}")


def _is_moment(text: str) -> bool:
    if not re.fullmatch(_ISO_MOMENT, text):
        return False
    try:
        date.fromisoformat(text[:10])
        time.fromisoformat(text[11:19] or "00:00")
    except ValueError:
        return False
    return True


def number(name: str, value: object) -> float:
    """Check a number and its bounds; `name` may be a path that ends in the parameter's name."""
    plain = float(value) if isinstance(value, Decimal) and value.is_finite() else _plain(name, value)
    key = name.rpartition(".")[2]
    least, most = RANGES.get(WIRE_NAMES.get(key, key), (None, None))
    is_number = isinstance(plain, (int, float)) and not isinstance(plain, bool)
    if not is_number or not _within(cast("float", plain), least, most):
        raise ConfigurationError(f"{name} must be {_wanted('a number', least, most)}, not {_shown(value)}")
    return cast("float", plain)


def whole_number(name: str, value: object) -> int:
    """Check an integer and its bounds."""
    plain = _plain(name, value)
    key = name.rpartition(".")[2]
    least, most = RANGES.get(WIRE_NAMES.get(key, key), (None, None))
    if not isinstance(plain, int) or isinstance(plain, bool) or not _within(plain, least, most):
        raise ConfigurationError(f"{name} must be {_wanted('a whole number', least, most)}, not {_shown(value)}")
    return plain


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _wanted(kind: str, least: float | None, most: float | None) -> str:
    if least is None:
        return kind
    if most is None or most == MAX_EXACT_INT:
        return f"{kind} of {least:g} or more"
    return f"{kind} from {least:g} to {most:g}"


def boolean(name: str, value: object) -> bool:
    """Check a boolean."""
    plain = _plain(name, value)
    if isinstance(plain, bool):
        return plain
    raise ConfigurationError(f"{name} must be True or False, not {_shown(value)}")


def items(name: str, value: object, example: str) -> list[object]:
    """Return the items of a sequence as a list.

    Raises:
        ConfigurationError: The value is a text, a mapping, or not iterable.
    """
    plain = _plain(name, value)
    if isinstance(plain, NotScalar) and isinstance(value, LISTS) and not isinstance(value, Mapping):
        with own_code(name, cast("object", value)):
            found = list(cast("Iterable[object]", value))
        return sorted(found, key=str) if isinstance(value, (set, frozenset)) else found
    raise ConfigurationError(f"{name} must be a list, not {kind_of(value)}: {name}=[{example}]")


def texts(name: str, value: object) -> list[str]:
    """Check a list of texts."""
    return [text(f"{name}[{at}]", one) for at, one in enumerate(items(name, value, '"…"'))]


def declarations(name: str, value: object) -> list[object]:
    """Check the declarations of a prompt's variables: `PromptVariable` models or dicts of their fields."""
    found = items(name, value, '{"name": "topic"}')
    for at, one in enumerate(found):
        kind = type(one)
        if not issubclass(kind, Mapping) and not hasattr(kind, "model_dump"):
            raise ConfigurationError(
                f"{name}[{at}] must be a PromptVariable or a dict of its fields, not {kind_of(one)}: "
                f'{name}=[{{"name": "topic"}}]'
            )
    return found


def values(name: str, value: object) -> dict[str, Any]:
    """Convert the values of variables to what is sent."""
    try:
        return variables(value)
    except RefusedValueError as refused:
        problem, cause = refused.at(name), refused.__cause__
    raise ConfigurationError(problem) from cause


def _plain(name: str, value: object) -> object:
    try:
        return scalar(value)
    except RefusedValueError as refused:
        problem, cause = refused.at(name), refused.__cause__
    raise ConfigurationError(problem) from cause


def _shown(value: object) -> str:
    """Format a value for a message: shortened, or only its type where it may be long or secret."""
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…")
    if isinstance(value, (int, float, Decimal)) and abs(value) < _LARGEST:
        return str(value)
    return "that large a number" if isinstance(value, int) else kind_of(value)
