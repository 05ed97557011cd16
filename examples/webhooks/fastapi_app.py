"""A FastAPI application that receives webhooks.

ENPROMPTA_WEBHOOK_SECRET=whsec_... uvicorn --app-dir examples/webhooks fastapi_app:app
"""

import os

from fastapi import FastAPI

from enprompta.webhooks import PromptExecuted, SQLiteStore, WebhookReceiver

receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"], store=SQLiteStore("events.db"))


@receiver.on("prompt.executed")
async def count(event: PromptExecuted) -> None:
    """Handle an execution; if this raises, the service sends the event again."""
    print(f"{event.id} {event.data.execution_id} {event.data.cost}", flush=True)


app = FastAPI()
# Not `app.mount`, which redirects a POST to the path itself; deliveries do not follow redirects.
app.add_route("/webhooks/enprompta", receiver.asgi, methods=["POST"])
