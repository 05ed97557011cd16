"""`enprompta webhooks`: manage subscriptions; the local commands are in `webhooks`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enprompta.cli import options
from enprompta.cli.commands.webhooks import group
from enprompta.cli.console import line, out
from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Yes, given, given_only
from enprompta.cli.output import show_listing, show_object, show_rows, write_text
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id.", show_default=False)]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.", show_default=False)]
Events = Annotated[list[str], typer.Option("--event", help="An event type, such as prompt.executed; can be repeated.")]
SecretFile = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="New file for the secret, which is shown only once; only you can read the file. Use - to print only the "
        "secret.",
    ),
]
PANEL = "At the service"
_RESERVED = 4096  # bytes, more than a secret has

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
    name: Annotated[str, typer.Option(help="Name.")],
    url: Annotated[str, typer.Option(help="URL that receives the events.")],
    event: Events,
    secret_file: SecretFile,
    description: Annotated[str | None, typer.Option(help="Description.")] = None,
    as_json: Json = False,
) -> None:
    """Subscribe a URL to events."""
    with _place_for_secret(secret_file) as keep:
        with connected() as client:
            made = client.webhooks.create(name=name, url=url, events=event, description=given(description))
        keep(made.secret)
    if secret_file != "-":  # noqa: S105 (a file name)
        show_object(made, as_json=as_json, hidden=("secret",))


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def update(
    webhook: WebhookId,
    *,
    name: Annotated[str | None, typer.Option(help="Name.")] = None,
    url: Annotated[str | None, typer.Option(help="URL that receives the events.")] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="New list of event types; can be repeated.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Description.")] = None,
    active: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Turn delivery of events on or off.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Update the given fields of a webhook."""
    fields = given_only(name=name, url=url, events=event, description=description, is_active=active)
    if not fields:
        raise typer.BadParameter("Pass at least one field to change")
    with connected() as client:
        show_object(client.webhooks.update(webhook, **fields), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def delete(webhook: WebhookId, *, yes: Yes = False) -> None:
    """Delete a webhook."""
    options.confirm(f"Delete {webhook}?", yes=yes)
    with connected() as client:
        client.webhooks.delete(webhook)
    out.print(line(f"Deleted {webhook}."))


@group.command("test", epilog=EPILOG, rich_help_panel=PANEL)
def send_test(webhook: WebhookId, *, as_json: Json = False) -> None:
    """Make the service send a test event."""
    with connected() as client:
        show_object(client.webhooks.test(webhook), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def deliveries(webhook: WebhookId, *, limit: Limit = 20, all_: All = False, as_json: Json = False) -> None:
    """List a webhook's deliveries, newest first."""
    with connected() as client:
        listing = partial(client.webhooks.list_deliveries, webhook)
        show_listing(listing, _DELIVERIES, limit=None if all_ else limit, as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def retry(webhook: WebhookId, delivery: DeliveryId, *, as_json: Json = False) -> None:
    """Send a delivery again."""
    with connected() as client:
        show_object(client.webhooks.retry_delivery(webhook, delivery), as_json=as_json)


@group.command(epilog=EPILOG, rich_help_panel=PANEL)
def rotate_secret(webhook: WebhookId, *, secret_file: SecretFile) -> None:
    """Replace a webhook's secret."""
    with _place_for_secret(secret_file) as keep:
        with connected() as client:
            fresh = client.webhooks.rotate_secret(webhook)
        keep(fresh.secret)
    if secret_file != "-":  # noqa: S105 (a file name)
        out.print(line(f"{webhook} has a new secret, in {secret_file}."))


@contextmanager
def _place_for_secret(file: str) -> Generator[Callable[[str], None]]:
    """Reserve a file that only the user can read, before the service creates a secret that would be lost.

    Yields:
        Writes the secret into the file; prints it for `-`.

    Raises:
        typer.BadParameter: The file exists, or its directory cannot be written.
        EnpromptaError: The file cannot be written, such as on a full disk.
    """
    if file == "-":
        yield write_text
        return
    path = Path(file)
    if path.exists():
        raise typer.BadParameter(
            f"{file} already exists and is not overwritten: choose a new file", param_hint="--secret-file"
        )
    if not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(f"{path.parent} is not a writable directory", param_hint="--secret-file")
    written: list[str] = []

    def keep(secret: str) -> None:
        stream.seek(0)
        stream.write(f"{secret}\n".encode())
        stream.truncate()
        written.append(file)

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(b" " * _RESERVED)
                stream.flush()
                yield keep
        finally:
            if not written:
                path.unlink()
    except OSError as error:
        if isinstance(error, EnpromptaError):  # a timeout of the request
            raise
        raise EnpromptaError(f"{file} cannot be written: {error.strerror or error}") from None
