"""`--output-schema`: read outputs as JSON that matches a JSON Schema; needs the extra `schema`."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from enprompta._common.narrowing import JSON, is_dict
from enprompta.cli import options
from enprompta.errors import ConfigurationError
from enprompta.outputs import PLACE, OutputReader

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCES = ("$ref", "$dynamicRef")
_MAX_SHOWN = 300  # characters of a problem, which may quote the output


def reader_of(file: str) -> OutputReader[Any]:
    """Return the reader of a schema in a file; `-` reads standard input.

    Raises:
        typer.BadParameter: The file is not a JSON Schema, or refers to another document.
        ConfigurationError: The package jsonschema is not installed.
    """
    schema = options.read_object(file)
    check = _validator(schema, file)
    return OutputReader(Annotated[Any, AfterValidator(check)], name=file, schema=schema)


def _validator(schema: Mapping[str, Any], file: str) -> Any:  # noqa: ANN401 (a validator of pydantic)
    try:
        jsonschema = import_module("jsonschema")
        referencing = import_module("referencing.jsonschema")
    except ImportError:
        raise ConfigurationError(
            '--output-schema needs the package jsonschema: pip install "enprompta[schema]"'
        ) from None
    # With a `$schema` that is not text, `check_schema` reports the problem.
    dialect: Mapping[str, Any] = schema if isinstance(schema.get("$schema"), str) else {}
    kind = jsonschema.validators.validator_for(dialect, default=jsonschema.Draft202012Validator)
    # An empty registry: nothing is fetched, so every reference must be resolved inside the file.
    validator = kind(schema, registry=referencing.EMPTY_REGISTRY)
    try:
        kind.check_schema(schema)
        _check_references(referencing, schema, file)
        validator.is_valid(None)  # finds a schema that never ends before anything is executed
    except jsonschema.SchemaError as error:
        raise typer.BadParameter(
            f"{file} is not a JSON Schema: {error.json_path}: {_short(error.message)}", param_hint="--output-schema"
        ) from None
    except RecursionError:
        raise typer.BadParameter(
            f"{file} is nested too deeply, or refers to itself without end", param_hint="--output-schema"
        ) from None

    def check(value: JSON) -> JSON:
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:  # NaN, Infinity and 1e400, which the parser accepts
            raise PydanticCustomError("json_number", "a number is not finite, which JSON cannot write") from None
        problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if problem is not None:
            place = str(problem.json_path).removeprefix("$").removeprefix(".") or "its top"
            raise PydanticCustomError("json_schema", "{message}", {PLACE: place, "message": _short(problem.message)})
        return value

    return check


def _check_references(referencing: Any, schema: Mapping[str, Any], file: str) -> None:  # noqa: ANN401 (untyped)
    """Refuse a schema with a reference that leads out of it; a `$ref` in data, such as an example, is not one.

    Raises:
        typer.BadParameter: A reference cannot be resolved inside the schema.
    """
    dialect = referencing.specification_with(schema.get("$schema", ""), default=referencing.DRAFT202012)
    root = dialect.create_resource(schema)
    waiting = [(root, referencing.EMPTY_REGISTRY.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        fields: dict[str, Any] = resource.contents if is_dict(resource.contents) else {}
        for reference in filter(None, map(fields.get, _REFERENCES)):
            try:
                resolver.lookup(reference)
            except Exception as error:  # noqa: BLE001 (the library raises several kinds, some of them its own)
                raise typer.BadParameter(
                    f"{file} refers to {reference!r}, which is not in it ({type(error).__name__})",
                    param_hint="--output-schema",
                ) from None
        waiting += [(inner, resolver.in_subresource(inner)) for inner in resource.subresources()]


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
