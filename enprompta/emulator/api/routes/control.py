"""Routes of the control interface, below `/control`; each request needs the emulator's control token.

The API's keys are not enough, because these routes create keys, delete data and make requests fail.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from enprompta._common.narrowing import is_dict, is_list
from enprompta.emulator.api.request_context import Context, JSONResponse, PathId, RequestContext, Response
from enprompta.emulator.api.request_models import RequestModel, digits
from enprompta.emulator.control.controller import Controller
from enprompta.emulator.errors import NOT_FOUND, VALIDATION, ApiError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request

    from enprompta.emulator.wire import JSONObject


class _ControlRoute(APIRoute):
    """A route that responds with a 404 or a 400 to the errors of the controller."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except LookupError as error:
                raise ApiError(NOT_FOUND, str(error.args[0])) from error
            except ConfigurationError as error:
                raise ApiError(VALIDATION, error.message) from error

        return handle


router: APIRouter = APIRouter(prefix="/control", route_class=_ControlRoute)

MAX_WAIT = 25
"""Seconds that a request for exchanges waits at most for a new one."""


class _Changes(RequestModel, frozen=True):
    after: Annotated[int, digits(0, 2**53)] = 0
    wait: Annotated[int, digits(0, MAX_WAIT)] = 0


class _Deliveries(RequestModel, frozen=True):
    limit: Annotated[int, digits(1, 500)] = 100


@router.get("")
async def get_info(context: Context) -> Response:
    """Describe the emulator."""
    return JSONResponse(_controller(context).info())


@router.get("/exchanges")
async def list_exchanges(context: Context) -> Response:
    """List the exchanges that were added or changed after a revision; wait up to `wait` seconds for the first."""
    query = context.query(_Changes)
    return JSONResponse(await _changes(context, query.after, query.wait))


@router.delete("/exchanges")
async def clear_exchanges(context: Context) -> Response:
    """Remove all logged exchanges."""
    context.services.exchanges.clear()
    return Response(status_code=204)


@router.get("/accounts")
async def list_accounts(context: Context) -> Response:
    """List the accounts with their plans and usage."""
    return JSONResponse(_controller(context).accounts())


@router.put("/accounts/{account_id}")
async def set_plan(context: Context, account_id: PathId) -> Response:
    """Change the plan of an account."""
    return JSONResponse(_controller(context).set_plan(account_id, str(_body(context).get("plan"))))


@router.get("/keys")
async def list_keys(context: Context) -> Response:
    """List the API keys."""
    return JSONResponse(_controller(context).keys())


@router.post("/keys")
async def generate_key(context: Context) -> Response:
    """Create an API key."""
    body = _body(context)
    key = _controller(context).generate_key(str(body.get("accountId")), body.get("name"))
    return JSONResponse(key, status_code=201)


@router.put("/keys/{key_id}")
async def rename_key(context: Context, key_id: PathId) -> Response:
    """Rename an API key."""
    return JSONResponse(_controller(context).rename_key(key_id, _body(context).get("name")))


@router.delete("/keys/{key_id}")
async def revoke_key(context: Context, key_id: PathId) -> Response:
    """Revoke an API key."""
    return JSONResponse(_controller(context).revoke_key(key_id))


@router.get("/oauth-clients")
async def list_oauth_clients(context: Context) -> Response:
    """List the OAuth2 clients."""
    return JSONResponse(_controller(context).oauth_clients())


@router.post("/oauth-clients")
async def add_oauth_client(context: Context) -> Response:
    """Create an OAuth2 client."""
    body = _body(context)
    created = _controller(context).add_oauth_client(str(body.get("plan")), _texts(body.get("scopes")))
    return JSONResponse(created, status_code=201)


@router.put("/oauth-clients/{client_id}")
async def set_scopes(context: Context, client_id: PathId) -> Response:
    """Change the scopes that an OAuth2 client may request."""
    context.services.clients.set_scopes(client_id, _texts(_body(context).get("scopes")))
    return Response(status_code=204)


@router.delete("/oauth-clients/{client_id}")
async def remove_oauth_client(context: Context, client_id: PathId) -> Response:
    """Delete an OAuth2 client."""
    context.services.clients.remove(client_id)
    return Response(status_code=204)


@router.get("/faults")
async def list_faults(context: Context) -> Response:
    """List the faults."""
    return JSONResponse(_controller(context).faults())


@router.post("/faults")
async def add_fault(context: Context) -> Response:
    """Add a fault."""
    return JSONResponse(_controller(context).add_fault(_body(context)), status_code=201)


@router.delete("/faults")
async def clear_faults(context: Context) -> Response:
    """Remove all faults."""
    context.services.faults.clear()
    return Response(status_code=204)


@router.delete("/faults/{fault_id}")
async def remove_fault(context: Context, fault_id: PathId) -> Response:
    """Remove a fault."""
    context.services.faults.remove(int(fault_id) if fault_id.isdecimal() else 0)
    return Response(status_code=204)


@router.put("/clock")
async def set_clock(context: Context) -> Response:
    """Move, stop or resume the clock; change the windows."""
    return JSONResponse(_controller(context).set_clock(_body(context)))


@router.post("/reset")
async def reset(context: Context) -> Response:
    """Return to the state of a new emulator."""
    await _controller(context).reset()
    return Response(status_code=204)


@router.post("/seed")
async def seed(context: Context) -> Response:
    """Add sample data to an account."""
    _controller(context).seed(str(_body(context).get("accountId")))
    return Response(status_code=204)


@router.get("/data")
async def export_data(context: Context) -> Response:
    """Export all data."""
    return JSONResponse(_controller(context).export())


@router.put("/data")
async def import_data(context: Context) -> Response:
    """Replace all data by an exported document."""
    await _controller(context).import_document(_body(context))
    return Response(status_code=204)


@router.get("/prompts/{prompt_id}/versions")
async def list_versions(context: Context, prompt_id: PathId) -> Response:
    """List the versions of a prompt."""
    return JSONResponse(_controller(context).versions(prompt_id))


@router.put("/prompts/{prompt_id}/labels/{label}")
async def set_label(context: Context, prompt_id: PathId, label: PathId) -> Response:
    """Point a label at a version."""
    version = _body(context).get("version")
    if not isinstance(version, int):
        raise ConfigurationError("version must be a whole number")
    _controller(context).set_label(prompt_id, label, version)
    return Response(status_code=204)


@router.delete("/prompts/{prompt_id}/labels/{label}")
async def remove_label(context: Context, prompt_id: PathId, label: PathId) -> Response:
    """Remove a label."""
    _controller(context).remove_label(prompt_id, label)
    return Response(status_code=204)


@router.get("/deliveries")
async def list_deliveries(context: Context) -> Response:
    """List the newest webhook deliveries of all accounts."""
    return JSONResponse(_controller(context).deliveries(context.query(_Deliveries).limit))


@router.post("/events")
async def trigger_event(context: Context) -> Response:
    """Publish an event."""
    body = _body(context)
    data = body.get("data")
    if not is_dict(data):
        raise ConfigurationError("data must be an object")
    number = _controller(context).trigger(str(body.get("accountId")), str(body.get("event")), data)
    return JSONResponse({"webhooks": number}, status_code=201)


def _controller(context: RequestContext) -> Controller:
    return Controller(context.services)


async def _changes(context: RequestContext, after: int, wait: int) -> dict[str, object]:
    log, loop = context.services.exchanges, asyncio.get_running_loop()
    arrived = asyncio.Event()

    def wake(_: object) -> None:
        loop.call_soon_threadsafe(arrived.set)

    unsubscribe = log.subscribe(wake)
    try:
        revision, found = log.changes(after)
        if not found and revision == after and wait > 0:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(arrived.wait(), wait)
            revision, found = log.changes(after)
    finally:
        unsubscribe()
    return {"revision": revision, "exchanges": [one.to_json() for one in found]}


def _body(context: RequestContext) -> JSONObject:
    """Return the JSON object in the body; an absent body counts as an empty object."""
    try:
        value: object = json.loads(context.body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not is_dict(value):
        raise ApiError(VALIDATION, "The body must be a JSON object")
    return value


def _texts(value: object) -> list[str]:
    if not is_list(value):
        raise ConfigurationError("scopes must be a list")
    return [str(one) for one in value]
