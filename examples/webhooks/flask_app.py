"""A Flask application that receives webhooks.

ENPROMPTA_WEBHOOK_SECRET=whsec_... PYTHONPATH=examples/webhooks waitress-serve --listen 127.0.0.1:8000 flask_app:app
"""

import os

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from enprompta.webhooks import PromptExecuted, SQLiteStore, WebhookReceiver

receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"], store=SQLiteStore("events.db"))


@receiver.on("prompt.executed")
def count(event: PromptExecuted) -> None:
    """Handle an execution; if this raises, the service sends the event again."""
    print(f"{event.id} {event.data.execution_id} {event.data.cost}", flush=True)


app = Flask(__name__)
# Runs before Flask, so that the body is still unread.
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/webhooks/enprompta": receiver.wsgi})
