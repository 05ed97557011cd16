"""`enprompta login`, `logout` and `profiles`: stored credentials."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

import enprompta
from enprompta.cli.console import FAILED, err, line, out
from enprompta.cli.error_handling import show_error
from enprompta.cli.options import Json
from enprompta.cli.output import show_rows
from enprompta.cli.profiles import (
    DEFAULT_PROFILE,
    Profile,
    SetupError,
    Storage,
    check_name,
    config_file,
    delete_profile,
    read_profiles,
    save_profile,
)
from enprompta.cli.shared_options import shared
from enprompta.cli.words import explain, in_shell_words
from enprompta.errors import AuthenticationError, ConfigurationError, EnpromptaError, PermissionDeniedError
from enprompta.models.base import Model

if TYPE_CHECKING:
    from enprompta import Enprompta

_PANEL = "This machine"
_MAX_SECRET = 65_536


class Row(Model):
    """A profile, without its secret."""

    id: str
    base_url: str
    credentials: str
    storage: str
    is_default: bool


def login(
    *,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Base URL of the API.")] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", metavar="ID", help="Log in with OAuth2 client credentials.")
    ] = None,
    storage: Annotated[
        Storage | None, typer.Option(help="Where to store the secret; default: the keyring if one works, else a file.")
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Store the credentials without verifying them.")
    ] = False,
) -> None:
    """Store an API key, typed or piped in, in the system's keyring or in a file that only you can read."""
    name = check_name(_name())
    read_profiles()  # report a damaged file before asking for the key
    secret = _read_secret("Client secret" if client_id else "API key")
    given: dict[str, Any] = {"api_key": secret}
    if client_id is not None:
        given = {"client_id": client_id, "client_secret": secret}
    if base_url is not None:
        given["base_url"] = base_url
    try:
        with enprompta.Enprompta(**given, max_retries=0) as client:
            if not no_verify:
                _verify(client)
            profile = Profile(name, client.base_url, "file", client_id, secret)
    except ConfigurationError as error:
        message = in_shell_words(error.message)
        for variable, entered in (
            ("ENPROMPTA_API_KEY", "The API key"),
            ("ENPROMPTA_CLIENT_SECRET", "The client secret"),
            ("ENPROMPTA_CLIENT_ID", "--client-id"),
            ("ENPROMPTA_BASE_URL", "--base-url" if base_url else "ENPROMPTA_BASE_URL"),
        ):
            message = message.replace(variable, entered)
        raise SetupError(message) from None
    stored = save_profile(profile, storage)
    place = "the system's keyring" if stored.storage == "keyring" else str(config_file())
    out.print(line(f"Profile {name} for {stored.base_url} is stored in {place}."))
    if os.environ.get("ENPROMPTA_API_KEY") and name == DEFAULT_PROFILE:
        err.print(
            "ENPROMPTA_API_KEY is set and overrides the profile: unset it, or pass --profile, to use the profile."
        )


def logout() -> None:
    """Delete a profile and its credentials from this machine."""
    name = _name()
    delete_profile(name)
    out.print(line(f"Profile {name} was deleted."))


def profiles(*, as_json: Json = False) -> None:
    """List the profiles on this machine, without their keys."""
    rows = [
        Row(
            id=one.name,
            base_url=one.base_url,
            credentials="API key" if one.client_id is None else f"OAuth2 client {one.client_id}",
            storage=one.storage,
            is_default=one.name == _name(),
        )
        for one in read_profiles().values()
    ]
    columns = {"name": "id", "url": "base_url", "credentials": "credentials", "kept in": "storage"}
    show_rows(rows, {**columns, "in use": "is_default"}, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    epilog = "Exit status: 0 success, 1 the credentials were rejected or are missing, 2 wrong usage, 3 profile error."
    for command in (login, logout, profiles):
        app.command(rich_help_panel=_PANEL, epilog=epilog)(command)


def _name() -> str:
    return shared.profile or os.environ.get("ENPROMPTA_PROFILE", "").strip() or DEFAULT_PROFILE


def _read_secret(what: str) -> str:
    """Prompt for the secret without echo, or read it from standard input; other users can see command lines."""
    if sys.stdin.isatty():
        given: str = typer.prompt(what, hide_input=True, err=True)
    else:
        given = sys.stdin.buffer.read(_MAX_SECRET).decode("utf-8-sig", "replace")
    if not given.strip():
        show_error(f"No {what.lower()} was entered: type it, or pipe it in, as in `enprompta login < key.txt`")
        raise typer.Exit(FAILED)
    return given.strip()


def _verify(client: Enprompta) -> None:
    try:
        client.prompts.list(limit=1)
    except PermissionDeniedError:
        return  # the credentials are valid, but lack the scope of this call
    except AuthenticationError as error:
        show_error(f"The service rejected these credentials; nothing was stored: {explain(error)}")
        raise typer.Exit(FAILED) from None
    except EnpromptaError as error:
        show_error(
            f"Cannot verify the credentials; nothing was stored (--no-verify stores them anyway): {explain(error)}"
        )
        raise typer.Exit(FAILED) from None
