"""`enprompta webhooks`: the subscriptions at the service, beside what is done by hand in `webhooks`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from enprompta.cli import options
from enprompta.cli.commands.webhooks import group
from enprompta.cli.console import line, out
from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Yes, given
from enprompta.cli.output import PAGE, show_object, show_rows, write_text

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.", show_default=False)]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.", show_default=False)]
Events = Annotated[list[str], typer.Option("--event", help="An event, such as prompt.executed; may be given again.")]
SecretFile = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Where to write the secret, which is told only now: a new file that nobody else may read, or - to print "
        "it and nothing else.",
    ),
]
PANEL = "At the service"

_COLUMNS = {
    "id": "id", "name": "name", "url": "url", "events": "events", "active": "is_active", "failures": "failure_count",
}  # fmt: skip
_DELIVERIES = {
    "id": "id", "event": "event_type", "status": "status", "attempts": "attempts", "answer": "response_status",
    "created": "created_at",
}  # fmt: skip


@group.command("list", epilog=EPILOG, rich_help_panel=PANEL)
def list_webhooks(*, as_json: Json = False) -> None:
    """List all webhooks."""
    with connected() as client:
        show_rows(client.webhooks.list(), _COLUMNS, as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def get(webhook: WebhookId, *, as_json: Json = False) -> None:
    """Show a webhook, without its secret."""
    with connected() as client:
        show_object(client.webhooks.get(webhook), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def create(
    *,
    name: Annotated[str, typer.Option(help="What people find it by.")],
    url: Annotated[str, typer.Option(help="Where events are sent.")],
    event: Events,
    secret_file: SecretFile,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    as_json: Json = False,
) -> None:
    """Subscribe an address to events."""
    _check_secret_file(secret_file)
    with connected() as client:
        made = client.webhooks.create(name=name, url=url, events=event, description=given(description))
    if _keep_secret(made.secret, secret_file):
        show_object(made, as_json=as_json, hidden=("secret",))


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def update(
    webhook: WebhookId,
    *,
    name: Annotated[str | None, typer.Option(help="What people find it by.")] = None,
    url: Annotated[str | None, typer.Option(help="Where events are sent.")] = None,
    event: Annotated[list[str] | None, typer.Option("--event", help="All events anew; may be given again.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    active: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether events are sent.")] = None,
    as_json: Json = False,
) -> None:
    """Change the fields that are given."""
    if (name, url, event, description, active) == (None,) * 5:
        raise typer.BadParameter("Give at least one field to change")
    with connected() as client:
        changed = client.webhooks.update(
            webhook,
            name=given(name),
            url=given(url),
            events=given(event),
            description=given(description),
            is_active=given(active),
        )
        show_object(changed, as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def delete(webhook: WebhookId, *, yes: Yes = False) -> None:
    """Delete a webhook."""
    options.confirm(f"Delete {webhook}?", yes=yes)
    with connected() as client:
        client.webhooks.delete(webhook)
    out.print(line(f"Deleted {webhook}."))


@group.command("test", epilog=EPILOG, rich_help_panel=PANEL)
def send_test(webhook: WebhookId, *, as_json: Json = False) -> None:
    """Have the service send a test event."""
    with connected() as client:
        show_object(client.webhooks.test(webhook), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def deliveries(webhook: WebhookId, *, limit: Limit = 20, all_: All = False, as_json: Json = False) -> None:
    """List what was sent to a webhook, the newest first."""
    with connected() as client:
        found = client.webhooks.list_deliveries(webhook, limit=PAGE if all_ else min(limit + 1, PAGE))
        show_rows(found, _DELIVERIES, as_json=as_json, limit=None if all_ else limit)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def retry(webhook: WebhookId, delivery: DeliveryId, *, as_json: Json = False) -> None:
    """Send an event once more."""
    with connected() as client:
        show_object(client.webhooks.retry_delivery(webhook, delivery), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def rotate_secret(webhook: WebhookId, *, secret_file: SecretFile) -> None:
    """Give a webhook a new secret."""
    _check_secret_file(secret_file)
    with connected() as client:
        fresh = client.webhooks.rotate_secret(webhook)
    if _keep_secret(fresh.secret, secret_file):
        out.print(line(f"{webhook} has a new secret, in {secret_file}."))


def _check_secret_file(file: str) -> None:
    """Refuse what cannot be written before the service makes a secret that would then be lost."""
    if file == "-":
        return
    path = Path(file)
    if path.exists():
        raise typer.BadParameter(
            f"{file} exists already: name a new file, for nothing is overwritten", param_hint="--secret-file"
        )
    if not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(f"{path.parent} is no directory that can be written to", param_hint="--secret-file")


def _keep_secret(secret: str, file: str) -> bool:
    """Write a secret to a file that nobody else may read, or print it; say whether there is more to show."""
    if file == "-":
        write_text(secret)
        return False
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{secret}\n")
    return True
