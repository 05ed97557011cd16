"""Redact the credentials of one request: those of the client, and the key or token that was sent."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from enprompta._common.redaction import MASKED, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def mask_for(request: httpx.Request, secrets: Iterable[str]) -> Redactor:
    """Return the redactor of a request, for the client's secrets and the key or token that was sent."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return _mask(frozenset((*secrets, sent)))


@lru_cache(maxsize=16)
def _mask(secrets: frozenset[str]) -> Redactor:
    """Return a cached redactor: compiling one takes longer than using it."""
    return Redactor(secrets)


def without_credentials(error: Exception, mask: Redactor) -> Exception:
    """Replace the requests on an exception and its causes by copies without body and credentials.

    HTTP libraries attach the request to their exceptions, and error reporters and debuggers show it.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        rest += one.__cause__, one.__context__
        for holder in (one, getattr(one, "response", None)):
            if (request := _request_of(holder)) is not None:
                holder.request = _shown(request, mask)  # type: ignore[union-attr] # it has one
    return error


def _request_of(holder: object) -> httpx.Request | None:
    with suppress(RuntimeError):  # httpx raises it if there is none
        request: httpx.Request | None = getattr(holder, "request", None)
        return request if hasattr(getattr(request, "headers", None), "multi_items") else None
    return None


def _shown(request: httpx.Request, mask: Redactor) -> httpx.Request:
    headers = [
        (name, MASKED if name.lower() in CREDENTIAL_HEADERS else mask.text(value))
        for name, value in request.headers.multi_items()
    ]
    return type(request)(request.method, mask.text(str(request.url)), headers=headers)
