"""What is sent: Python values to query text and JSON bytes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from enprompta._core.unset import UNSET
from enprompta.errors import ConfigurationError


def encode_query(params: Mapping[str, object]) -> str:
    """Write a query string; None and `UNSET` are left out, a list becomes its items joined by commas.

    Raises:
        ConfigurationError: A value cannot stand in a query.
    """
    given = [(name, value) for name, value in params.items() if value is not None and value is not UNSET]
    try:
        return urlencode([(name, _text(value)) for name, value in given])
    except UnicodeEncodeError:
        raise ConfigurationError("a query parameter is not valid text: it holds a lone surrogate") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"a query parameter cannot be written: {error}") from None


def _text(value: object) -> str:
    value = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_text, cast("list[object]", value)))
    return str(value)


def encode_json(value: object) -> bytes:
    """Write a JSON body in UTF-8; models are written in wire names, dates as ISO 8601 in UTC.

    Raises:
        ConfigurationError: Something in it has no JSON form; the text names where.
    """
    try:
        try:
            return _dump(value)
        except _UnsetFoundError:  # rare, so only then is the whole body gone through
            return _dump(_without_unset(value))
    except UnicodeEncodeError:
        raise ConfigurationError("the request holds a lone surrogate, which is not valid text") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"the request cannot be written as JSON: {error}") from None


def _dump(value: object) -> bytes:
    text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


class _UnsetFoundError(TypeError):
    """`UNSET` stands in a plain dict, which the JSON encoder writes without asking `_plain`."""


def _without_unset(value: Any) -> Any:  # noqa: ANN401 (anything may be handed in)
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value).items()
        return {name: _without_unset(one) for name, one in entries if one is not UNSET}
    if isinstance(value, (list, tuple)):
        return [_without_unset(one) for one in cast("list[Any]", value)]
    return value


def body(**fields: object) -> dict[str, object]:
    """Gather a body's fields, leaving out those not given."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def _is_model(value: object) -> bool:
    """Tell whether a value is a model; where pydantic is not loaded, nobody can have made one."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 (anything may be handed in; one line a kind)
    """Turn what JSON does not know into what it does."""
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, Enum)):
        return value
    if _is_model(value):
        # Only what was set: defaults are the service's to choose.
        return cast("Any", value).model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, datetime):
        # Reference: times are ISO 8601 in UTC. A naive one is taken as UTC, as everywhere in this package.
        aware = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, (date, UUID)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: one for name, one in cast("Mapping[Any, Any]", value).items() if one is not UNSET}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return list(cast("Iterable[Any]", value))
    if value is UNSET:
        raise _UnsetFoundError("UNSET can only be an entry of a mapping, which is then left out")
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")
