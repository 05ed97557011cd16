"""One exchange in a dialog: request, response, timeline, explanation; as code, and edited to be sent again.

A failed exchange is explained as the page on errors in the documentation does.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from enprompta.exchanges import TimelineEvent
from enprompta.workbench import components as c
from enprompta.workbench.sending import METHODS, Draft, as_curl, as_python, send
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.exchanges import Exchange
    from enprompta.workbench.sending import Sent


class Explanation(NamedTuple):
    """The meaning of an error, and its fix."""

    error: str
    """Name of the exception that a program gets."""
    meaning: str
    cure: str


_CONNECTION = Explanation(
    "APIConnectionError",
    "no complete answer: refused, reset, unknown host, TLS failure",
    "check the network, the proxy, `base_url`. `error.unsent` is True if the last attempt was certainly not sent",
)
_OTHER = Explanation("APIStatusError", "the body is too large, the method is wrong, …", "read the message")
_REDIRECT = Explanation(
    "APIStatusError", "redirects are not followed: they could send your key elsewhere", "check `base_url`"
)
_SERVER = Explanation(
    "InternalServerError", "the service failed on every attempt", "try later; quote `error.request_id` to support"
)
BY_STATUS: dict[int, Explanation] = {
    400: Explanation(
        "BadRequestError", "a parameter is invalid", "read `error.details`: each has a `field` and a message"
    ),
    401: Explanation(
        "AuthenticationError",
        "the key, secret or token is missing, wrong or revoked",
        "run `enprompta doctor`; create a new key. With OAuth2, the client has already tried a new token",
    ),
    402: Explanation(
        "InsufficientTokensError",
        "the plan has no credits left this month",
        "wait for the next period or upgrade; see `client.usage.get()`. Never retried",
    ),
    403: Explanation(
        "PermissionDeniedError",
        "the plan has no API access, the token lacks a scope, or the role does not allow it",
        "the message names the scope; see scopes, roles",
    ),
    404: Explanation(
        "NotFoundError",
        "the object does not exist, or you may not see it",
        "check the id and the key's account or team",
    ),
    409: Explanation(
        "ConflictError",
        "the object's state does not allow it, or an idempotency key was reused with another body",
        "fetch the object again; use a new key",
    ),
    422: Explanation("UnprocessableEntityError", "well-formed but not meaningful", "read `error.details`"),
    429: Explanation(
        "RateLimitError",
        "too many requests, or the budget is exhausted for longer than `max_wait`",
        "wait `error.retry_after` seconds; see rate limits",
    ),
}
"""The table "By status" of the documentation; a test compares them."""


def explain(exchange: Exchange) -> Explanation | None:
    """Explain a failed exchange; None for one that succeeded."""
    status = exchange.status
    if status is None:
        return _CONNECTION
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _SERVER
    return _OTHER if status >= HTTPStatus.BAD_REQUEST else _REDIRECT


def open_exchange(exchange: Exchange) -> None:
    """Open a dialog with everything about an exchange."""
    draft = draft_of(exchange)
    base_url = current().base_url
    with c.dialog(f"{exchange.method} {exchange.path}", wide=True):
        with c.box("div", "actions"):
            c.button("Edit and send again", lambda: open_sender(draft), kind="primary", icon_name="o_edit")
            _copy("Copy as Python", lambda: as_python(draft, base_url))
            _copy("Copy as curl", lambda: as_curl(draft, base_url))
        _explain(exchange)
        c.facts(
            [
                ("Status", partial(c.badge, exchange.status or "no response", "bad" if exchange.is_error else "good")),
                ("Duration", c.milliseconds(exchange.ms)),
                ("Request id", exchange.request_id),
                ("Program", exchange.program or None),
                ("Seen by", {"program": "the program's hook"}.get(exchange.source, f"the {exchange.source}")),
                ("Time", f"{c.local_time(exchange.at):%Y-%m-%d %H:%M:%S}"),
            ]
        )
        _timeline(exchange)
        c.text("h3", "Request")
        if exchange.query:
            c.code(exchange.query, label="Query")
        _headers("Request headers", exchange.request_headers)
        _body("Request body", exchange.request_body, exchange.request_size)
        c.text("h3", "Response")
        _headers("Response headers", exchange.response_headers)
        _body("Response body", exchange.response_body, exchange.response_size)


def open_sender(draft: Draft) -> None:
    """Open a dialog to edit a request and send it."""
    with c.dialog("Send a request", wide=True):
        sender_form(draft)


def sender_form(draft: Draft) -> None:
    """Add a form to edit a request and send it; the response appears below."""
    base_url = current().base_url
    with c.box("div", "form-row request"):
        method = c.select("Method", METHODS, value=draft.method)
        path = c.field("Path", draft.path, classes="grow")
        query = c.field("Query", draft.query, classes="grow", placeholder="limit=10")
    body = c.field("Body", c.pretty(draft.body), lines=8 if draft.body else 3, placeholder="JSON")

    def edited() -> Draft:
        return Draft(method.value, path.value.strip(), query.value.strip().removeprefix("?"), body.value)

    async def submit() -> None:
        result.clear()
        with result:
            waiting = c.loading("the response")
        try:
            sent = await send(edited())
        finally:
            waiting.delete()
        with result:
            show_sent(sent)

    with c.box("div", "actions"):
        c.button("Send", submit, kind="primary", icon_name="send")
        _copy("Copy as Python", lambda: as_python(edited(), base_url))
        _copy("Copy as curl", lambda: as_curl(edited(), base_url))
    result = c.box("div", "stack", {"aria-live": "polite"})


def show_sent(sent: Sent) -> None:
    """Show the response to a sent request."""
    with c.box("div", "row-line"):
        c.badge(sent.status, "bad" if sent.is_error else "good")
        c.text("span", c.milliseconds(sent.ms), "muted")
        c.text("span", sent.request_id or "", "mono muted")
    c.code(c.pretty(sent.text) or "(empty)", label="Response body")
    _headers("Response headers", tuple(sent.headers.items()))


def draft_of(exchange: Exchange) -> Draft:
    """Return the request of an exchange, to be edited."""
    return Draft(exchange.method, exchange.path, exchange.query, exchange.request_body.decode("utf-8", "replace"))


def _explain(exchange: Exchange) -> None:
    found = explain(exchange)
    if found is None:
        return
    with c.box("div", "problem", {"role": "note"}):
        c.icon("o_error_outline")
        with c.box("div", "problem-text"):
            c.text("strong", " · ".join(one for one in (exchange.error_code, found.error) if one))
            if exchange.error:
                c.text("p", exchange.error)
            c.text("p", f"Meaning: {found.meaning}.")
            c.text("p", f"What to do: {found.cure}.")


def _timeline(exchange: Exchange) -> None:
    """Show the steps of all attempts of the call, on one scale."""
    attempts = current().log.attempts_of(exchange)
    steps: list[TimelineEvent] = []
    for one in attempts:
        result = TimelineEvent("response", one.at, one.ms / 1000, str(one.status or one.error or "no response"))
        steps += [step for step in one.timeline if step.kind != "request"] or [result]
    start = min(step.at for step in steps)
    span = max(max(step.at + step.seconds for step in steps) - start, 0.001)
    c.text("h3", f"Timeline ({'1 attempt' if len(attempts) == 1 else f'{len(attempts)} attempts'})")
    with c.box("div", "timeline", {"role": "list", "aria-label": "Timeline"}):
        for step in steps:
            with c.box("div", "timeline-row", {"role": "listitem"}):
                c.text("span", {"wait": "Rate limit", "retry": "Retry pause"}.get(step.kind, step.text), "small")
                with c.box("div", "timeline-track"):
                    left, width = (step.at - start) / span * 100, step.seconds / span * 100
                    bar = c.box("div", f"timeline-bar timeline-{step.kind}", {"title": step.text})
                    bar.style(f"left: {min(left, 99.0):.2f}%; width: {max(min(width, 100 - left), 0.0):.2f}%")
                c.text("span", c.milliseconds(step.seconds * 1000), "small nowrap")
    if not any(one.timeline for one in attempts):
        c.text(
            "p", "Waits and retries appear here if the program reports them: set ENPROMPTA_WORKBENCH.", "muted small"
        )


def _headers(label: str, headers: tuple[tuple[str, str], ...]) -> None:
    if headers:
        with c.box("details", "details"):
            c.text("summary", f"{label} ({len(headers)})")
            c.code("\n".join(f"{name}: {value}" for name, value in headers), label=label)


def _body(label: str, body: bytes, size: int) -> None:
    if not size:
        c.text("p", f"{label}: none", "muted small")
        return
    if size > len(body):
        c.text("p", f"{label}: the first {len(body):,} of {size:,} bytes", "muted small")
    c.code(c.pretty(body.decode("utf-8", "replace")), label=label)


def _copy(label: str, make: Callable[[], str]) -> None:
    c.button(label, lambda: c.copy(make()), icon_name="o_content_copy")
