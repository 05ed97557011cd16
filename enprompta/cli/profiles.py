"""Profiles: named credentials that `enprompta login` keeps, in the platform's keyring or in a file of mode 0600.

The file `profiles.json` lists the profiles; it contains a secret only if the keyring does not. Only the command line
reads it: the client library takes credentials from arguments or the environment. A command takes them from `--profile`,
else the environment, else a stored profile.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import typer

from enprompta.cli.shared_options import shared
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DEFAULT_PROFILE = "default"
Storage = Literal["keyring", "file"]

_SERVICE = "enprompta"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_BYTES = 1_048_576
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not available on Windows, like O_NONBLOCK
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_VARIABLES = ("ENPROMPTA_API_KEY", "ENPROMPTA_CLIENT_ID", "ENPROMPTA_CLIENT_SECRET")


class SetupError(ConfigurationError):
    """Credentials are missing or a setting is invalid; the command exits with 3."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Credentials for one base URL."""

    name: str
    base_url: str
    storage: Storage
    client_id: str | None = None
    """The id of OAuth2 client credentials; None for an API key."""
    secret: str | None = field(default=None, repr=False)
    """The API key or client secret; None if it is stored in the keyring."""

    @property
    def keyring_name(self) -> str:
        """Name of the secret in the keyring.

        It includes the address and the folder: a profile of the same name, in an edited file or in another folder,
        must neither get the secret nor replace it.
        """
        return f"{self.name} {self.base_url} {config_file().parent.resolve()}"

    def settings(self) -> dict[str, str]:
        """Return the client arguments of this profile. Its secret is only ever sent to its own address.

        Raises:
            SetupError: The keyring does not return the secret.
        """
        secret = self.secret or _from_keyring(self)
        kind = {"api_key": secret} if self.client_id is None else {"client_id": self.client_id, "client_secret": secret}
        return {**kind, "base_url": self.base_url}


def config_file() -> Path:
    """Return where the profiles are listed: `ENPROMPTA_CONFIG_DIR`, or the platform's folder for configuration."""
    return Path(os.environ.get("ENPROMPTA_CONFIG_DIR") or typer.get_app_dir("enprompta")) / "profiles.json"


def check_name(name: str) -> str:
    """Check a profile name.

    Raises:
        SetupError: It contains characters other than letters, digits, `.`, `_` and `-`, or more than 64.
    """
    if not _NAME.fullmatch(name):
        raise SetupError(f"{name!r} is not a profile name: use up to 64 letters, digits, dots, _ and -")
    return name


def read_profiles() -> dict[str, Profile]:
    """Read all profiles, by name.

    Raises:
        SetupError: The file is damaged, is not a regular file, or other users may read it.
    """
    path = config_file()
    try:
        text = _read(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        entries = json.loads(text)["profiles"]
        return {name: _profile(name, entry) for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SetupError(f"{path} is damaged: delete it and run `enprompta login` again") from None


def find_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises:
        SetupError: It does not exist, or the file cannot be read.
    """
    profiles = read_profiles()
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise SetupError(
            f"Profile {name!r} does not exist (profiles: {known}): create it with `enprompta login --profile {name}`"
        )
    return profiles[name]


def save_profile(profile: Profile, wanted: Storage | None) -> Profile:
    """Store a profile, replacing one of the same name, and return it as stored.

    The secret goes where it is wanted: to the keyring if one works, else to the file, unless one of them is named.

    Raises:
        SetupError: The keyring was requested and does not work, or the file cannot be read or written.
    """
    profiles = read_profiles()
    kept = wanted != "file" and _into_keyring(profile.keyring_name, cast("str", profile.secret))
    if wanted == "keyring" and not kept:
        raise SetupError(
            'No keyring works here: install one with `pip install "enprompta[keyring]"`, or use --storage file'
        )
    stored = replace(profile, storage="keyring", secret=None) if kept else replace(profile, storage="file")
    _write({**profiles, profile.name: stored})
    replaced = profiles.get(profile.name)
    if replaced is not None and not (kept and replaced.keyring_name == stored.keyring_name):
        _forget(replaced)
    return stored


def delete_profile(name: str) -> None:
    """Delete a profile and its secret.

    Raises:
        SetupError: It does not exist, or the file cannot be read or written.
    """
    profile = find_profile(name)
    _forget(profile)
    _write({other: one for other, one in read_profiles().items() if other != name})


def _profile(name: str, entry: Mapping[str, Any]) -> Profile:
    profile = Profile(name=name, **entry)
    has_secret = {"keyring": False, "file": True}[profile.storage]
    texts = all(isinstance(value, str) for value in entry.values())
    if not _NAME.fullmatch(name) or not texts or (profile.secret is not None) is not has_secret:
        raise ValueError(name)
    return profile


def _read(path: Path) -> str:
    """Read the file; refuse symbolic links, pipes, and files that other users can read."""
    handle = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise SetupError(f"{path} is not a profiles file: delete it and run `enprompta login` again")
        if os.name == "posix" and status.st_mode & 0o077:
            raise SetupError(f"{path} can be read by other users: run `chmod 600 {path}`")
        return file.read().decode("utf-8", "replace")


def _write(profiles: Mapping[str, Profile]) -> None:
    """Replace the file atomically, so that a crash or a planted link can neither damage nor expose it."""
    path = config_file()
    entries = {
        name: {key: value for key, value in asdict(one).items() if key != "name" and value is not None}
        for name, one in profiles.items()
    }
    temporary = path.with_name(f".profiles-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps({"profiles": entries}, indent=2) + "\n")
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise SetupError(f"{path} cannot be written: {error.strerror or error}") from None


def _keyring() -> ModuleType:
    return import_module("keyring")


# Keyring backends raise errors of keyring, of D-Bus and of the operating system, so the functions below catch them all.


def _into_keyring(name: str, secret: str) -> bool:
    """Store a secret in the platform's keyring; False when none works."""
    with suppress(Exception):
        keyring = _keyring()
        keyring.set_password(_SERVICE, name, secret)
        return keyring.get_password(_SERVICE, name) == secret  # the null backend stores nothing
    return False


def _from_keyring(profile: Profile) -> str:
    name = profile.name
    try:
        secret: object = _keyring().get_password(_SERVICE, profile.keyring_name)
    except Exception as error:  # noqa: BLE001 (see above)
        problem = f"the keyring cannot be read ({type(error).__name__})"
    else:
        if isinstance(secret, str) and secret:
            return secret
        problem = "the keyring does not hold its secret"
    raise SetupError(f"Profile {name!r}: {problem}; run `enprompta login --profile {name}` again")


def _forget(profile: Profile) -> None:
    """Delete the secret of a profile from the keyring, if it is there."""
    if profile.storage == "keyring":
        with suppress(Exception):  # the entry or the keyring no longer exists
            _keyring().delete_password(_SERVICE, profile.keyring_name)


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
