"""Encode Python values as query strings and JSON bodies, by the rules of `enprompta._common.values`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast
from urllib.parse import urlencode

from enprompta._common.narrowing import JSON, is_dict, is_list, is_mapping
from enprompta._common.values import (
    LISTS,
    NOT_SCALAR,
    NotScalar,
    RefusedValueError,
    digits,
    is_secret,
    own_error,
    scalar,
    unwrapped,
)
from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError

MAX_DEPTH = 200  # levels of nesting
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_SURROGATE = "holds a lone surrogate (half of a character), which is not valid text: replace it"


def encode_query(params: Mapping[str, object]) -> str:
    """Encode a query string; None and `UNSET` are left out, the items of a list are joined with commas.

    Raises:
        ConfigurationError: A value cannot be sent in a query; the message names the parameter.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        if value is None or value is UNSET:
            continue
        try:
            text = value if type(value) is str else _query_text(value)
        except RefusedValueError as refused:
            raise ConfigurationError(refused.at(name)) from refused.__cause__
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
    """Encode a JSON body as UTF-8; models use the API's field names, dates are ISO 8601 in UTC.

    Raises:
        ConfigurationError: A value has no JSON form; the message names its location.
    """
    try:
        plain = _json(value, MAX_DEPTH)
    except RefusedValueError as refused:
        raise ConfigurationError(refused.at()) from refused.__cause__
    except RecursionError:
        raise ConfigurationError("the request body is nested too deeply to be written") from None
    try:
        return _encode(plain).encode()
    except (UnicodeEncodeError, ValueError) as error:
        problem = _blame(plain)
        raise ConfigurationError(problem.at() if problem else f"the request cannot be written: {error}") from None


def _json(value: JSON, depth: int) -> JSON:
    """Convert a value to what the JSON encoder accepts."""
    kind = cast("type[Any]", type(value))
    if kind is dict:
        return _object(value, depth)
    if kind is list:
        return _array(value, depth)
    try:
        return _other(value, depth)
    except (RefusedValueError, RecursionError):
        raise
    except Exception as error:
        raise own_error(cast("object", value), error) from error


def _other(value: JSON, depth: int) -> JSON:
    """Convert a value that is no plain dict or list."""
    plain = scalar(value)
    if plain is not NOT_SCALAR:
        return plain
    value = unwrapped(value)
    if is_mapping(value):
        return _object(value, depth)
    if _is_model(value):
        return _json(_dumped(value), depth)
    return _array(_items(value), depth)


def _object(entries: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in entries.items():
        if type(name) is not str:
            if not issubclass(type(name), str):
                raise RefusedValueError(f"has a key that is not text: {name!r:.80}")
            name = str.__str__(name)  # noqa: PLW2901 (a plain `str` with the same text)
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


def _items(value: object) -> list[object]:
    """Return the items of a JSON array; the items of a set are sorted, because their order varies between processes.

    Raises:
        RefusedValueError: The value is not a list or another sequence.
    """
    kind = type(value)
    if isinstance(value, LISTS) and not isinstance(value, Mapping) and not hasattr(kind, "shape"):
        try:
            items: list[Any] = list(cast("Any", value))
        except Exception as error:
            raise own_error(cast("object", value), error) from error
        return sorted(items, key=str) if isinstance(value, AbstractSet) else items
    name = kind.__name__
    if value is UNSET:
        raise RefusedValueError("is UNSET, which only an entry of a mapping can be")
    if hasattr(kind, "tolist") and getattr(cast("Any", value), "shape", None) != ():
        raise RefusedValueError(f"is an array ({name}): pass value.tolist()")
    raise RefusedValueError(f"is of type {name}, which has no form here: pass text, a number, a list or a dict")


def _is_model(value: object) -> bool:
    """True for a pydantic model; always False while pydantic is not loaded."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _dumped(model: Any) -> JSON:  # noqa: ANN401 (a model of pydantic, which may not be loaded)
    """Return a model in its JSON form: only fields that were set, because the service chooses the defaults.

    Raises:
        RefusedValueError: A secret would become asterisks, a NaN would become null, or a field has no JSON form.
    """
    held: Any = None
    try:
        held = model.model_dump(mode="python", by_alias=True, exclude_unset=True, warnings=False)
        written = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's errors are ValueErrors
        reason = str(error).partition("\n")[0]
        _refuse_losses(held, None)  # names the place of a secret, which older versions of pydantic cannot write
        if reason.startswith("Error calling function"):
            raise own_error(model, error) from error
        raise RefusedValueError(f"is a {type(model).__name__} that cannot be written: {reason}") from None
    _refuse_losses(held, written)
    return written


def _refuse_losses(held: JSON, written: JSON) -> None:
    """Reject a model whose JSON form loses a value: a secret as asterisks, or a NaN as null."""
    if is_secret(held):
        # A custom serializer may reveal the secret; then its text is sent.
        if held.get_secret_value() != written or not written:
            scalar(held)  # raises
        return
    if isinstance(held, float) and written is None:
        scalar(held)  # raises for NaN and infinity
    if is_mapping(held):
        steps: object = [(name, one, _get(written, name)) for name, one in held.items()]
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


def _get(container: JSON, key: object) -> JSON:
    try:
        return container[key]
    except (KeyError, IndexError, TypeError):
        return None


def _blame(value: JSON) -> RefusedValueError | None:
    """Find the value that the encoder rejected: a lone surrogate, or an integer with too many digits."""
    entries: list[tuple[Any, Any]] = []
    if is_dict(value):
        entries = list(value.items())
        if not all(_is_valid(name) for name, _ in entries):
            return RefusedValueError(f"has a key that {_SURROGATE}")
    elif is_list(value):
        entries = list(enumerate(value))
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
