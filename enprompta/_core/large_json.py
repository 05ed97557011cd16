"""Validators of large JSON, which stop at the first missing field.

pydantic reports every missing field of an object, and copies the object into each report: a wrong body of megabytes
would take many times its size. `decode` reads a body that these validators reject from its parsed form.
"""

from __future__ import annotations

from typing import Any, NoReturn, cast

from pydantic_core import SchemaValidator

from enprompta._common.narrowing import is_mapping

NO_SCHEMAS = frozenset({"cls", "config", "default", "metadata", "ref", "serialization"})
"""Keys of a schema that hold no validators."""

_FIELDS = frozenset({"model-field", "typed-dict-field", "dataclass-field"})
# By default, newer versions of pydantic use a model's own validator instead of the given schema.
_OPTIONS: dict[str, Any] = (
    {"_use_prebuilt": False} if "_use_prebuilt" in (SchemaValidator.__text_signature__ or "") else {}
)


class MisfitError(Exception):
    """The JSON does not fit the schema."""


def large_json_validator(schema: Any) -> SchemaValidator:  # noqa: ANN401 (a schema of any type)
    """Return a validator that raises `MisfitError` at the first missing field, and for every other misfit.

    Args:
        schema: The schema of the normal validator.
    """
    return SchemaValidator(cast("Any", {**_or_stop(_stopping(schema)), "on_error": "default"}), **_OPTIONS)


def _stop() -> NoReturn:
    raise MisfitError


def _or_stop(schema: object) -> dict[str, object]:
    """Return a schema whose default raises, which ends the whole validation."""
    return {"type": "default", "schema": schema, "default_factory": _stop}


def _stopping(node: Any) -> Any:  # noqa: ANN401 (a schema, or a part of one)
    """Copy a schema; its required fields stop the validation if they are missing."""
    if isinstance(node, (list, tuple)):
        parts = cast("list[Any] | tuple[Any, ...]", node)
        return type(parts)(_stopping(one) for one in parts)
    if not is_mapping(node):
        return node
    made = {key: part if key in NO_SCHEMAS else _part(key, part) for key, part in node.items()}
    if node.get("type") in _FIELDS and _is_required(node):
        made["schema"] = _or_stop(made["schema"])
        if "required" in made:
            made["required"] = False
    return made


def _part(key: str, part: Any) -> object:  # noqa: ANN401 (a part of a schema)
    if key == "fields" and is_mapping(part):
        return {name: _stopping(one) for name, one in part.items()}
    return _stopping(part)


def _is_required(field: Any) -> bool:  # noqa: ANN401 (the schema of a field)
    if field["type"] == "typed-dict-field":
        return bool(field["required"])
    schema = field.get("schema")
    while schema:
        if schema["type"] == "default":
            return False
        schema = schema.get("schema")
    return True
