"""`--output-schema`: read outputs as JSON that matches a JSON Schema; needs the extra `schema`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from enprompta._common.narrowing import JSON, is_dict, is_list
from enprompta.cli import options
from enprompta.errors import ConfigurationError
from enprompta.outputs import PLACE, OutputReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise typer.BadParameter(
            f"{file} is not a JSON Schema: {error.json_path}: {_short(error.message)}", param_hint="--output-schema"
        ) from None
    # An empty registry: nothing is fetched, so every reference must be resolved inside the file.
    registry = referencing.EMPTY_REGISTRY
    root = referencing.DRAFT202012.create_resource(schema)
    resolver = registry.resolver_with_root(root)
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Exception as error:  # noqa: BLE001 (the library raises several kinds, some of them its own)
            raise typer.BadParameter(
                f"{file} refers to {reference!r}, which is not in it ({type(error).__name__})",
                param_hint="--output-schema",
            ) from None
    validator = kind(schema, registry=registry)

    def check(value: JSON) -> JSON:
        problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if problem is not None:
            place = str(problem.json_path).removeprefix("$").removeprefix(".") or "its top"
            raise PydanticCustomError("json_schema", "{message}", {PLACE: place, "message": _short(problem.message)})
        return value

    return check


def _references(node: object) -> Iterator[str]:
    """Find the references of a schema."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if is_dict(one):
            if isinstance(reference := one.get("$ref"), str):
                yield reference
            waiting += one.values()
        elif is_list(one):
            waiting += one


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
