"""Tools to test an application that uses this package.

With pytest, they are fixtures that the installed package provides; see `enprompta.testing.plugin`. Without pytest:

    from enprompta.testing import WEBHOOK_SECRET, webhook_delivery

    delivery = webhook_delivery("prompt.executed", data={"cost": 1.5})
    response = client.post("/webhooks", **delivery.httpx())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.testing.deliveries import EXAMPLES, WEBHOOK_SECRET, WebhookDelivery, webhook_delivery
else:  # with `__getattr__`, type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Load names on first access, because pytest imports this package in every run."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("enprompta.testing.deliveries"), name)

    def __dir__() -> list[str]:
        return list(__all__)


__all__ = ["EXAMPLES", "WEBHOOK_SECRET", "WebhookDelivery", "webhook_delivery"]
