"""Every operation of the document can be tried in the API explorer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta import AsyncEnprompta
from enprompta.emulator import Emulator
from enprompta.workbench.operations import Operation, operations, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta.workbench.sending import Draft


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator for all operations."""
    with Emulator(rate_limits=False, webhook_backoff=()) as started:
        yield started


@pytest.mark.parametrize("operation", operations(), ids=lambda it: it.id)
def test_the_prepared_request_succeeds(emulator: Emulator, operation: Operation) -> None:
    """The request that the explorer prepares gets a 2xx, once the objects that it needs exist."""
    key = emulator.keys.enterprise

    async def prepared() -> Draft:
        async with AsyncEnprompta(api_key=key, base_url=emulator.url) as client:
            return await prepare(operation, client, creates=True)

    draft = asyncio.run(prepared())
    response = httpx.request(
        draft.method,
        httpx.URL(emulator.url).join(f"{draft.path}?{draft.query}"),
        content=draft.body,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        trust_env=False,
    )
    assert response.is_success, (
        f"{response.text}\nIf the body is wrong, change the first example of its schema in docs/openapi.yaml; if it "
        "needs objects, create them in enprompta/workbench/operations.py"
    )
