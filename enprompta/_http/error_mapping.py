"""From what went wrong to the one error that says so: every status, both error dialects, every exception of httpx."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from enprompta._common.redaction import Mask
from enprompta._http.ratelimit import parse_rate_limit, server_wait
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

MAX_MESSAGE = 2_000  # characters of the server's message that go into ours; `body` holds all of it
SHOWN_DETAILS = 5

_NOTHING = Mask(())


def status_error(call: str, response: httpx.Response, now: float, mask: Mask = _NOTHING) -> APIStatusError:
    """Make the error of an answer that is not 2xx.

    Args:
        call: What was called, such as `GET /prompts`.
        response: The answer, its body read.
        now: This machine's clock in Unix seconds.
        mask: Hides the credentials that an answer may echo.
    """
    status, headers = response.status_code, mask.headers(response.headers)
    info = read_error_body(mask.body(response.content))
    request_id = headers.get("x-request-id") or info.request_id
    return status_error_class(status)(
        _describe(call, status, info, headers, request_id),
        status_code=status,
        info=info,
        request_id=request_id,
        rate_limit=parse_rate_limit(headers),
        retry_after=server_wait(status, headers, now),
        headers=headers,
    )


def read_error_body(body: bytes) -> ErrorInfo:
    """Read an error body of either dialect, of OAuth2's (RFC 6749, 5.2), or of none."""
    if not body.strip():
        return ErrorInfo()
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return ErrorInfo(body=body.decode("utf-8", "replace"))
    if not isinstance(data, dict):
        return ErrorInfo(body=data)
    top = cast("dict[str, Any]", data)
    error = top.get("error")
    if not isinstance(error, dict):
        # {"error": null}, {"error": "text"}, RFC 6749's {"error": "code", "error_description": "text"}, or no "error"
        message = _text(top.get("error_description")) or _text(top.get("message")) or _text(error)
        code = _text(error) if "error_description" in top else _text(top.get("code"))
        return ErrorInfo(message, code, request_id=_text(top.get("request_id")), body=top)
    error = cast("dict[str, Any]", error)
    number = error.get("code")
    return ErrorInfo(
        message=_text(error.get("message")),
        code=_text(error.get("type")) or (None if isinstance(number, bool) else _text(number)),
        numeric_code=_whole(number),
        details=tuple(_details(error.get("details"))),
        request_id=_text(error.get("request_id")),
        documentation_url=_text(error.get("documentation_url")),
        body=top,
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and value != "" else None


def _whole(value: object) -> int | None:
    """Read the number of an error, whether it came as a number or as its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None  # noqa: PLR2004
    return value if isinstance(value, int) else None


def _details(details: object) -> list[FieldError]:
    """Read `details` in any form: a list of objects or texts, a mapping of fields to messages, or one text."""
    if isinstance(details, dict):
        named = cast("dict[str, object]", details)
        if "message" in named:
            return [_detail(named)]
        return [FieldError(name, _joined(value)) for name, value in named.items()]
    if isinstance(details, list):
        return [_detail(entry) for entry in cast("list[object]", details) if entry is not None]
    return [] if details is None or details == "" else [FieldError(None, str(details))]


def _detail(entry: object) -> FieldError:
    if not isinstance(entry, dict):
        return FieldError(None, str(entry))
    named = cast("dict[str, object]", entry)
    return FieldError(_text(named.get("field")), _joined(named.get("message", "")))


def _joined(value: object) -> str:
    return "; ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _describe(call: str, status: int, info: ErrorInfo, headers: Mapping[str, str], request_id: str | None) -> str:
    """Say what happened, to which call, which field, what to do, and the request id."""
    try:
        reason = f" {HTTPStatus(status).phrase}"
    except ValueError:
        reason = ""
    text = f"{call} gave {status}{reason}"
    if info.message:
        text += f": {info.message[:MAX_MESSAGE]}"
    if 300 <= status < 400:  # noqa: PLR2004 (3xx is the definition)
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


def transport_error(call: str, host: str, error: Exception, mask: Mask = _NOTHING) -> EnpromptaError:
    """Make the error for what the HTTP library raised instead of an answer, with that as its cause.

    Args:
        call: What was called, such as `GET /prompts`.
        host: Where it was sent.
        error: What was raised. It is left out of the causes when it quotes a broken answer that echoes a credential.
        mask: Hides the credentials.
    """
    made = _from_transport(call, host, error, mask.text(_words_of(error)))
    made.__cause__ = None if mask.hides(error) else error
    return made


def _words_of(error: BaseException) -> str:
    """What an exception says; what it came of, where it says nothing, as those of trio do."""
    seen: BaseException | None = error
    while seen is not None:
        if text := str(seen):
            return text
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__


def _from_transport(call: str, host: str, error: Exception, what: str) -> EnpromptaError:
    if isinstance(error, RuntimeError) and "closed" in what:
        return ConfigurationError(f"{call}: this client is closed; make a new one")
    kinds = {kind.__name__ for kind in type(error).__mro__}  # by name, for httpx2 has the same ones
    made = (APITimeoutError if "TimeoutException" in kinds else APIConnectionError)(
        f"{call}: {_failure(host, kinds, what)}"
    )
    made.unsent = not kinds.isdisjoint({"ConnectError", "ConnectTimeout", "PoolTimeout"})
    return made


def _failure(host: str, kinds: set[str], what: str) -> str:
    if "ConnectTimeout" in kinds:
        return f"{host} did not accept a connection in time"
    if "PoolTimeout" in kinds:
        return "no connection of the pool became free in time; nothing was sent"
    if "TimeoutException" in kinds:
        return f"{host} went silent for longer than timeout allows"
    if "ConnectError" in kinds:
        return f"cannot connect to {host}: {what}"
    if not kinds.isdisjoint({"ProtocolError", "DecodingError", "ValueError"}):
        return f"{host} gave a broken answer: {what}"
    return f"the connection to {host} failed: {what}"
