"""A Django application that receives webhooks, in one file.

ENPROMPTA_WEBHOOK_SECRET=whsec_... PYTHONPATH=examples/webhooks waitress-serve --listen 127.0.0.1:8000 django_app:app
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from enprompta.webhooks import PromptExecuted, SQLiteStore, WebhookReceiver

receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"], store=SQLiteStore("events.db"))


@receiver.on("prompt.executed")
def count(event: PromptExecuted) -> None:
    """Handle an execution; if this raises, the service sends the event again."""
    print(f"{event.id} {event.data.execution_id} {event.data.cost}", flush=True)


@csrf_exempt  # deliveries have a signature instead of a cookie
def receive(request: HttpRequest) -> HttpResponse:
    """Pass the raw body to the receiver."""
    reply = receiver.handle(request.body, request.headers)
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


urlpatterns = [path("webhooks/enprompta", receive)]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "django.middleware.common.CommonMiddleware"],
)
app = get_wsgi_application()
