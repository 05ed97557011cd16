"""Turn Python values into query text and JSON bytes, by the table in `enprompta._common.values`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast
from urllib.parse import urlencode

from enprompta._common.values import (
    LISTS,
    NOT_SCALAR,
    NotScalar,
    RefusedValueError,
    digits,
    is_secret,
    scalar,
    unwrapped,
)
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError

MAX_DEPTH = 200  # levels of nesting in a body
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_SURROGATE = "holds a lone surrogate (half of a character), which is not valid text: replace it"


def encode_query(params: Mapping[str, object]) -> str:
    """Write a query string; None and `UNSET` are left out, a list becomes its items joined by commas.

    Raises:
        ConfigurationError: A value has no form in a query; the text names the parameter.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        if value is None or value is UNSET:
            continue
        try:
            text = value if type(value) is str else _query_text(value)
        except RefusedValueError as refused:
            raise ConfigurationError(f"{refused.at(name)}") from None
        pairs.append((name, text))
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        wrong = next(name for name, text in pairs if not _is_valid(name) or not _is_valid(text))
        raise ConfigurationError(f"{wrong!a} {_SURROGATE}") from None


def _query_text(value: object) -> str:
    plain = scalar(value)
    if isinstance(plain, NotScalar):
        return ",".join(map(_query_word, _items(unwrapped(value))))
    return _query_word(plain)


def _query_word(value: object) -> str:
    plain = scalar(value)
    if isinstance(plain, NotScalar):
        raise RefusedValueError(f"has an item of type {type(value).__name__}, which has no form in a query: pass text")
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if plain is None:
        raise RefusedValueError("is None: leave it out")
    return digits(plain) if isinstance(plain, int) else str(plain)


def encode_json(value: object) -> bytes:
    """Write a JSON body in UTF-8; models are written in wire names, dates as ISO 8601 in UTC.

    Raises:
        ConfigurationError: Something in it has no JSON form; the text names where.
    """
    try:
        plain = _json(value, MAX_DEPTH)
    except RefusedValueError as refused:
        raise ConfigurationError(refused.at()) from None
    except RecursionError:
        raise ConfigurationError("the request body is nested too deeply to be written") from None
    try:
        return _encode(plain).encode()
    except (UnicodeEncodeError, ValueError) as error:
        problem = _blame(plain)
        raise ConfigurationError(problem.at() if problem else f"the request cannot be written: {error}") from None


def _json(value: Any, depth: int) -> Any:  # noqa: ANN401 (any value)
    """Turn a value into what the JSON encoder writes as it is."""
    kind = cast("type[Any]", type(value))
    if kind is dict:
        return _object(value, depth)
    if kind is list:
        return _array(value, depth)
    plain = scalar(value)
    if plain is not NOT_SCALAR:
        return plain
    value = unwrapped(value)
    if isinstance(value, Mapping):
        return _object(cast("Mapping[Any, Any]", value), depth)
    if _is_model(value):
        return _json(_dumped(value), depth)
    return _array(_items(value), depth)


def _object(entries: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in entries.items():
        if type(name) is not str:
            if not issubclass(type(name), str):
                raise RefusedValueError(f"has a key that is not text: {name!r:.80}")
            name = str.__str__(name)  # noqa: PLW2901 (the plain form of the same name)
        if type(value) is str:
            written[name] = value
        elif value is not UNSET:
            try:
                written[name] = _json(value, _less(depth))
            except RefusedValueError as refused:
                refused.path.insert(0, name)
                raise
    return written


def _array(items: list[Any], depth: int) -> list[Any]:
    written: list[Any] = []
    for value in items:
        try:
            written.append(_json(value, _less(depth)))
        except RefusedValueError as refused:
            refused.path.insert(0, len(written))
            raise
    return written


def _less(depth: int) -> int:
    if not depth:
        raise RefusedValueError(f"is nested more than {MAX_DEPTH} levels deep, or contains itself")
    return depth - 1


def _items(value: Any) -> list[Any]:  # noqa: ANN401
    """List the items of what becomes an array; those of a set in order, for its own changes with every process.

    Raises:
        RefusedValueError: It is a mapping, an object or anything else that is no list.
    """
    kind = cast("Any", type(value))
    if isinstance(value, LISTS) and not isinstance(value, Mapping) and not hasattr(kind, "shape"):
        items: list[Any] = list(cast("Any", value))
        return sorted(items, key=str) if isinstance(value, AbstractSet) else items
    name = kind.__name__
    if value is UNSET:
        raise RefusedValueError("is UNSET, which only an entry of a mapping can be")
    if hasattr(kind, "tolist") and getattr(cast("Any", value), "shape", None) != ():
        raise RefusedValueError(f"is an array ({name}): pass value.tolist()")
    raise RefusedValueError(f"is of type {name}, which has no form here: pass text, a number, a list or a dict")


def _is_model(value: object) -> bool:
    """True for a pydantic model; where pydantic is not loaded, there can be none."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _dumped(model: Any) -> Any:  # noqa: ANN401
    """Write a model in its own JSON form: the fields that were set, for defaults are the service's to choose.

    Raises:
        RefusedValueError: A secret would be sent as asterisks, a NaN as null, or a field has no JSON form.
    """
    try:
        written = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        held = model.model_dump(mode="python", by_alias=True, exclude_unset=True, warnings=False)
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's own errors are ValueErrors
        reason = str(error).partition("\n")[0]
        raise RefusedValueError(f"is a {type(model).__name__} that cannot be written: {reason}") from None
    _refuse_losses(held, written)
    return written


def _refuse_losses(held: Any, written: Any) -> None:  # noqa: ANN401
    """Compare what a model holds with what it writes: no secret as asterisks, no NaN as null."""
    if is_secret(held):
        # A serializer of the model's author may reveal it; then that is what is sent.
        if held.get_secret_value() != written or not written:
            scalar(held)  # raises
        return
    if isinstance(held, float) and written is None:
        scalar(held)  # raises for NaN and infinity, which pydantic writes as null
    if isinstance(held, Mapping):
        entries = cast("Mapping[Any, Any]", held)
        steps: Any = [(name, one, _get(written, name)) for name, one in entries.items()]
    elif isinstance(held, LISTS) and not isinstance(held, (str, bytes)):
        ones = list(cast("list[Any]", held))
        steps = [(at, one, _get(written, at)) for at, one in enumerate(ones)]
    else:
        return
    for step, inner, form in steps:
        try:
            _refuse_losses(inner, form)
        except RefusedValueError as refused:
            refused.path.insert(0, step if isinstance(step, int) else str(step))
            raise


def _get(container: Any, key: Any) -> Any:  # noqa: ANN401
    try:
        return container[key]
    except (KeyError, IndexError, TypeError):
        return None


def _blame(value: Any) -> RefusedValueError | None:  # noqa: ANN401
    """Find what the encoder could not write: half of a character, or an integer with too many digits."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(cast("dict[str, Any]", value).items())
        if not all(_is_valid(name) for name, _ in entries):
            return RefusedValueError(f"has a key that {_SURROGATE}")
    elif isinstance(value, list):
        entries = list(enumerate(cast("list[Any]", value)))
    for step, one in entries:
        if found := _blame(one):
            found.path.insert(0, step)
            return found
    return None if entries else _blame_leaf(cast("object", value))


def _blame_leaf(value: object) -> RefusedValueError | None:
    if isinstance(value, str) and not _is_valid(value):
        return RefusedValueError(_SURROGATE)
    try:
        if isinstance(value, int):
            digits(value)
    except RefusedValueError as refused:
        return refused
    return None


def _is_valid(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def body(**fields: object) -> dict[str, object]:
    """Collect a body's fields, leaving out those not given."""
    return {name: value for name, value in fields.items() if value is not UNSET}
