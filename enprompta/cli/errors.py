"""Errors of the command line itself."""

from __future__ import annotations

from enprompta.errors import ConfigurationError


class SetupError(ConfigurationError):
    """No client can be made: credentials are missing, or a setting cannot work. Ends a command with 3."""
