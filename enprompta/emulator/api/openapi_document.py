"""The API's OpenAPI document, as the emulator shows it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

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
    packaged = files("enprompta.emulator").joinpath("openapi.yaml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "docs" / "openapi.yaml").read_text(encoding="utf-8")
