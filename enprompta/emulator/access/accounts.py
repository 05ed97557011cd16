"""Accounts: one for each tier, with its key, its limits and its credits."""

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
    """What a subscription allows."""

    name: str
    per_minute: int
    per_day: int
    credits: int | None
    """Executions a month; None for no limit."""
    api_access: bool = True


TIERS = {
    # The reference gives the free tier no request limits, for it has no API access; its 403s are counted all the same.
    "free": Tier("free", 60, 10_000, 15, api_access=False),
    "pro": Tier("pro", 60, 10_000, 200),
    "team": Tier("team", 300, 100_000, None),
    "enterprise": Tier("enterprise", 1_000, 1_000_000, None),
}
ANONYMOUS = Tier("anonymous", 1_000, 1_000_000, 0, api_access=False)


@dataclass(frozen=True, slots=True)
class Account:
    """Who sends a request: a user, what they have subscribed to and what their credential allows."""

    id: str
    tier: Tier
    user_id: str = ""
    email: str = ""
    name: str = ""
    scopes: frozenset[str] | None = None
    """What an OAuth2 token may do; None for an API key, which may do everything."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The API keys of the emulator's accounts."""

    free: str = "ep_test_free"
    """Refused with 403: this tier has no API access."""
    pro: str = "ep_test_pro"
    team: str = "ep_test_team"
    enterprise: str = "ep_test_enterprise"


class AccountStore:
    """Knows who a credential belongs to and keeps count of credits.

    Args:
        database: Where accounts and credits are kept.
        limits: Requests a minute and a day by tier, in place of the reference's.
        credits: Executions a month by tier, in place of the reference's; None for no limit.
    """

    def __init__(
        self,
        database: Database,
        *,
        limits: Mapping[str, tuple[int, int]] | None = None,
        credits: Mapping[str, int | None] | None = None,
    ) -> None:
        limits, credits = limits or {}, credits or {}  # noqa: A001 (named as the argument is)
        if unknown := (limits.keys() | credits.keys()) - TIERS.keys():
            raise ConfigurationError(f"No such tier: {', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
        self._database = database
        self.anonymous: Account = Account("acc_anonymous", ANONYMOUS)
        self._by_key: dict[str, Account] = {}
        with database.transaction():
            for name, tier in TIERS.items():
                per_minute, per_day = limits.get(name, (tier.per_minute, tier.per_day))
                if min(per_minute, per_day) < 1:
                    raise ConfigurationError(f"The limits of {name} must be at least 1 request")
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
        """Tell whose credential an `Authorization` header carries; None when it is nobody's."""
        return self._by_key.get(bearer(authorization))

    def by_id(self, account_id: str) -> Account:
        """Give one of the emulator's accounts."""
        return next(account for account in self._by_key.values() if account.id == account_id)

    def authenticate(self, authorization: str | None) -> Account:
        """Like `find`, but a credential that is nobody's is a 401."""
        account = self.find(authorization)
        if account is not None:
            return account
        challenge = {"WWW-Authenticate": "Bearer"}
        if not authorization:
            message = "API key missing: send it as Authorization: Bearer YOUR_API_KEY"
            raise ApiError(MISSING_KEY, message, headers=challenge)
        raise ApiError(INVALID_KEY, "Invalid API key", headers=challenge)

    def charge(self, account: Account, now: float) -> None:
        """Take one credit of this month; a 402 when there is none left."""
        with self._database.transaction():
            self.require_credit(account, now)
            self._add(account, month_of(now), 1)

    def require_credit(self, account: Account, now: float) -> None:
        """Refuse an account that has no credit left this month: a 402."""
        allowed = account.tier.credits
        if allowed is not None and self.credits_used(account, now) >= allowed:
            plan, month = account.tier.name, month_of(now)
            message = f"Insufficient tokens: all {allowed} of the {plan} plan for {month} are used"
            raise ApiError(INSUFFICIENT_TOKENS, message)

    def refund(self, account: Account, charged_at: float) -> None:
        """Give back the credit that was taken at that time."""
        self._add(account, month_of(charged_at), -1)

    def credits_used(self, account: Account, now: float) -> int:
        """Count the credits used this month."""
        sql = "SELECT used FROM credits WHERE account_id = ? AND month = ?"
        return self._database.scalar(sql, account.id, month_of(now))

    def _add(self, account: Account, month: str, number: int) -> None:
        sql = (
            "INSERT INTO credits (account_id, month, used) VALUES (?, ?, ?) "
            "ON CONFLICT (account_id, month) DO UPDATE SET used = used + excluded.used"
        )
        self._database.run(sql, account.id, month, number)


def bearer(authorization: str | None) -> str:
    """Read the credential in an `Authorization` header; nothing when there is none."""
    scheme, _, credential = (authorization or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def require_api_access(account: Account) -> None:
    """Refuse a tier without API access: a 403."""
    if not account.tier.api_access:
        message = f"The {account.tier.name} plan has no API access: subscribe to Pro, Team or Enterprise"
        raise ApiError(NO_API_ACCESS, message)


def month_of(now: float) -> str:
    """Name the month that credits are counted in, such as 2024-01, by UTC."""
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m")
