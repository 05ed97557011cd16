"""The fault matrix over aiohttp and httpx2, named and as the caller's client: the caller sees no difference."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from enprompta import APIConnectionError
from tests.faults.flavours import METHODS, Caller, Waits, descriptors, run
from tests.faults.test_matrix import ATTEMPTS, CASES, check, check_keys, expected_attempts

if TYPE_CHECKING:
    from tests.faults.server import FaultServer

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = [
    pytest.mark.step("backends"),
    pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning"),
]

BACKENDS = (
    *("asyncio-aiohttp", "sync-httpx2", "asyncio-httpx2", "trio-httpx2"),
    *("sync-named httpx2", "asyncio-named httpx2", "trio-named httpx2"),
)
TIMES = (1, 2, ATTEMPTS) if os.environ.get("ENPROMPTA_LONG_TESTS") else (1,)


# Known differences of a library: it has a cookie jar.
OTHERWISE: dict[tuple[str, str], dict[str, Any]] = {
    ("httpx2", "302 with a cookie that cannot be sent back"): {
        "error": APIConnectionError,
        "retried": True,
        "text": "sent an invalid response",
    },
}


class Closing:
    """Closes either kind of caller's client in an `async with`."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    async def __aenter__(self) -> httpx2.Client:
        return self.client

    async def __aexit__(self, *_: object) -> None:
        self.client.close()


async def caller_over(backend: str, stack: AsyncExitStack, **options: Any) -> Caller:
    """Create a caller on a backend."""
    flavour, _, library = backend.partition("-")
    http: Any = library.removeprefix("named ")
    if library == "httpx2":
        http = await stack.enter_async_context(httpx2.AsyncClient() if flavour != "sync" else Closing(httpx2.Client()))
    return await stack.enter_async_context(Caller(flavour, http_client=http, **options))


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_fault_is_mapped_retried_and_survived(
    backend: str, name: str, times: int, server: FaultServer, waits: Waits
) -> None:
    """Each fault raises the right class after the right attempts, with one key, no leaks, and a usable client."""
    flavour, _, library = backend.partition("-")
    case = replace(CASES[name], **OTHERWISE.get((library, name), {}))
    before = descriptors()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            caller = await caller_over(backend, stack, base_url=server.base_url)
            for method in METHODS:
                faulty = replace(case, error=None) if method == "DELETE" and not case.delete else case
                server.play(*[case.fault] * times)
                await check(caller, method, faulty, times, waits)
                assert server.attempts == expected_attempts(faulty, times)
                check_keys(method, server)
                server.play()
                response = await caller.call("GET")
                assert response.data.id == "p1"
                assert len(response.attempts) <= 1 + case.spoils

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before
