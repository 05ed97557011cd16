"""Tools to test an application that uses this package.

With pytest they are fixtures, there as soon as the package is installed; see `enprompta.testing.plugin`. Without it:

    from enprompta.testing import WEBHOOK_SECRET, webhook_delivery

    delivery = webhook_delivery("prompt.executed", data={"cost": 1.5})
    response = client.post("/webhooks", **delivery.httpx())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enprompta.testing.deliveries import EXAMPLES, WEBHOOK_SECRET, WebhookDelivery, webhook_delivery
else:  # hidden from type checkers, which would take `__getattr__` to mean that every name is there

    def __getattr__(name: str) -> object:
        """Load what is here when it is first asked for: pytest's plugin is in this package, in every run of pytest."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("enprompta.testing.deliveries"), name)

    def __dir__() -> list[str]:
        return list(__all__)


__all__ = ["EXAMPLES", "WEBHOOK_SECRET", "WebhookDelivery", "webhook_delivery"]
