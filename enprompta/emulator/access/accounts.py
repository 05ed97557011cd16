"""Accounts: one for each tier, with its API key, rate limits and credits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import INSUFFICIENT_TOKENS, INVALID_KEY, MISSING_KEY, NO_API_ACCESS, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.database import Database


@dataclass(frozen=True, slots=True)
class Tier:
    """Limits of a subscription."""

    name: str
    per_minute: int
    per_day: int
    credits: int | None
    """Executions a month; None for no limit."""
    api_access: bool = True


TIERS = {
    # The reference has no request limits for the free tier, which has no API access; its 403s count nevertheless.
    "free": Tier("free", 60, 10_000, 15, api_access=False),
    "pro": Tier("pro", 60, 10_000, 200),
    "team": Tier("team", 300, 100_000, None),
    "enterprise": Tier("enterprise", 1_000, 1_000_000, None),
}
ANONYMOUS = Tier("anonymous", 1_000, 1_000_000, 0, api_access=False)


@dataclass(frozen=True, slots=True)
class Account:
    """The sender of a request: a user, the user's subscription, and the scopes of the credential."""

    id: str
    tier: Tier
    user_id: str = ""
    email: str = ""
    name: str = ""
    scopes: frozenset[str] | None = None
    """Scopes of an OAuth2 token; None for an API key, which has all of them."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The API keys of the emulator's accounts."""

    free: str = "ep_test_free"
    """Gets a 403, because the free tier has no API access."""
    pro: str = "ep_test_pro"
    team: str = "ep_test_team"
    enterprise: str = "ep_test_enterprise"


class AccountStore:
    """Finds the account of a credential, and counts credits.

    Args:
        database: Where accounts and credits are stored.
        limits: Requests per minute and per day by tier; overrides the reference's.
        credits: Executions per month by tier, None for no limit; overrides the reference's.

    Raises:
        ConfigurationError: A tier does not exist, or a limit is less than 1.
    """

    def __init__(
        self,
        database: Database,
        *,
        limits: Mapping[str, tuple[int, int]] | None = None,
        credits: Mapping[str, int | None] | None = None,
    ) -> None:
        limits, credits = limits or {}, credits or {}  # noqa: A001 (the argument's name)
        if unknown := (limits.keys() | credits.keys()) - TIERS.keys():
            raise ConfigurationError(f"Unknown tier {', '.join(sorted(unknown))}; use one of {', '.join(TIERS)}")
        self._database = database
        self.anonymous: Account = Account("acc_anonymous", ANONYMOUS)
        self._tiers: dict[str, Tier] = {}
        for name, tier in TIERS.items():
            per_minute, per_day = limits.get(name, (tier.per_minute, tier.per_day))
            if min(per_minute, per_day) < 1:
                raise ConfigurationError(f"The limits of tier {name} must be at least 1 request")
            self._tiers[name] = Tier(name, per_minute, per_day, credits.get(name, tier.credits), tier.api_access)
        self._accounts: dict[str, Account] = {}
        self._by_key: dict[str, str] = {}  # key -> account id
        self.load()

    def load(self) -> None:
        """Create the accounts and keys that are missing, and read the plans and the valid keys from the database."""
        database = self._database
        with database.transaction():
            for name in TIERS:
                key = getattr(Keys(), name)
                database.run(
                    "INSERT OR IGNORE INTO accounts (id, tier, key, user_id, email, name) VALUES (?, ?, ?, ?, ?, ?)",
                    *(f"acc_{name}", name, key, f"usr_{name}", f"{name}@example.com", f"{name.capitalize()} User"),
                )
                sql = "INSERT OR IGNORE INTO api_keys (id, key, account_id, name, created_at) VALUES (?, ?, ?, ?, 0)"
                database.run(sql, f"key_{name}", key, f"acc_{name}", "Built-in key")
        self._accounts = {
            row["id"]: Account(row["id"], self._tiers[row["tier"]], row["user_id"], row["email"], row["name"])
            for row in database.all("SELECT * FROM accounts ORDER BY rowid")
        }
        rows = database.all("SELECT key, account_id FROM api_keys WHERE revoked_at IS NULL")
        self._by_key = {row["key"]: row["account_id"] for row in rows}

    def find(self, authorization: str | None) -> Account | None:
        """Return the account of the API key in an `Authorization` header; None if there is none."""
        account_id = self._by_key.get(bearer(authorization))
        return None if account_id is None else self._accounts[account_id]

    def by_id(self, account_id: str) -> Account:
        """Return an account by its id; raise a `LookupError` if it does not exist."""
        if account_id not in self._accounts:
            raise LookupError(f"Account {account_id!r} not found")
        return self._accounts[account_id]

    def all(self) -> list[Account]:
        """List the accounts."""
        return list(self._accounts.values())

    def set_plan(self, account_id: str, tier: str) -> Account:
        """Move an account to another plan, with its limits and credits.

        Raises:
            LookupError: The account or the plan does not exist.
        """
        account = replace(self.by_id(account_id), tier=self._tiers[tier])
        self._database.run("UPDATE accounts SET tier = ? WHERE id = ?", tier, account_id)
        self._accounts[account_id] = account
        return account

    def all_keys(self) -> list[sqlite3.Row]:
        """List the API keys, in the order of their creation."""
        return self._database.all("SELECT * FROM api_keys ORDER BY created_at, account_id, id")

    def generate_key(self, account_id: str, name: str, now: float) -> sqlite3.Row:
        """Create an API key of an account; raise a `LookupError` if the account does not exist."""
        self.by_id(account_id)
        key_id, key = new_id("key"), f"ep_test_{secrets.token_hex(16)}"
        row = {"id": key_id, "key": key, "account_id": account_id, "name": name, "created_at": int(now)}
        self._database.insert("api_keys", row)
        self._by_key[key] = account_id
        return self._key(key_id)

    def rename_key(self, key_id: str, name: str) -> sqlite3.Row:
        """Rename an API key; raise a `LookupError` if it does not exist."""
        self._key(key_id)
        self._database.run("UPDATE api_keys SET name = ? WHERE id = ?", name, key_id)
        return self._key(key_id)

    def revoke_key(self, key_id: str, now: float) -> sqlite3.Row:
        """Revoke an API key: requests with it get a 401 from now on; raise a `LookupError` if it does not exist."""
        row = self._key(key_id)
        sql = "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        self._database.run(sql, int(now), key_id)
        self._by_key.pop(row["key"], None)
        return self._key(key_id)

    def _key(self, key_id: str) -> sqlite3.Row:
        row = self._database.one("SELECT * FROM api_keys WHERE id = ?", key_id)
        if row is None:
            raise LookupError(f"Key {key_id!r} not found")
        return row

    def authenticate(self, authorization: str | None) -> Account:
        """Return the account of the API key in an `Authorization` header, or raise a 401."""
        account = self.find(authorization)
        if account is not None:
            return account
        challenge = {"WWW-Authenticate": "Bearer"}
        if not authorization:
            message = "API key missing: send it as Authorization: Bearer YOUR_API_KEY"
            raise ApiError(MISSING_KEY, message, headers=challenge)
        raise ApiError(INVALID_KEY, "Invalid API key", headers=challenge)

    def charge(self, account: Account, now: float) -> None:
        """Charge one credit of this month; raise a 402 if none is left."""
        with self._database.transaction():
            self.require_credit(account, now)
            self._add(account, month_of(now), 1)

    def require_credit(self, account: Account, now: float) -> None:
        """Raise a 402 if the account has no credit left this month."""
        allowed = account.tier.credits
        if allowed is not None and self.credits_used(account, now) >= allowed:
            plan, month = account.tier.name, month_of(now)
            message = f"Insufficient tokens: all {allowed} of the {plan} plan for {month} are used"
            raise ApiError(INSUFFICIENT_TOKENS, message)

    def refund(self, account: Account, charged_at: float) -> None:
        """Refund the credit that was charged at the given time."""
        self._add(account, month_of(charged_at), -1)

    def credits_used(self, account: Account, now: float) -> int:
        """Return the number of credits used this month."""
        sql = "SELECT used FROM credits WHERE account_id = ? AND month = ?"
        return self._database.scalar(sql, account.id, month_of(now))

    def _add(self, account: Account, month: str, number: int) -> None:
        sql = (
            "INSERT INTO credits (account_id, month, used) VALUES (?, ?, ?) "
            "ON CONFLICT (account_id, month) DO UPDATE SET used = used + excluded.used"
        )
        self._database.run(sql, account.id, month, number)


def bearer(authorization: str | None) -> str:
    """Return the bearer credential in an `Authorization` header; an empty string if there is none."""
    scheme, _, credential = (authorization or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def require_api_access(account: Account) -> None:
    """Raise a 403 if the account's tier has no API access."""
    if not account.tier.api_access:
        message = f"The {account.tier.name} plan has no API access: subscribe to Pro, Team or Enterprise"
        raise ApiError(NO_API_ACCESS, message)


def month_of(now: float) -> str:
    """Return the UTC month that credits are counted in, such as 2024-01."""
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m")
