"""Validators that read a value which does not fit its optional field as if the field were absent.

`decode` uses them after the normal validator has failed, so that one malformed value does not cost a page of results or
a paid execution. They are derived from the schemas of the models, so each field is still declared once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic_core import SchemaValidator, core_schema

from enprompta._common.narrowing import is_mapping
from enprompta._core.large_json import NO_SCHEMAS
from enprompta.models.base import Model

if TYPE_CHECKING:
    from collections.abc import Callable


def lenient_validator(schema: Any) -> SchemaValidator:  # noqa: ANN401 (a schema of any type)
    """Return a validator in which a misfit in an optional field of a `Model` becomes the field's default.

    Args:
        schema: The schema of the normal validator.
    """
    return SchemaValidator(_lenient(schema))


def _lenient(node: Any) -> Any:  # noqa: ANN401 (a schema, or a part of one)
    """Copy a schema; fields with a default use it for misfits too, and integers are read from JavaScript's `1e21`."""
    if isinstance(node, (list, tuple)):
        parts = cast("list[Any] | tuple[Any, ...]", node)
        return type(parts)(_lenient(one) for one in parts)
    if not is_mapping(node):  # a class that is not built yet has no `dict`
        return node
    schema = node
    kind = schema.get("type")
    if kind in {"model", "dataclass"} and not issubclass(schema["cls"], Model):
        return schema  # the caller's own class
    made = {key: part if key in NO_SCHEMAS else _part(key, part) for key, part in schema.items()}
    if kind == "default":
        made["on_error"] = "default"
    if kind == "int":
        return core_schema.no_info_before_validator_function(_whole, cast("core_schema.CoreSchema", made))
    return _model(made) if kind == "model" else made


def _part(key: str, part: Any) -> object:  # noqa: ANN401 (a part of a schema)
    return {name: _lenient(one) for name, one in part.items()} if key == "fields" else _lenient(part)


def _whole(value: object) -> object:
    """Convert a large float to the integer that it stands for."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Parts:
    """The attributes of a model while it is validated."""

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")


def _model(schema: dict[str, Any]) -> core_schema.CoreSchema:
    """Validate into `_Parts` and make the model of them: for a model's own class, pydantic uses its own validator."""
    kind, ref = schema["cls"], schema.pop("ref", None)
    schema.pop("post_init", None)
    fields = schema["schema"]
    while fields["type"] != "model-fields":  # inside validators of the whole model
        fields = fields["schema"]
    for name in kind._ESSENTIAL_FIELDS:  # noqa: SLF001 (of this package's base class)
        fields["fields"][name]["schema"].pop("on_error")
    schema["cls"] = _Parts
    return core_schema.no_info_after_validator_function(_maker(kind), cast("core_schema.CoreSchema", schema), ref=ref)


def _maker(kind: type[Model]) -> Callable[[object], Model]:
    def make(parts: Any) -> Model:  # noqa: ANN401 (`_Parts`, which has pydantic's attributes)
        model, put = kind.__new__(kind), object.__setattr__
        put(model, "__dict__", parts.__dict__)
        put(model, "__pydantic_extra__", parts.__pydantic_extra__)
        put(model, "__pydantic_fields_set__", parts.__pydantic_fields_set__)
        put(model, "__pydantic_private__", None)
        model.model_post_init(None)  # sets the private attributes
        return model

    return make
