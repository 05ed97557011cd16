"""Type guards with the types that values read from JSON have; `isinstance` alone leaves the types of items unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import TypeIs

JSON: TypeAlias = Any
"""A value read from JSON, or of the same types: a recursive type would need a check at each step into it."""


def is_dict(value: object) -> TypeIs[dict[str, object]]:
    """True for a dict."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeIs[list[object]]:
    """True for a list."""
    return isinstance(value, list)


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """True for a mapping."""
    return isinstance(value, (dict, Mapping))  # dict first: the check of an abstract class takes six times as long


def is_iterable(value: object) -> TypeIs[Iterable[object]]:
    """True for whatever can be iterated."""
    return isinstance(value, Iterable)
