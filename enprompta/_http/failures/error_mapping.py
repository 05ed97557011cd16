"""Map failures to errors: HTTP statuses, both error formats of the API, and the exceptions of HTTP libraries."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from enprompta._common.json_reading import read_json
from enprompta._common.narrowing import is_dict, is_list
from enprompta._common.redaction import Redactor, without_credentials
from enprompta._core.steps import REDIRECT, TRIED
from enprompta.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    EnpromptaError,
    ErrorInfo,
    FieldError,
    status_error_class,
)
from enprompta.limiters.rate_limit_headers import CLIENT_ERROR
from enprompta.limiters.server_wait import parse_rate_limit, server_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enprompta._core.steps import Answer

    class Proxy(Protocol):
        """A proxy; its text is its URL, without user name and password."""

        @property
        def variable(self) -> str: ...


MAX_MESSAGE = 2_000  # characters of the server's message in the error's message; `body` has all of it
SHOWN_DETAILS = 5
_MOST_DIGITS = 9  # of a numeric error code

_NOTHING = Redactor(())
_WANTS_CREDENTIALS = "put the proxy's user name and password into"


def status_error(call: str, response: Answer, now: float, mask: Redactor = _NOTHING) -> APIStatusError:
    """Return the error for a response that is not 2xx.

    Args:
        call: Name of the call, such as `GET /prompts`.
        response: The response, with its body read.
        now: Local time in Unix seconds.
        mask: Redacts credentials that the response may echo.
    """
    status, headers = response.status_code, mask.headers(response.headers)
    info = read_error_body(mask.body(response.content)) if response.content else ErrorInfo()
    request_id = headers.get("x-request-id") or info.request_id
    return status_error_class(status)(
        mask.text(_describe(call, response, info, headers, request_id)),
        status_code=status,
        info=info,
        request_id=request_id,
        rate_limit=parse_rate_limit(headers),
        retry_after=server_wait(status, headers, now),
        headers=headers,
    )


def read_error_body(body: bytes) -> ErrorInfo:
    """Read an error body in either format of the API, in that of OAuth2 (RFC 6749, 5.2), or in any other."""
    if not body.strip():
        return ErrorInfo()
    try:
        data = read_json(body)
    except ValueError:
        return ErrorInfo(body=body.decode("utf-8", "replace"))
    if not is_dict(data):
        return ErrorInfo(body=data)
    error = data.get("error")
    if not is_dict(error):
        # {"error": null}, {"error": "text"}, RFC 6749's {"error": "code", "error_description": "text"}, or no "error"
        message = _text(data.get("error_description")) or _text(data.get("message")) or _text(error)
        code = _text(error) if "error_description" in data else _text(data.get("code"))
        return ErrorInfo(message, code, request_id=_text(data.get("request_id")), body=data)
    number = error.get("code")
    return ErrorInfo(
        message=_text(error.get("message")),
        code=_text(error.get("type")) or (None if isinstance(number, bool) else _text(number)),
        numeric_code=_whole(number),
        details=tuple(_details(error.get("details"))),
        request_id=_text(error.get("request_id")),
        documentation_url=_text(error.get("documentation_url")),
        body=data,
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and value != "" else None


def _whole(value: object) -> int | None:
    """Read the numeric error code, given as a number or as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else None
    return value if isinstance(value, int) else None


def _details(details: object) -> list[FieldError]:
    """Read `details`: a list of objects or texts, a mapping of fields to messages, or one text."""
    if is_dict(details):
        if "message" in details:
            return [_detail(details)]
        return [FieldError(name, _joined(value)) for name, value in details.items()]
    if is_list(details):
        return [_detail(entry) for entry in details if entry is not None]
    return [] if details is None or details == "" else [FieldError(None, str(details))]


def _detail(entry: object) -> FieldError:
    if not is_dict(entry):
        return FieldError(None, str(entry))
    return FieldError(_text(entry.get("field")), _joined(entry.get("message", "")))


def _joined(value: object) -> str:
    return "; ".join(map(str, value)) if is_list(value) else str(value)


def _describe(call: str, response: Answer, info: ErrorInfo, headers: Mapping[str, str], request_id: str | None) -> str:
    """Compose the message: the call, the status, the server's message, fields, a hint and the request id."""
    status = response.status_code
    try:
        reason = f" {HTTPStatus(status).phrase}"
    except ValueError:
        reason = ""
    text = f"{call} returned {status}{reason}"
    if info.message:
        text += f": {info.message[:MAX_MESSAGE]}"
    if response.refusal:
        text += f" with {response.refusal}, which was not read"
    if status == HTTPStatus.NOT_MODIFIED:
        text += f": {_unmodified(response)}"
    elif REDIRECT <= status < CLIENT_ERROR:
        text += f": redirects are not followed (to {headers.get('location', 'nowhere')[:200]}); check base_url"
    if info.code and info.code != info.message:
        text += f" [{info.code[:MAX_MESSAGE]}]"
    if info.details:
        shown = [f"{one.field}: {one.message}" if one.field else one.message for one in info.details[:SHOWN_DETAILS]]
        more = len(info.details) - len(shown)
        text += f" ({'; '.join(shown)[:MAX_MESSAGE]}{f'; and {more} more' if more else ''})"
    if request_id:
        text += f" (request id: {request_id[:MAX_MESSAGE]})"
    return text


def _unmodified(response: Answer) -> str:
    """Explain a 304 response."""
    if {"if-none-match", "if-modified-since"} & response.request.headers.keys():
        return "the object still matches the If-None-Match or If-Modified-Since header of the request"
    return "the request is unconditional, so a cache in front of the API is misconfigured; check base_url"


def transport_error(
    call: str, host: str, error: Exception, mask: Redactor = _NOTHING, proxy: Proxy | None = None
) -> EnpromptaError:
    """Return the error for an exception of the HTTP library, with that exception as its cause.

    Args:
        call: Name of the call, such as `GET /prompts`.
        host: Host and port that the request was sent to.
        error: The exception. It is not kept as the cause if it quotes a credential; credentials are removed from the
            requests that it and its causes hold.
        mask: Redacts credentials.
        proxy: The client's proxy; None without one, or for the caller's `http_client`.
    """
    made = _from_transport(mask.text(call), host, error, mask.text(_words_of(error)), proxy)
    if any(kind.__name__ == "DecodingError" for kind in type(error).__mro__):
        error.with_traceback(None)  # its frames hold the body, and crash reporters show variables
    made.__cause__ = None if mask.hides(error) else without_credentials(error, mask)
    return made


def _words_of(error: BaseException) -> str:
    """Return the first non-empty message of an exception or its causes, and the failures of each address."""
    reasons = list(_reasons(error))
    text = next((text for reason in reasons if (text := str(reason))), type(error).__name__)
    refusals = [str(one) for reason in reasons for one in getattr(reason, "exceptions", ()) if str(one)]
    shown = "; ".join(refusals[:SHOWN_DETAILS])
    return f"{text} ({shown})" if shown and shown not in text else text


def _reasons(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def lacks_sockets(error: BaseException) -> bool:
    """True if this Python has no sockets, as in a browser; retries cannot succeed."""
    return any(isinstance(reason, NotImplementedError) for reason in _reasons(error))


def needs_proxy_credentials(error: BaseException) -> bool:
    """True if a proxy requires a user name and password; retries cannot succeed."""
    return _WANTS_CREDENTIALS in str(error)


def _from_transport(call: str, host: str, error: Exception, what: str, proxy: Proxy | None) -> EnpromptaError:
    if isinstance(error, RuntimeError) and "closed" in what:
        return ConfigurationError(f"{call}: this client is closed; create a new one")
    if lacks_sockets(error):
        made = APIConnectionError(f"{call}: this Python cannot open network connections (NotImplementedError: {what})")
        made.unsent = True
        return made
    kinds = {kind.__name__ for kind in type(error).__mro__}  # by name, because httpx2 has the same names
    made = (APITimeoutError if "TimeoutException" in kinds else APIConnectionError)(
        f"{call}: {_failure_at_proxy(host, kinds, what, error, proxy) or _failure(host, kinds, what)}"
    )
    made.unsent = not kinds.isdisjoint({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})
    return made


def _failure_at_proxy(host: str, kinds: set[str], what: str, error: Exception, proxy: Proxy | None) -> str | None:
    """Describe a failure at the proxy; None if the proxy was not the cause."""
    named = "the proxy" if proxy is None else f"the proxy {proxy}"
    if "ProxyError" in kinds:
        text = f"{named} refused to connect to {host}: {what}"
        variable = "the proxy's address" if proxy is None else proxy.variable
        hint = f"; {_WANTS_CREDENTIALS} {variable} (http://user:password@host:port)"
        return text + (hint if what.startswith("407") else "")
    if proxy is None:
        return None
    if "ConnectTimeout" in kinds:
        return f"{host} did not accept a connection through {named} in time"
    if "ConnectError" in kinds and _is_about_tls(error):
        return f"cannot connect to {host} through {named}: {what}"
    return f"cannot connect to {named} on the way to {host}: {what}" if "ConnectError" in kinds else None


def _is_about_tls(error: BaseException | None) -> bool:
    """True if a TLS handshake failed, which happens after connecting to the proxy."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _failure(host: str, kinds: set[str], what: str) -> str:
    if "ConnectTimeout" in kinds:
        return f"{host} did not accept a connection in time" + (f": {what}" if what.startswith(TRIED) else "")
    if "PoolTimeout" in kinds:
        return "no connection of the pool became free in time; nothing was sent"
    if "TimeoutException" in kinds:
        return f"{host} sent nothing for longer than timeout allows"
    if "ConnectError" in kinds:
        return f"cannot connect to {host}: {what}"
    if not kinds.isdisjoint({"ProtocolError", "DecodingError", "ValueError"}):
        return f"{host} sent an invalid response: {what}"
    return f"the connection to {host} failed: {what}"
