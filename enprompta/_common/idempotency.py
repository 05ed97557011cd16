"""The HTTP methods whose requests carry an `Idempotency-Key`; `docs/openapi.yaml` states the same rule."""

from __future__ import annotations

KEYED_METHODS = frozenset({"POST", "PUT", "PATCH"})
