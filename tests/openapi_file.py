"""The document that describes the API, docs/openapi.yaml, which many tests compare with; each process reads it once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parent.parent / "docs" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """Return the parsed document; no test changes it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C takes a tenth of the time
    loaded: dict[str, Any] = yaml.load(PATH.read_text(encoding="utf-8"), loader)
    return loaded
