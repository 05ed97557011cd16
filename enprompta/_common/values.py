"""Convert Python values to their wire form; docs/calls.md has the table ("What values become").

`scalar` converts any single value, `variable` the value of a prompt variable, and `text` returns a variable's text in a
rendered prompt. Requests, bulk rows and `render` share them, so a value means the same everywhere. Types outside
the table are rejected before anything is sent, with a fix. No library is imported to recognize its types.
"""

from __future__ import annotations

import math
from collections import UserString, deque
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias, cast
from uuid import UUID

from enprompta._common.handler_errors import is_from_handler

Scalar: TypeAlias = "str | int | float | bool | None"

MAX_EXACT_INT = 2**53 - 1  # larger integers lose digits in JSON readers that use doubles (RFC 8259, section 6)
LISTS = (list, tuple, deque, range, AbstractSet, Iterator, ValuesView, Sequence)
"""Types that become a JSON array. Call `scalar` first: it rejects bytes and files, which are iterable too."""


class RefusedValueError(ValueError):
    """A value that has no wire form, for a reason that follows the name of its location in the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str | int] = []
        """Location of the value, outermost step first; each container prepends its step."""

    def at(self, place: str = "") -> str:
        """Return the message with the location of the value, whose path starts at `place`, such as `variables`."""
        for step in self.path[:_MAX_STEPS]:
            if isinstance(step, int):
                place += f"[{step}]"
            else:
                place += f".{step}" if step.isidentifier() else f"[{step!r}]"
        place += "…" if len(self.path) > _MAX_STEPS else ""
        return f"{place.lstrip('.') or 'the value'} {self.reason}"


_MAX_STEPS = 8  # steps of a path that a message shows


class NotScalar:
    """Type of `NOT_SCALAR`, which `scalar` returns for containers and objects."""


NOT_SCALAR = NotScalar()


def encodable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by the escapes that they come from."""
    return text.encode(errors="backslashreplace").decode()


def scalar(value: object) -> Scalar | NotScalar:
    """Convert a value to plain text, a plain number, a boolean or None; return `NOT_SCALAR` for everything else.

    Raises:
        RefusedValueError: The value is binary, a file, a secret or a missing value, or its text form is ambiguous.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return cast("Scalar", value)
    if kind is float:
        return _finite(cast("float", value))
    try:
        return _scalar(unwrapped(value))
    except RefusedValueError:
        raise
    except Exception as error:
        raise own_error(value, error) from error


def own_error(value: object, error: Exception) -> RefusedValueError:
    """Return the refusal of an object whose own code raised an exception; it shows no text of that exception.

    Raises:
        Exception: The exception itself, if a signal handler raised it while that code ran.
    """
    if is_from_handler(error):
        raise error
    return RefusedValueError(
        f"is a {type(value).__name__} whose own code raised {type(error).__name__}: pass plain data"
    )


def unwrapped(value: object) -> object:
    """Return the value of a plain enum member; return other values unchanged."""
    while isinstance(value, Enum) and not isinstance(value, (str, int, float)):
        value = value.value
    return value


# Checks `type`, because proxy objects deceive `isinstance`. Unbound methods ignore overrides in subclasses.
def _scalar(value: Any) -> Scalar | NotScalar:  # noqa: ANN401, PLR0911 (any value; one return for each type)
    kind = cast("type[Any]", type(value))
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, bool) or value is None:
        return cast("bool | None", value)
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, float):
        return _finite(float.__float__(value))
    if issubclass(kind, (Decimal, date, time, UUID, UserString)):
        return _as_text(value, kind)
    if issubclass(kind, dict):
        return NOT_SCALAR
    _refuse_by_kind(value, kind)
    return _array_scalar(value) if hasattr(kind, "item") and hasattr(kind, "shape") else NOT_SCALAR


def _as_text(value: Any, kind: type) -> str:  # noqa: ANN401 (any object)
    if issubclass(kind, Decimal):
        if not value.is_finite():
            raise RefusedValueError(f"is {Decimal.__str__(value)}, which is no number: leave it out")
        return Decimal.__str__(value)
    if issubclass(kind, datetime):
        return _moment(value)
    if issubclass(kind, UUID):
        return UUID.__str__(value)
    return str(value.data) if issubclass(kind, UserString) else cast("str", value.isoformat())


def _finite(number: float) -> float:
    if math.isfinite(number):
        return number
    if number != number:  # noqa: PLR0124 (only NaN differs from itself)
        raise RefusedValueError("is NaN, a missing value: leave it out")
    raise RefusedValueError(f"is {number}, which JSON cannot hold: leave it out, or pass text")


def _moment(value: datetime) -> str:
    if value != value:  # noqa: PLR0124 (pandas' NaT is a datetime that differs from itself)
        raise RefusedValueError("is NaT, a missing value: leave it out")
    try:
        # Times are sent in UTC (reference: ISO 8601 in UTC). A naive time counts as UTC, as in the whole package.
        aware = value.replace(tzinfo=timezone.utc) if value.utcoffset() is None else value.astimezone(timezone.utc)
    except (OverflowError, ValueError):
        raise RefusedValueError("is a time whose UTC form lies outside the years 1 to 9999: pass text") from None
    return aware.isoformat().replace("+00:00", "Z")


def is_secret(value: object) -> bool:
    """True for pydantic secrets and similar types with `get_secret_value()`."""
    return callable(getattr(type(value), "get_secret_value", None))


def _refuse_by_kind(value: object, kind: Any) -> None:  # noqa: ANN401 (a class)
    name = kind.__name__
    if is_secret(value):
        raise RefusedValueError(
            f"is a {name}, which would be sent as asterisks: pass value.get_secret_value() if it may leave your program"
        )
    if issubclass(kind, timedelta):
        raise RefusedValueError(f"is a {name}: pass value.total_seconds(), or text")
    if hasattr(kind, "__fspath__"):
        raise RefusedValueError(
            f"is a path ({name}): pass value.read_text() for the file's text, str(value) for its name"
        )
    if callable(getattr(kind, "read", None)):
        raise RefusedValueError(f"is an open file ({name}): pass the text that value.read() returns")
    if name in {"NAType", "NaTType"}:
        raise RefusedValueError(f"is {name.removesuffix('Type')}, a missing value: leave it out")
    if issubclass(kind, (bytes, bytearray, memoryview)) or (not hasattr(kind, "shape") and _is_buffer(value)):
        raise RefusedValueError(f"is binary ({name}): decode it first, such as bytes(value).decode()")


def _is_buffer(value: Any) -> bool:  # noqa: ANN401
    try:
        memoryview(value).release()
    except (TypeError, ValueError, BufferError):
        return False
    return True


def _array_scalar(value: Any) -> Scalar | NotScalar:  # noqa: ANN401 (numpy may not be installed)
    """Convert a numpy scalar or a 0-d array of any library; return `NOT_SCALAR` for other arrays."""
    if tuple(value.shape):
        return NOT_SCALAR
    unit = getattr(getattr(value, "dtype", None), "kind", "")
    if unit == "M":  # numpy's datetime64: in nanoseconds, `item` returns an integer
        plain = value.astype("datetime64[us]").item()
        if plain is None:
            raise RefusedValueError("is NaT, a missing value: leave it out")
        return scalar(plain) if isinstance(plain, date) else NOT_SCALAR
    if unit == "f":  # shortest digits of this precision: float32's 0.1 must not become 0.10000000149011612
        return _finite(float(str(value)))
    plain = value.item()
    return NOT_SCALAR if type(plain) is type(value) else scalar(plain)


def variable(value: object) -> str | int | float | bool:
    """Convert the value of a prompt variable to what is sent.

    Raises:
        RefusedValueError: The value has no wire form, or is a list, a mapping, an object or None.
    """
    plain = scalar(value)
    if type(plain) is int and not -MAX_EXACT_INT <= plain <= MAX_EXACT_INT:
        return digits(plain)  # as text, because JSON readers would round it
    if plain is None:
        raise RefusedValueError("must be text, a number or a boolean, not None: leave it out")
    if isinstance(plain, NotScalar):
        raise RefusedValueError(_container_cure(unwrapped(value)))
    return plain


def text(value: object) -> str:
    """Convert the value of a variable to its text in the rendered prompt.

    Raises:
        RefusedValueError: As `variable`.
    """
    plain = variable(value)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int):
        return digits(plain)
    return "0" if not plain else repr(plain).removesuffix(".0")  # "0" for -0.0 too


def digits(number: int) -> str:
    """Return the decimal digits of an integer.

    Raises:
        RefusedValueError: The integer has more digits than `sys.get_int_max_str_digits()` allows.
    """
    try:
        return str(number)
    except ValueError:
        raise RefusedValueError("is a number with too many digits: pass text") from None


def _container_cure(value: object) -> str:
    """Suggest how to convert a container or an object to text."""
    kind = type(value)
    name = kind.__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if hasattr(kind, "tolist"):
        how = "json.dumps(value.tolist())"
    elif hasattr(kind, "model_dump_json"):
        how = "value.model_dump_json()"
    elif is_dataclass(value) and not isinstance(value, type):
        how = "json.dumps(dataclasses.asdict(value))"
    elif isinstance(value, (list, tuple, dict)):
        how = "json.dumps(value)"
    elif isinstance(value, Mapping):
        how = "json.dumps(dict(value))"
    elif isinstance(value, AbstractSet):
        how = "json.dumps(sorted(value))"
    elif isinstance(value, LISTS):
        how = "json.dumps(list(value))"
    else:
        how = "its text, such as str(value)"
    return f"must be text, a number or a boolean, not {article} {name}: pass {how}"


def variables(values: object) -> dict[str, str | int | float | bool]:
    """Convert the values of a prompt's variables to what is sent.

    Raises:
        RefusedValueError: `values` is not a mapping, a name is not text, or a value is rejected (`path` names it).
    """
    sent: dict[str, str | int | float | bool] = {}
    for name, value in entries(values).items():
        if type(value) is str:
            sent[name] = value
            continue
        try:
            sent[name] = variable(value)
        except RefusedValueError as refused:
            refused.path.insert(0, name)
            raise
    return sent


def entries(values: object) -> dict[str, object]:
    """Copy the values of a prompt's variables, unchanged, to a dict with plain names.

    Raises:
        RefusedValueError: `values` is not a mapping, its own code failed, or a name is not text.
    """
    if type(values) is dict:
        plain = cast("dict[str, object]", values)
        if {*map(type, plain)} <= {str}:
            return plain.copy()
    if not isinstance(values, Mapping):
        hint = _mapping_cure(values)
        raise RefusedValueError(f"must be a mapping of names to values, not {type(values).__name__}{hint}")
    try:
        found = dict(cast("Mapping[object, object]", values).items())
    except Exception as error:
        raise own_error(cast("object", values), error) from error
    if {*map(type, found)} <= {str}:
        return cast("dict[str, object]", found)
    if strange := [name for name in found if not issubclass(type(name), str)]:
        raise RefusedValueError(f"has a name that is not text: {strange[0]!r:.80}")
    return {str.__str__(cast("str", name)): value for name, value in found.items()}


def _mapping_cure(value: object) -> str:
    if hasattr(type(value), "model_dump"):
        return ": pass value.model_dump()"
    return ": pass dataclasses.asdict(value)" if is_dataclass(value) and not isinstance(value, type) else ""
