"""`enprompta webhooks`: receive, send and verify deliveries locally."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import httpx
import typer

from enprompta import testing, webhooks
from enprompta._common.hosts import is_loopback
from enprompta._common.json_reading import reason_of
from enprompta._common.narrowing import is_dict
from enprompta.cli.console import err, fail, line, out
from enprompta.errors import ConfigurationError, WebhookError
from enprompta.webhooks.signature import secret_keys

group: typer.Typer = typer.Typer(
    help="Manage webhooks; receive, send and verify deliveries locally.", no_args_is_help=True
)

_SHOWN = 500  # maximum number of characters of a response to print
_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)


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
    *,
    signature: Annotated[str, typer.Option(help="The value of the X-Enprompta-Signature header.")],
    secret: Secrets,
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
