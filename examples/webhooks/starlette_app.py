"""A Starlette application that receives webhooks.

ENPROMPTA_WEBHOOK_SECRET=whsec_... uvicorn --app-dir examples/webhooks starlette_app:app
"""

import os

from starlette.applications import Starlette
from starlette.routing import Route

from enprompta.webhooks import PromptExecuted, SQLiteStore, WebhookReceiver

receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"], store=SQLiteStore("events.db"))


@receiver.on("prompt.executed")
async def count(event: PromptExecuted) -> None:
    """Handle an execution; if this raises, the service sends the event again."""
    print(f"{event.id} {event.data.execution_id} {event.data.cost}", flush=True)


app = Starlette(routes=[Route("/webhooks/enprompta", receiver.asgi, methods=["POST"])])
