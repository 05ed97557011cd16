"""Accounts: one for each tier, with its API key, rate limits and credits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from enprompta.emulator.errors import INSUFFICIENT_TOKENS, INVALID_KEY, MISSING_KEY, NO_API_ACCESS, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
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
        self._by_key: dict[str, Account] = {}
        with database.transaction():
            for name, tier in TIERS.items():
                per_minute, per_day = limits.get(name, (tier.per_minute, tier.per_day))
                if min(per_minute, per_day) < 1:
                    raise ConfigurationError(f"The limits of tier {name} must be at least 1 request")
                effective = Tier(name, per_minute, per_day, credits.get(name, tier.credits), tier.api_access)
                account = Account(
                    f"acc_{name}", effective, f"usr_{name}", f"{name}@example.com", f"{name.capitalize()} User"
                )
                key = getattr(Keys(), name)
                self._by_key[key] = account
                database.run(
                    "INSERT OR IGNORE INTO accounts (id, tier, key, user_id, email, name) VALUES (?, ?, ?, ?, ?, ?)",
                    *(account.id, name, key, account.user_id, account.email, account.name),
                )

    def find(self, authorization: str | None) -> Account | None:
        """Return the account of the API key in an `Authorization` header; None if there is none."""
        return self._by_key.get(bearer(authorization))

    def by_id(self, account_id: str) -> Account:
        """Return an account by its id."""
        return next(account for account in self._by_key.values() if account.id == account_id)

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
