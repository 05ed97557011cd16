"""The request context of a handler, with the parts of the emulator; and the building of its response."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import parse_qsl, unquote

from fastapi import Depends
from pydantic import AfterValidator
from starlette.requests import Request  # noqa: TC002 (FastAPI reads the annotation at run time)
from starlette.responses import JSONResponse, Response

from enprompta._common.narrowing import is_dict
from enprompta.emulator.api.request_models import validated
from enprompta.emulator.errors import invalid

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from enprompta.emulator.access.accounts import Account, AccountStore
    from enprompta.emulator.access.idempotency import Idempotency
    from enprompta.emulator.access.oauth_clients import OAuthClientStore
    from enprompta.emulator.access.rate_limiter import RateLimiter
    from enprompta.emulator.access.trusted_hosts import TrustedHosts
    from enprompta.emulator.api.request_models import Model, PageQuery
    from enprompta.emulator.database import Database
    from enprompta.emulator.errors import ErrorDialect
    from enprompta.emulator.execution.executor import Executor
    from enprompta.emulator.execution.providers import Providers
    from enprompta.emulator.execution.workflow_runner import WorkflowRunner
    from enprompta.emulator.serving.clock import EmulatorClock
    from enprompta.emulator.serving.faults import Faults
    from enprompta.emulator.stores.paging import Listing
    from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue, EventPublisher
    from enprompta.emulator.wire import JSONObject
    from enprompta.exchanges import ExchangeLog

SCOPE_KEY = "enprompta"


@dataclass(frozen=True, slots=True)
class Services:
    """Settings and shared parts of one emulator."""

    clock: EmulatorClock
    """Returns Unix seconds; the source of every time in the emulator."""
    started_at: float
    error_dialect: ErrorDialect
    database: Database
    accounts: AccountStore
    clients: OAuthClientStore
    limiter: RateLimiter
    idempotency: Idempotency
    providers: Providers
    delivery_queue: DeliveryQueue
    events: EventPublisher
    executor: Executor
    runner: WorkflowRunner
    faults: Faults
    exchanges: ExchangeLog
    control_token: str
    """Bearer token of the control interface."""
    workbench_url: Callable[[], str | None]
    """Returns the address of the Workbench that was started with the emulator, without its token; None without one."""
    trusted_hosts: TrustedHosts


@dataclass(slots=True)
class RequestContext:
    """One request; the middleware creates it and the handlers read it."""

    services: Services
    account: Account
    request_id: str
    now: float
    """Arrival time by the emulator's clock, in Unix seconds; the time of all that the request changes."""
    query_string: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers by lower-case name."""
    body: bytes = b""

    def query(self, model: type[Model]) -> Model:
        """Return the query parameters; the last value of a repeated parameter counts."""
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        return validated(model, dict(pairs))

    def read(self, model: type[Model], known: object = None, *, required: bool = False) -> Model:
        """Return the fields of the JSON body; an absent body counts as an empty object unless it is required."""
        return validated(model, self._fields(required=required), known)

    def _fields(self, *, required: bool) -> dict[str, object]:
        if not self.body.strip():
            if required:
                raise invalid([{"field": "body", "message": "Required"}])
            return {}
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            message = f"Must be application/json, not {media_type or 'absent'}"
            raise invalid([{"field": "Content-Type", "message": message}])
        value = _parse(self.body)
        if not is_dict(value):
            raise invalid([{"field": "body", "message": "Must be a JSON object"}])
        return value


async def _current(request: Request) -> RequestContext:  # async: FastAPI runs plain functions on a thread
    context: RequestContext = request.scope[SCOPE_KEY]
    return context


Context = Annotated[RequestContext, Depends(_current)]
"""Annotation for the parameter of a handler that receives the request."""

PathId = Annotated[str, AfterValidator(unquote)]
"""Annotation for an id in a path; paths stay encoded until here, so that an id may contain a slash."""

NO_CONTENT: dict[str, Any] = {"status_code": 204, "response_model": None, "response_class": Response}
"""Arguments of the decorator of a handler whose response has no body."""


def ok(data: object, *, status: int = 200) -> Response:
    """Build a response with data in the API's envelope."""
    return JSONResponse({"success": True, "data": data}, status_code=status)


def page(
    context: RequestContext, listing: Listing, query: PageQuery, wire: Callable[[sqlite3.Row], JSONObject]
) -> Response:
    """Build a response with one page of a list; `wire` returns a row as JSON."""
    rows, pagination = listing.page(context.services.database, query.limit, query.cursor)
    return JSONResponse({"success": True, "data": [wire(row) for row in rows], "pagination": pagination})


def _parse(body: bytes) -> object:
    try:
        value: object = json.loads(body.decode("utf-8"), parse_float=_finite, parse_constant=_not_json)
        if b"\\ud" in body or b"\\uD" in body:  # JSON allows lone surrogates, which UTF-8 cannot encode
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # ValueError: invalid UTF-8 or JSON, or a number too long
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


def _not_json(text: str) -> NoReturn:
    raise ValueError(text)
