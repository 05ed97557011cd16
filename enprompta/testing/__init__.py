"""Tools to test an application that uses this package.

With pytest, they are fixtures that the installed package provides; see `enprompta.testing.plugin`. Without pytest:

    from enprompta.testing import WEBHOOK_SECRET, webhook_delivery

    delivery = webhook_delivery("prompt.executed", data={"cost": 1.5})
    response = client.post("/webhooks", **delivery.httpx())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.testing import loops as loops
    from enprompta.testing import preloading as preloading
    from enprompta.testing.deliveries import EXAMPLES, WEBHOOK_SECRET, WebhookDelivery, webhook_delivery
else:
    __getattr__, __dir__ = lazy(
        __name__, {".": "loops preloading", ".deliveries": "EXAMPLES WEBHOOK_SECRET WebhookDelivery webhook_delivery"}
    )

__all__ = ["EXAMPLES", "WEBHOOK_SECRET", "WebhookDelivery", "webhook_delivery"]
