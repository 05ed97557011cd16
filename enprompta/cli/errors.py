"""Errors of the command line itself."""

from __future__ import annotations

from enprompta.errors import ConfigurationError


class SetupError(ConfigurationError):
    """Credentials are missing or a setting is invalid; the command exits with 3."""
