"""Idempotency keys: the same request sent again gets the first answer again, and has no second effect."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from enprompta.emulator.errors import CONFLICT, ApiError, invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.emulator.database import Database

METHODS = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose requests may carry a key; `x-idempotency` of the API's document, to which tests compare it."""
CLIENT_PREFIX = "client "
"""Keys of OAuth2 clients are kept under this and the client's id, which is the id of no account."""
KEEP_SECONDS = 86_400
"""Seconds that an answer is kept."""
_LONGEST_KEY = 255
NOT_KEPT = frozenset({401, 402, 429})
"""Statuses that are not kept, beside 5xx: the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A finished answer: what a key stands for."""

    status: int
    body: bytes
    headers: dict[str, str]
    replayed: bool = False


class Idempotency:
    """Remembers answers by account and key, for a day.

    Args:
        database: Where the answers are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: dict[tuple[str, str], asyncio.Event] = {}

    async def once(
        self,
        account_id: str,
        key: str,
        fingerprint: bytes,
        now: float,
        answer: Callable[[], Awaitable[StoredResponse]],
        *,
        keep: float = KEEP_SECONDS,
    ) -> StoredResponse:
        """Answer a request the first time and give that answer from then on.

        A second request that arrives while the first is being answered waits for it. The same key with another
        request is a 409.

        Args:
            account_id: The account, or the OAuth2 client, whose key it is; others may use the same text.
            key: The `Idempotency-Key` as sent.
            fingerprint: What `fingerprint_of` gives for the request.
            now: The time by the emulator's clock.
            answer: Carries out the request.
            keep: Seconds for which the first answer is worth repeating.
        """
        if not key.strip() or len(key) > _LONGEST_KEY:
            message = f"Must be 1 to {_LONGEST_KEY} characters"
            raise invalid([{"field": "Idempotency-Key", "message": message}])
        while (running := self._running.get((account_id, key))) is not None:
            await running.wait()
        known = self._recall(account_id, key, fingerprint, now - keep)
        if known is not None:
            return known
        done = self._running[account_id, key] = asyncio.Event()
        try:
            first = await answer()
            if first.status < 500 and first.status not in NOT_KEPT:  # noqa: PLR2004 (5xx is the definition)
                self._remember(account_id, key, fingerprint, now, first)
            return first
        finally:
            del self._running[account_id, key]
            done.set()

    def forget_tokens(self) -> None:
        """Forget the answers of the token endpoint, because the tokens in them have ended."""
        self._database.run("DELETE FROM idempotency WHERE account_id LIKE ?", f"{CLIENT_PREFIX}%")

    def _recall(self, account_id: str, key: str, fingerprint: bytes, since: float) -> StoredResponse | None:
        sql = "SELECT * FROM idempotency WHERE account_id = ? AND key = ? AND created_at > ?"
        row = self._database.one(sql, account_id, key, since)
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise ApiError(CONFLICT, f"Idempotency-Key {key!r} was used with another request; use a fresh key for each")
        return StoredResponse(row["status"], row["body"], json.loads(row["headers"]), replayed=True)

    def _remember(self, account_id: str, key: str, fingerprint: bytes, now: float, answer: StoredResponse) -> None:
        with self._database.transaction():
            self._database.run("DELETE FROM idempotency WHERE created_at <= ?", now - KEEP_SECONDS)
            self._database.run(
                "INSERT OR REPLACE INTO idempotency (account_id, key, fingerprint, status, headers, body, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(account_id, key, fingerprint, answer.status, json.dumps(answer.headers), answer.body, int(now)),
            )


def fingerprint_of(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """Digest what makes two requests the same one."""
    head = f"{method} {path}?{query.decode('latin-1')}\n".encode()
    return hashlib.sha256(head + body).digest()


def client_id_of(body: bytes) -> str | None:
    """Return the OAuth2 client that a token request names; None where it names none."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    client_id = cast("dict[str, object]", value).get("client_id") if isinstance(value, dict) else None
    return client_id if isinstance(client_id, str) and client_id.isprintable() else None
