"""OAuth2 clients and the tokens they were given (RFC 6749, section 4.4)."""

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
    from collections.abc import Iterable

    from enprompta.emulator.access.accounts import Account, AccountStore
    from enprompta.emulator.database import Database

_KEEP_SECONDS = 86_400  # an ended token is remembered for a day, to be told from one that never was


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The credentials of one OAuth2 client."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClients:
    """The OAuth2 clients of the emulator's accounts, each with all scopes."""

    pro: OAuthClient = OAuthClient("ep_client_pro", "ep_secret_pro")
    team: OAuthClient = OAuthClient("ep_client_team", "ep_secret_team")
    enterprise: OAuthClient = OAuthClient("ep_client_enterprise", "ep_secret_enterprise")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was granted."""

    text: str
    scopes: tuple[str, ...]
    lifetime: int
    """Seconds until it ends."""


class OAuthError(Exception):
    """A token request that was refused, in the words of RFC 6749, section 5.2."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Clients:
    """Knows OAuth2 clients, gives them tokens and tells whose a token is.

    Args:
        database: Where clients and tokens are kept.
        accounts: Whom they act for.
        lifetime: Seconds until a token ends.
        rfc_errors: Whether the token endpoint answers errors as RFC 6749 has them, or in the API's own form.
    """

    def __init__(self, database: Database, accounts: AccountStore, *, lifetime: int, rfc_errors: bool) -> None:
        if lifetime < 1:
            raise ConfigurationError(f"token_lifetime must be at least 1 second, not {lifetime}")
        self.rfc_errors = rfc_errors
        self.requests = 0
        """Token requests that came, refused ones too."""
        self._database = database
        self._accounts = accounts
        self.lifetime = lifetime
        """Seconds until a token ends."""
        given = OAuthClients()
        for tier in ("pro", "team", "enterprise"):
            self._keep(getattr(given, tier), tier, SCOPES)

    def add(self, tier: str, scopes: Iterable[str]) -> OAuthClient:
        """Make a client of a tier's account that may ask for these scopes."""
        wanted = set(scopes)
        if tier not in TIERS:
            raise ConfigurationError(f"No such tier: {tier}; there are {', '.join(TIERS)}")
        if unknown := wanted - set(SCOPES):
            raise ConfigurationError(f"No such scope: {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
        client = OAuthClient(new_id("ep_client"), secrets.token_urlsafe(24))
        self._keep(client, tier, wanted)
        return client

    def grant(self, client_id: str, client_secret: str, scope: str | None, now: float) -> Token:
        """Give a client a token.

        Args:
            client_id: Which client.
            client_secret: Its secret.
            scope: The scopes it wants, separated by spaces; nothing for all it may have.
            now: When.

        Raises:
            OAuthError: The credentials are wrong, or a scope is not the client's.
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
            sql = "INSERT INTO oauth_tokens (token, account_id, scopes, ends_at) VALUES (?, ?, ?, ?)"
            self._database.run(sql, token.text, row["account_id"], json.dumps(scopes), now + self.lifetime)
        return token

    def find(self, authorization: str | None, now: float) -> Account | None:
        """Tell for whom an `Authorization` header's token acts, and what it may do; None when it is no token of now."""
        sql = "SELECT account_id, scopes FROM oauth_tokens WHERE token = ? AND ends_at > ?"
        row = self._database.one(sql, bearer(authorization), now)
        if row is None:
            return None
        return replace(self._accounts.by_id(row["account_id"]), scopes=frozenset(json.loads(row["scopes"])))

    def refuse_ended(self, authorization: str | None) -> None:
        """Raise a 401 that says so when the token was good once (RFC 6750, section 3.1)."""
        sql = "SELECT count(*) FROM oauth_tokens WHERE token = ?"
        if self._database.scalar(sql, bearer(authorization)):
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="It has expired"'}
            raise ApiError(INVALID_KEY, "The access token has expired", headers=challenge)

    def expire(self, now: float) -> None:
        """End all tokens now."""
        self._database.run("UPDATE oauth_tokens SET ends_at = ? WHERE ends_at > ?", now, now)

    def _keep(self, client: OAuthClient, tier: str, scopes: Iterable[str]) -> None:
        allowed = set(scopes)
        row = (client.client_id, client.client_secret, f"acc_{tier}", [name for name in SCOPES if name in allowed])
        sql = "INSERT OR IGNORE INTO oauth_clients (id, secret, account_id, scopes) VALUES (?, ?, ?, ?)"
        self._database.run(sql, *row[:3], json.dumps(row[3]))
