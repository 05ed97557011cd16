"""The operations of the control interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from enprompta._version import __version__
from enprompta.emulator.access.accounts import TIERS
from enprompta.emulator.access.scopes import SCOPES
from enprompta.emulator.control import documents
from enprompta.emulator.control.sample_data import add_sample_data
from enprompta.emulator.stores import deliveries, prompts, templates, usage, webhooks
from enprompta.emulator.wire import iso
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.services import Services
    from enprompta.emulator.serving.faults import Fault
    from enprompta.emulator.wire import JSONObject


class Controller:
    """Everything that the control interface can do with an emulator; results are JSON.

    Objects that do not exist raise a `LookupError`, invalid values a `ConfigurationError`.

    Args:
        services: The emulator's parts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database

    def info(self) -> JSONObject:
        """Describe the emulator: version, plans, scopes, events and the clock."""
        return {
            "version": __version__,
            "plans": [_plan(name) for name in TIERS],
            "scopes": list(SCOPES),
            "events": list(webhooks.EVENTS),
            "clock": self.clock(),
        }

    # Accounts, keys and OAuth2 clients

    def accounts(self) -> list[JSONObject]:
        """List the accounts with their plans and what they have used."""
        return [self._account(account) for account in self._services.accounts.all()]

    def set_plan(self, account_id: str, plan: str) -> JSONObject:
        """Move an account to another plan."""
        if plan not in TIERS:
            raise ConfigurationError(f"Unknown plan {plan}; use one of {', '.join(TIERS)}")
        return self._account(self._services.accounts.set_plan(account_id, plan))

    def keys(self) -> list[JSONObject]:
        """List the API keys; only the built-in ones, which are public, are shown in full."""
        return [_key(row) for row in self._services.accounts.all_keys()]

    def generate_key(self, account_id: str, name: object) -> JSONObject:
        """Create an API key; only this result contains it."""
        row = self._services.accounts.generate_key(account_id, _name(name), self._services.clock())
        return {**_key(row), "key": row["key"]}

    def rename_key(self, key_id: str, name: object) -> JSONObject:
        """Rename an API key."""
        return _key(self._services.accounts.rename_key(key_id, _name(name)))

    def revoke_key(self, key_id: str) -> JSONObject:
        """Revoke an API key."""
        return _key(self._services.accounts.revoke_key(key_id, self._services.clock()))

    def oauth_clients(self) -> list[JSONObject]:
        """List the OAuth2 clients, without their secrets."""
        return [
            {"clientId": row["id"], "accountId": row["account_id"], "scopes": json.loads(row["scopes"])}
            for row in self._services.clients.all()
        ]

    def add_oauth_client(self, plan: str, scopes: Iterable[str]) -> JSONObject:
        """Create an OAuth2 client of an account; only this result contains its secret."""
        client = self._services.clients.add(plan, scopes)
        return {"clientId": client.client_id, "clientSecret": client.client_secret, "accountId": f"acc_{plan}"}

    # Faults, clock and windows

    def faults(self) -> list[JSONObject]:
        """List the faults, the one added first coming first."""
        return [_fault(fault) for fault in self._services.faults]

    def add_fault(self, options: Mapping[str, Any]) -> JSONObject:
        """Add a fault, with the arguments of `Faults.add`."""
        try:
            return _fault(self._services.faults.add(**options))
        except TypeError as error:
            raise ConfigurationError(f"The fault is invalid: {error}") from error

    def clock(self) -> JSONObject:
        """Describe the clock and the rate limit windows."""
        clock, (window, day) = self._services.clock, self._services.limiter.windows
        return {
            "now": clock(),
            "time": iso(clock()),
            "offset": clock.offset,
            "isStopped": clock.is_stopped,
            "window": window,
            "day": day,
        }

    def set_clock(self, changes: Mapping[str, Any]) -> JSONObject:
        """Change the clock and the windows.

        Args:
            changes: Any of `reset` (True), `advance` (seconds), `stopped` (a boolean), `window` and `day` (seconds).
        """
        clock, limiter = self._services.clock, self._services.limiter
        unknown = changes.keys() - {"reset", "advance", "stopped", "window", "day"}
        numbers = {name: _number(name, changes[name]) for name in ("advance", "window", "day") if name in changes}
        if unknown:
            raise ConfigurationError(
                f"Unknown {', '.join(sorted(unknown))}; use reset, advance, stopped, window or day"
            )
        if "window" in numbers or "day" in numbers:
            window, day = limiter.windows
            limiter.set_windows(numbers.get("window", window), numbers.get("day", day))
        if changes.get("reset"):
            clock.reset()
        clock.advance(numbers.get("advance", 0.0))
        if "stopped" in changes:
            (clock.stop if changes["stopped"] else clock.resume)()
        limiter.forget()
        return self.clock()

    # Data

    async def reset(self) -> None:
        """Delete all data, faults and logged exchanges, and return to the state of a new emulator."""
        await self._replace_data({"format": documents.FORMAT, "tables": {}})
        self._services.faults.clear()
        self._services.exchanges.clear()
        self._services.clock.reset()

    def seed(self, account_id: str) -> None:
        """Add sample data to an account: objects of each kind, and two weeks of activity."""
        add_sample_data(self._database, self._services.accounts.by_id(account_id), self._services.clock())

    def export(self) -> JSONObject:
        """Return all data as one JSON document, including keys and secrets."""
        return documents.export_data(self._database)

    async def import_document(self, document: object) -> None:
        """Replace all data by an exported document."""
        await self._replace_data(document)

    async def _replace_data(self, document: object) -> None:
        """Replace all data while no workflow runs and no delivery is sent."""
        services = self._services
        await services.runner.stop()
        await services.delivery_queue.stop()
        try:
            with self._database.transaction():
                documents.import_data(self._database, document)
                templates.seed(self._database, services.clock())
                services.accounts.load()
                services.clients.load()
                usage.seed(self._database, services.clock())
        except (LookupError, TypeError) as error:  # such as an unknown plan
            raise ConfigurationError(f"The document is damaged: {error}") from error
        finally:
            services.accounts.load()  # after a rollback too
            services.limiter.forget()
            services.delivery_queue.start()
            services.runner.start()

    # Prompts and webhooks

    def versions(self, prompt_id: str) -> list[JSONObject]:
        """List a prompt's versions, newest first."""
        return prompts.versions(self._database, prompt_id)

    def set_label(self, prompt_id: str, label: str, version: int) -> None:
        """Point a label of a prompt at a version."""
        prompts.set_label(self._database, prompt_id, _name(label), version)

    def remove_label(self, prompt_id: str, label: str) -> None:
        """Remove a label from a prompt."""
        prompts.remove_label(self._database, prompt_id, label)

    def deliveries(self, limit: int) -> list[JSONObject]:
        """List the newest webhook deliveries of all accounts, with payload, attempts and the receiver's responses."""
        return deliveries.inbox(self._database, limit)

    def trigger(self, account_id: str, event: str, data: JSONObject) -> int:
        """Publish an event of an account; return the number of webhooks that it is delivered to."""
        if event not in webhooks.EVENTS:
            raise ConfigurationError(f"Unknown event {event}; use one of {', '.join(webhooks.EVENTS)}")
        account = self._services.accounts.by_id(account_id)
        self._services.events.publish(account, event, data)
        return len(webhooks.subscribed(self._database, account, event))

    def _account(self, account: Account) -> JSONObject:
        services, now = self._services, self._services.clock()
        return {
            "id": account.id,
            "name": account.name,
            "email": account.email,
            "plan": account.tier.name,
            "usage": usage.usage(self._database, services.accounts, services.limiter, account, now),
        }


def _plan(name: str) -> JSONObject:
    tier = TIERS[name]
    return {
        "name": name,
        "requestsPerMinute": tier.per_minute,
        "requestsPerDay": tier.per_day,
        "credits": tier.credits,
        "apiAccess": tier.api_access,
    }


def _key(row: sqlite3.Row) -> JSONObject:
    is_public = row["created_at"] == 0
    return {
        "id": row["id"],
        "name": row["name"],
        "accountId": row["account_id"],
        "shown": row["key"] if is_public else f"ep_test_…{row['key'][-4:]}",
        "isBuiltIn": is_public,
        "createdAt": iso(row["created_at"]),
        "revokedAt": None if row["revoked_at"] is None else iso(row["revoked_at"]),
    }


def _fault(fault: Fault) -> JSONObject:
    return {
        "id": fault.id,
        "path": fault.path,
        "method": fault.method,
        "status": fault.status,
        "latency": fault.latency,
        "drip": fault.drip,
        "drop": fault.drop,
        "times": fault.times,
        "hits": len(fault.hits),
        "isOver": fault.is_over,
    }


def _name(text: object) -> str:
    if not isinstance(text, str) or not text.strip() or len(text) > 100:  # noqa: PLR2004 (a usual limit)
        raise ConfigurationError("A name must be a text of 1 to 100 characters")
    return text.strip()


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number of seconds")
    return float(value)
