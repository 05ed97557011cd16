"""OAuth2 scopes, and the scope that each operation requires."""

from __future__ import annotations

import re

from enprompta.emulator.errors import FORBIDDEN, ApiError

SCOPES = (
    "prompts:read",
    "prompts:write",
    "executions:read",
    "executions:write",
    "teams:read",
    "teams:write",
    "webhooks:manage",
    "analytics:read",
    "traces:read",
    "traces:write",
)

# Method, path and scope; the first match applies. `*` matches one segment; a path includes everything below it.
_RULES = tuple(
    (method, re.compile(re.escape(path).replace(r"\*", "[^/]+") + "(/.*)?"), scope)
    for method, path, scope in (
        ("POST", "/api/v1/prompts/*/execute", "executions:write"),
        ("GET", "/api/v1/prompts", "prompts:read"),
        ("*", "/api/v1/prompts", "prompts:write"),
        ("GET", "/api/sdk/prompts", "prompts:read"),
        ("GET", "/api/v1/executions", "executions:read"),
        ("GET", "/api/v1/templates", "prompts:read"),
        ("POST", "/api/v1/templates/*/fork", "prompts:write"),
        ("GET", "/api/v1/workflows/*/executions", "executions:read"),
        ("POST", "/api/v1/workflows/*/execute", "executions:write"),
        ("POST", "/api/v1/workflows/*/executions", "executions:write"),
        ("GET", "/api/v1/workflows", "prompts:read"),
        ("*", "/api/v1/workflows", "prompts:write"),
        ("GET", "/api/v1/teams", "teams:read"),
        ("*", "/api/v1/teams", "teams:write"),
        ("*", "/api/v1/webhooks", "webhooks:manage"),
        ("POST", "/api/ingest/otlp/v1/traces", "traces:write"),
        ("GET", "/api/v1/traces", "traces:read"),
        ("*", "/api/v1/traces", "traces:write"),
        ("GET", "/api/v1/usage", "analytics:read"),
        ("GET", "/api/v1/billing", "analytics:read"),
    )
)


def scope_of(method: str, path: str) -> str | None:
    """Return the scope that an operation requires; None if it requires none, or does not exist."""
    for rule_method, pattern, scope in _RULES:
        if rule_method in {method, "*"} and pattern.fullmatch(path):
            return scope
    return None


def require(granted: frozenset[str] | None, method: str, path: str) -> None:
    """Raise a 403 if a token lacks the required scope (RFC 6750, section 3.1); None means all scopes are granted."""
    scope = scope_of(method, path)
    if granted is None or scope is None or scope in granted:
        return
    challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
    raise ApiError(FORBIDDEN, f"The access token lacks the scope {scope}", headers=challenge)
