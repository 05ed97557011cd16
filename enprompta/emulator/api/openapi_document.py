"""The API's OpenAPI document, as the emulator shows it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from enprompta._common.data import read_data

if TYPE_CHECKING:
    from collections.abc import Iterable


def document_for(origin: str) -> dict[str, Any]:
    """Give the document with this emulator as its only server.

    Args:
        origin: Scheme, host and port to reach the emulator by.
    """
    return {**_document(), "servers": [{"url": origin, "description": "This emulator."}]}


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast, where it was built
    document: dict[str, Any] = yaml.load(_text(), Loader=loader)  # noqa: S506 (both safe)
    paths: dict[str, dict[str, dict[str, Any]]] = document["paths"]
    for operations in paths.values():
        for operation in operations.values():
            _leave_empty(operation.get("parameters", []))
    _leave_empty(document["components"]["parameters"].values())
    return document


def _leave_empty(parameters: Iterable[dict[str, Any]]) -> None:
    """Take away the examples of what need not be given, for the page would fill them in.

    One idempotency key for two requests is a 409, and dates of years ago list nothing.
    """
    for parameter in parameters:
        if not parameter.get("required"):
            parameter.pop("example", None)


def _text() -> str:
    """Find the document: the wheel carries it beside this module, a checkout has it in docs."""
    try:
        return read_data("enprompta.emulator", "openapi.yaml").decode()
    except OSError:
        return read_data("enprompta.emulator", "../../docs/openapi.yaml").decode()
