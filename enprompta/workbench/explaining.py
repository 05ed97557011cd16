"""Explains a failed exchange, and how to fix it, as the page on errors in the documentation does."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from enprompta.exchanges import Exchange


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
    "APIStatusError",
    "redirects are not followed: they could send your key elsewhere",
    "check `base_url`",
)
_SERVER = Explanation(
    "InternalServerError",
    "the service failed on every attempt",
    "try later; quote `error.request_id` to support",
)
BY_STATUS: dict[int, Explanation] = {
    400: Explanation(
        "BadRequestError",
        "a parameter is invalid",
        "read `error.details`: each has a `field` and a message",
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
