"""The API's OpenAPI document, as the Workbench shows it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from enprompta._common.data import read_data

if TYPE_CHECKING:
    from collections.abc import Iterable


def document_for(origin: str) -> dict[str, Any]:
    """Return the document with this emulator as the only server.

    Args:
        origin: Scheme, host and port of the emulator.
    """
    return {**_document(), "servers": [{"url": origin, "description": "This emulator."}]}


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is optional, and ten times faster
    document: dict[str, Any] = yaml.load(_text(), Loader=loader)  # noqa: S506 (both loaders are safe)
    paths: dict[str, dict[str, dict[str, Any]]] = document["paths"]
    for operations in paths.values():
        for operation in operations.values():
            _drop_examples(operation.get("parameters", []))
    _drop_examples(document["components"]["parameters"].values())
    return document


def _drop_examples(parameters: Iterable[dict[str, Any]]) -> None:
    """Remove the examples of optional parameters, because Swagger UI would send them.

    A reused idempotency key is a 409, and dates in the past list nothing.
    """
    for parameter in parameters:
        if not parameter.get("required"):
            parameter.pop("example", None)


def _text() -> str:
    """Read the document: from the package in a wheel, from `docs` in a checkout."""
    try:
        return read_data("enprompta.emulator", "openapi.yaml").decode()
    except OSError:
        return read_data("enprompta.emulator", "../../docs/openapi.yaml").decode()
