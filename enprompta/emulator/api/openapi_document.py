"""The API's OpenAPI document."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

import yaml

from enprompta._common.data import read_data


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the API, which the client and the emulator are tested with."""
    return deepcopy(_document())


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is optional, and ten times faster
    return yaml.load(_text(), Loader=loader)  # noqa: S506 (both loaders are safe)


def _text() -> str:
    """Read the document: from the package in a wheel, from `docs` in a checkout."""
    try:
        return read_data("enprompta.emulator", "openapi.yaml").decode()
    except OSError:
        return read_data("enprompta.emulator", "../../docs/openapi.yaml").decode()
