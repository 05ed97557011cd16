"""Idempotency keys: a repeated request gets the first response again and has no second effect."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict
from enprompta.emulator.errors import CONFLICT, ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.emulator.database import Database

CLIENT_PREFIX = "client "
"""Prefix of the owner of an OAuth2 client's keys, which keeps it distinct from an account's id."""
KEEP_SECONDS = 86_400
"""Seconds for which a response is stored."""
_MAX_KEY = 255
NOT_KEPT = frozenset({401, 402, 429})
"""Statuses that are not stored, in addition to 5xx, because the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A complete response, stored under an idempotency key."""

    status: int
    body: bytes
    headers: dict[str, str]
    replayed: bool = False


class Idempotency:
    """Stores responses by account and key for a day, and replays them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: dict[tuple[str, str], asyncio.Event] = {}

    async def once(
        self,
        account_id: str,
        key: str,
        fingerprint: bytes,
        now: float,
        handle: Callable[[], Awaitable[StoredResponse]],
        *,
        keep: float = KEEP_SECONDS,
    ) -> StoredResponse:
        """Handle a request once, and return the same response for every repetition.

        A repetition that arrives while the first request is in flight waits for its response.

        Each owner, an account or an OAuth2 client, has separate keys. A response is replayed for `keep` seconds.

        Raises:
            ApiError: 400 for an empty or too long key; 409 for a key that was used with another request.
        """
        if not key.strip() or len(key) > _MAX_KEY:
            message = f"Must be 1 to {_MAX_KEY} characters"
            raise invalid([{"field": "Idempotency-Key", "message": message}])
        while (running := self._running.get((account_id, key))) is not None:
            await running.wait()
        known = self._recall(account_id, key, fingerprint, now - keep)
        if known is not None:
            return known
        done = self._running[account_id, key] = asyncio.Event()
        try:
            first = await handle()
            if first.status < 500 and first.status not in NOT_KEPT:  # noqa: PLR2004 (not 5xx)
                self._remember(account_id, key, fingerprint, now, first)
            return first
        finally:
            del self._running[account_id, key]
            done.set()

    def forget_tokens(self) -> None:
        """Delete the stored responses of the token endpoint, because their tokens have expired."""
        self._database.run("DELETE FROM idempotency WHERE account_id LIKE ?", f"{CLIENT_PREFIX}%")

    def _recall(self, account_id: str, key: str, fingerprint: bytes, since: float) -> StoredResponse | None:
        sql = "SELECT * FROM idempotency WHERE account_id = ? AND key = ? AND created_at > ?"
        row = self._database.one(sql, account_id, key, since)
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise ApiError(CONFLICT, f"Idempotency-Key {key!r} was used with another request; use a new key")
        return StoredResponse(row["status"], row["body"], json.loads(row["headers"]), replayed=True)

    def _remember(self, account_id: str, key: str, fingerprint: bytes, now: float, first: StoredResponse) -> None:
        with self._database.transaction():
            self._database.run("DELETE FROM idempotency WHERE created_at <= ?", now - KEEP_SECONDS)
            self._database.run(
                "INSERT OR REPLACE INTO idempotency (account_id, key, fingerprint, status, headers, body, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(account_id, key, fingerprint, first.status, json.dumps(first.headers), first.body, int(now)),
            )


def fingerprint_of(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """Return a digest of a request; two requests with the same digest are the same request."""
    head = f"{method} {path}?{query.decode('latin-1')}\n".encode()
    return hashlib.sha256(head + body).digest()


def client_id_of(body: bytes) -> str | None:
    """Return the OAuth2 client id in the body of a token request; None if there is none."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    client_id = value.get("client_id") if is_dict(value) else None
    return client_id if isinstance(client_id, str) and client_id.isprintable() else None
