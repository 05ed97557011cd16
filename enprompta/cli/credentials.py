"""Choose a command's credentials: from `--profile`, else the environment, else a stored profile."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from enprompta.cli.profiles import DEFAULT_PROFILE, Profile, find_profile, read_profiles
from enprompta.cli.shared_options import shared

_VARIABLES = ("ENPROMPTA_API_KEY", "ENPROMPTA_CLIENT_ID", "ENPROMPTA_CLIENT_SECRET")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The credentials that a command uses."""

    profile: Profile | None = None
    """The profile; None when the environment provides the credentials, or nothing does."""
    settings: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Client arguments that the environment does not provide."""
    is_missing: bool = False


def choose() -> Chosen:
    """Find the credentials for the current command.

    Raises:
        SetupError: The profile does not exist or cannot be read.
    """
    if shared.profile is None and any(os.environ.get(name, "").strip() for name in _VARIABLES):
        return Chosen()
    name = shared.profile or os.environ.get("ENPROMPTA_PROFILE", "").strip()
    if not name and DEFAULT_PROFILE not in read_profiles():
        return Chosen(is_missing=True)
    profile = find_profile(name or DEFAULT_PROFILE)
    return Chosen(profile, profile.settings())
