"""A request as the handlers see it: who sent it, when, and what it says."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import parse_qsl, unquote

from fastapi import Depends
from pydantic import AfterValidator
from starlette.requests import Request  # noqa: TC002 (FastAPI reads the annotation when it runs)
from starlette.responses import JSONResponse, Response

from enprompta.emulator.api.request_models import Fields, Query
from enprompta.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.services import Services
    from enprompta.emulator.wire import JSONObject

SCOPE_KEY = "enprompta"


@dataclass(slots=True)
class RequestContext:
    """One request; the gateway fills it in and the handlers read it."""

    services: Services
    account: Account
    request_id: str
    now: float
    """When the request came, by the emulator's clock: the time of all it does."""
    query_string: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """By lower-case name."""
    body: bytes = b""

    def query(self) -> Query:
        """Read the query parameters; of one given twice the last counts."""
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        return Query(dict(pairs))

    def fields(self, *, required: bool = False) -> Fields:
        """Read the body, which must be a JSON object; none at all is an empty one, unless there must be one."""
        if not self.body.strip():
            if required:
                raise invalid([{"field": "body", "message": "Required"}])
            return Fields({})
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            message = f"Must be application/json, not {media_type or 'absent'}"
            raise invalid([{"field": "Content-Type", "message": message}])
        value = _parse(self.body)
        if not isinstance(value, dict):
            raise invalid([{"field": "body", "message": "Must be a JSON object"}])
        return Fields(cast("dict[str, object]", value))


async def _current(request: Request) -> RequestContext:  # async: FastAPI sends plain functions to a thread
    context: RequestContext = request.scope[SCOPE_KEY]
    return context


Context = Annotated[RequestContext, Depends(_current)]
"""Annotation of a handler's parameter that takes the request."""

PathId = Annotated[str, AfterValidator(unquote)]
"""Annotation of an id in a path: the gateway keeps paths quoted, so that a quoted slash stays inside its id."""


def ok(data: object, *, status: int = 200) -> Response:
    """Answer with data in the envelope."""
    return JSONResponse({"success": True, "data": data}, status_code=status)


def page(items: list[JSONObject], pagination: JSONObject) -> Response:
    """Answer with one page of a list."""
    return JSONResponse({"success": True, "data": items, "pagination": pagination})


def no_content() -> Response:
    """Answer that it is done and there is nothing to say."""
    return Response(status_code=204)


def _parse(body: bytes) -> object:
    try:
        value: object = json.loads(body.decode("utf-8"), parse_float=_finite, parse_constant=_not_json)
        if b"\\ud" in body or b"\\uD" in body:  # half of a surrogate pair is JSON, but is not text: it has no UTF-8
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8, bad JSON, a number of 5,000 digits
        raise invalid([{"field": "body", "message": f"Is not valid JSON: {_reason(error)}"}]) from error
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno} column {error.colno}"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a number is out of range"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _not_json(text: str) -> Any:  # noqa: ANN401 (json's own signature)
    raise ValueError(text)
