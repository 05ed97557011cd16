"""OAuth2 clients and their access tokens (client credentials grant, RFC 6749, section 4.4)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from enprompta.emulator.access.accounts import TIERS, bearer
from enprompta.emulator.access.scopes import SCOPES
from enprompta.emulator.database import new_id
from enprompta.emulator.errors import INVALID_KEY, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from enprompta.emulator.access.accounts import Account, AccountStore
    from enprompta.emulator.database import Database

_KEEP_SECONDS = 86_400  # expired tokens are kept for a day, to answer "expired" instead of "invalid"


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Credentials of an OAuth2 client."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClients:
    """OAuth2 clients of the emulator's accounts, each with all scopes."""

    pro: OAuthClient = OAuthClient("ep_client_pro", "ep_secret_pro")
    team: OAuthClient = OAuthClient("ep_client_team", "ep_secret_team")
    enterprise: OAuthClient = OAuthClient("ep_client_enterprise", "ep_secret_enterprise")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as granted."""

    text: str
    scopes: tuple[str, ...]
    lifetime: int
    """Seconds until the token expires."""


class OAuthError(Exception):
    """A refused token request, with an error code of RFC 6749, section 5.2."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class OAuthClientStore:
    """Stores OAuth2 clients, grants access tokens and authenticates them, with errors as in RFC 6749 or the API's.

    Raises:
        ConfigurationError: The lifetime is less than a second.
    """

    def __init__(self, database: Database, accounts: AccountStore, *, lifetime: int, rfc_errors: bool) -> None:
        if lifetime < 1:
            raise ConfigurationError(f"token_lifetime must be at least 1 second, not {lifetime}")
        self.rfc_errors = rfc_errors
        self.requests = 0
        """Number of token requests, including refused ones."""
        self._database = database
        self._accounts = accounts
        self.lifetime = lifetime
        """Seconds until a token expires."""
        self.load()

    def load(self) -> None:
        """Create the built-in clients that are missing."""
        defaults = OAuthClients()
        for tier in ("pro", "team", "enterprise"):
            self._store(getattr(defaults, tier), tier, SCOPES)

    def all(self) -> list[sqlite3.Row]:
        """List the clients: `id`, `account_id` and `scopes`, a JSON list."""
        return self._database.all("SELECT id, account_id, scopes FROM oauth_clients ORDER BY id")

    def set_scopes(self, client_id: str, scopes: Iterable[str]) -> None:
        """Change the scopes that a client may request; tokens that it has keep theirs.

        Raises:
            ConfigurationError: A scope does not exist.
            LookupError: The client does not exist.
        """
        wanted = json.dumps(_known_scopes(scopes))
        if not self._database.run("UPDATE oauth_clients SET scopes = ? WHERE id = ?", wanted, client_id):
            raise LookupError(f"OAuth2 client {client_id!r} not found")

    def remove(self, client_id: str) -> None:
        """Delete a client; tokens that it has stay valid until they expire. Raise a `LookupError` if it is unknown."""
        if not self._database.run("DELETE FROM oauth_clients WHERE id = ?", client_id):
            raise LookupError(f"OAuth2 client {client_id!r} not found")

    def add(self, tier: str, scopes: Iterable[str]) -> OAuthClient:
        """Create a client of a tier's account that may request the given scopes."""
        if tier not in TIERS:
            raise ConfigurationError(f"Unknown tier {tier}; use one of {', '.join(TIERS)}")
        wanted = _known_scopes(scopes)
        client = OAuthClient(new_id("ep_client"), secrets.token_urlsafe(24))
        self._store(client, tier, wanted)
        return client

    def grant(self, client_id: str, client_secret: str, scope: str | None, now: float) -> Token:
        """Grant an access token to a client; without a scope, for all the client may have.

        Raises:
            OAuthError: The credentials are wrong, or the client may not have a scope.
        """
        row = self._database.one("SELECT * FROM oauth_clients WHERE id = ?", client_id)
        if row is None or not secrets.compare_digest(row["secret"].encode(), client_secret.encode()):
            raise OAuthError("invalid_client", "Unknown client or wrong secret")
        allowed: list[str] = json.loads(row["scopes"])
        wanted = (scope or "").split()
        if refused := [name for name in wanted if name not in allowed]:
            raise OAuthError("invalid_scope", f"The client may not have the scope {', '.join(refused)}")
        scopes = tuple(name for name in allowed if name in wanted or not wanted)
        token = Token(f"ep_at_{secrets.token_urlsafe(32)}", scopes, self.lifetime)
        with self._database.transaction():
            self._database.run("DELETE FROM oauth_tokens WHERE ends_at < ?", now - _KEEP_SECONDS)
            values = {"token": token.text, "account_id": row["account_id"], "scopes": list(scopes)}
            self._database.insert("oauth_tokens", {**values, "ends_at": now + self.lifetime})
        return token

    def find(self, authorization: str | None, now: float) -> Account | None:
        """Return the account and scopes of the token in an `Authorization` header; None if it is not a valid token."""
        sql = "SELECT account_id, scopes FROM oauth_tokens WHERE token = ? AND ends_at > ?"
        row = self._database.one(sql, bearer(authorization), now)
        if row is None:
            return None
        return replace(self._accounts.by_id(row["account_id"]), scopes=frozenset(json.loads(row["scopes"])))

    def refuse_expired(self, authorization: str | None) -> None:
        """Raise a 401 if the header has an expired token (RFC 6750, section 3.1)."""
        sql = "SELECT count(*) FROM oauth_tokens WHERE token = ?"
        if self._database.scalar(sql, bearer(authorization)):
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="It has expired"'}
            raise ApiError(INVALID_KEY, "The access token has expired", headers=challenge)

    def expire(self, now: float) -> None:
        """Expire all tokens now."""
        self._database.run("UPDATE oauth_tokens SET ends_at = ? WHERE ends_at > ?", now, now)

    def _store(self, client: OAuthClient, tier: str, scopes: Iterable[str]) -> None:
        row = {"id": client.client_id, "secret": client.client_secret, "account_id": f"acc_{tier}"}
        self._database.insert("oauth_clients", {**row, "scopes": list(scopes)}, "ON CONFLICT DO NOTHING")


def _known_scopes(scopes: Iterable[str]) -> list[str]:
    """Return the given scopes in their usual order."""
    wanted = set(scopes)
    if unknown := wanted - set(SCOPES):
        raise ConfigurationError(f"Unknown scope {', '.join(sorted(unknown))}; use one of {', '.join(SCOPES)}")
    return [name for name in SCOPES if name in wanted]
