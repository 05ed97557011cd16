"""`enprompta webhooks`: manage subscriptions; receive, send and verify deliveries locally."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from enprompta import testing, webhooks
from enprompta._common.hosts import is_loopback
from enprompta._common.json_reading import reason_of
from enprompta._common.narrowing import is_dict
from enprompta.cli import options
from enprompta.cli.console import err, fail, line, out
from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Yes, given, given_only
from enprompta.cli.output import show_listing, show_object, show_rows, write_text
from enprompta.errors import ConfigurationError, EnpromptaError, WebhookError
from enprompta.webhooks.signature import secret_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

group: typer.Typer = typer.Typer(
    help="Manage webhooks; receive, send and verify deliveries locally.", no_args_is_help=True
)

_SHOWN = 500  # maximum number of characters of a response to print
_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
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


def _check_secrets(secrets: Any) -> list[str]:  # noqa: ANN401 (on Python 3.10, typer treats list[str] as a class)
    try:
        secret_keys(secrets)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    return secrets


Secrets = Annotated[
    list[str],
    typer.Option(
        "--secret",
        envvar="ENPROMPTA_WEBHOOK_SECRET",
        show_default=False,
        callback=_check_secrets,
        help="The webhook's secret; repeat it during a rotation. Prefer the variable: other users can see options.",
    ),
]


@group.command(epilog="Exit status: 0 SIGTERM, 130 Ctrl-C, 1 cannot listen on the address, 2 wrong usage.")
def listen(
    *,
    secret: Secrets,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for a free port.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Receive deliveries, verify them and print each event, or why it was refused."""
    from enprompta.cli.webhook_listener import Listener  # noqa: PLC0415 (the other commands need no server)

    try:
        listener = Listener(host, port, secret)
    except OSError as error:
        raise fail(f"Cannot listen on {host}, port {port}: {error.strerror or error}") from None
    listener.run()


@group.command(epilog="Exit status: 0 accepted with a 2xx status, 1 otherwise, 2 wrong usage.")
def trigger(
    event: Annotated[str, typer.Argument(help="The event type, such as prompt.executed.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="URL to send the event to.")],
    secret: Secrets,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="Fields that replace those of the example's data.")
    ] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="The event's id; default: a new id.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the response.")] = 30.0,
) -> None:
    """Send a signed example event and show the response."""
    fields = _data(data)
    if event not in testing.EXAMPLES and fields is None:
        known = ", ".join(testing.EXAMPLES)
        raise typer.BadParameter(f"There is no example of {event!r}: pass --data, or use one of {known}")
    try:
        target = httpx.URL(to)
    except httpx.InvalidURL as error:
        raise typer.BadParameter(f"{to!r} is not a URL: {error}", param_hint="--to") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise typer.BadParameter(f"{to!r} is not an http:// or https:// URL", param_hint="--to")
    delivery = testing.webhook_delivery(event, data=fields, event_id=event_id, secret=secret[0])
    out.print(line(("sent      ", "dim"), (event, "bold green"), "  ", delivery.headers["X-Enprompta-Event-Id"]))
    try:
        # Loopback requests are not sent through a proxy.
        answer = httpx.post(target, **delivery.httpx(), timeout=timeout, trust_env=not is_loopback(target.host))
    except httpx.HTTPError as error:
        raise fail(f"{to} did not answer: {error or type(error).__name__}") from None
    accepted = answer.status_code in _SUCCESS
    took = f" in {answer.elapsed.total_seconds() * 1000:.0f} ms"
    status = f"{answer.status_code} {answer.reason_phrase}".strip()
    out.print(line(("answered  ", "dim"), (status, "bold green" if accepted else "bold red"), (took, "dim")))
    if answer.text.strip():
        out.print(line("          ", answer.text.strip()[:_SHOWN]))
    if answer.status_code in _REDIRECT:
        raise fail(f"Deliveries do not follow redirects: use the target URL, {answer.headers.get('location')}")
    if not accepted:
        raise typer.Exit(1)


@group.command(epilog="Exit status: 0 valid, 1 wrong signature or not an event, 2 wrong usage.")
def verify(
    *, signature: Annotated[str, typer.Option(help="The value of the X-Enprompta-Signature header.")], secret: Secrets
) -> None:
    """Verify the signature of the body on standard input: `... verify --signature sha256=... < body`."""
    from enprompta.cli.webhook_listener import why_refused  # noqa: PLC0415 (--help needs nothing of it)

    if sys.stdin.isatty():
        err.print("Type or paste the body, then Ctrl-D:")
    body = sys.stdin.buffer.read()
    try:
        # No size limit, because the body is local.
        event = webhooks.construct_event(body, signature, secret, max_reserialized=len(body))
    except WebhookError:
        raise fail(why_refused(body, [signature], secret)) from None
    which = (
        f" with secret {(webhooks.matching_secret(body, signature, secret, max_reserialized=len(body)) or 0) + 1}"
        if len(secret) > 1
        else ""
    )
    out.print(line((f"verified{which}  ", "bold green"), event.event, "  ", event.id))


def _data(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"The value is not JSON: {reason_of(error)}", param_hint="--data") from None
    if not is_dict(value):
        raise typer.BadParameter("The value must be a JSON object", param_hint="--data")
    return value


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
