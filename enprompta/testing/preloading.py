"""Import modules before a test that would otherwise import them under a fake file system.

pyfakefs unloads each module that a test imported, so the next test gets a second copy, whose classes are not compatible
with the first. A client and the emulator import most of their modules on first use, so they are used once before the
file system is replaced.
"""

from __future__ import annotations

import asyncio
import pkgutil
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

import enprompta


@lru_cache(maxsize=1)
def preload_client() -> None:
    """Import every module that calls of either client use."""
    for part in (
        "_core",
        "_http",
        "_http.exchange",
        "_http.route",
        "_http.senders",
        "templating",
        "models",
        "resources",
        "cache",
        "batch",
        "webhooks",
    ):
        package: object = import_module(f"enprompta.{part}")
        for module in pkgutil.iter_modules(package.__path__):
            with suppress(ImportError):  # of an extra that is not installed
                import_module(f"enprompta.{part}.{module.name}")
    settings: Any = {"api_key": "ep_preload", "limiter": None, "base_url": "http://127.0.0.1:9", "max_retries": 0}
    enprompta.Enprompta(**settings).close()
    asyncio.run(enprompta.AsyncEnprompta(**settings).aclose())


@lru_cache(maxsize=1)
def preload_emulator() -> None:
    """Import every module that the emulator and calls to it use."""
    from enprompta.emulator import Emulator  # noqa: PLC0415 (an extra, and heavy)

    preload_client()
    with Emulator() as emulator:
        settings: Any = {"api_key": emulator.keys.team, "base_url": emulator.url, "limiter": None}
        with enprompta.Enprompta(**settings) as client:
            client.prompts.execute(client.prompts.create(title="Preloaded", content="{{x}}").id, variables={"x": "1"})
            client.usage.get()

        async def call() -> None:
            async with enprompta.AsyncEnprompta(**settings) as client:
                await client.prompts.list()

        asyncio.run(call())
