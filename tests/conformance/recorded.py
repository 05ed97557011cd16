"""The requests of every call that the client can make."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from enprompta import APIStatusError, Enprompta
from tests.conformance.table import TABLE

if TYPE_CHECKING:
    from enprompta.emulator import Emulator


def requests(emulator: Emulator) -> list[httpx.Request]:
    """Every request of the table, with all arguments where there are any, and the token's, in order."""
    made: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        made.append(request)
        return httpx.Response(418)

    own = emulator.clients.enterprise
    with httpx.Client(transport=httpx.MockTransport(record)) as http:
        settings: dict[str, Any] = {"http_client": http, "limiter": None, "max_retries": 0, "base_url": emulator.url}
        with suppress(APIStatusError):
            Enprompta(client_id=own.client_id, client_secret=own.client_secret, **settings).usage.get()
        client = Enprompta(api_key=emulator.keys.enterprise, **settings)
        for row in TABLE:
            with suppress(APIStatusError):
                (row.full or row.minimal)(client)
    return made
