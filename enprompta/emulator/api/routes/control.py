"""Routes of the control interface, below `/control`; each request needs the emulator's control token.

The API's keys are not enough, because these routes create keys, delete data and make requests fail. Objects that do not
exist get a 404, invalid values a 400.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from enprompta._common.narrowing import is_dict, is_list
from enprompta._version import __version__
from enprompta.emulator.access.accounts import TIERS
from enprompta.emulator.access.scopes import SCOPES
from enprompta.emulator.api.request_context import NO_CONTENT, Context, JSONResponse, PathId, RequestContext, Response
from enprompta.emulator.api.request_models import RequestModel, digits
from enprompta.emulator.control import documents
from enprompta.emulator.control.sample_data import add_sample_data
from enprompta.emulator.errors import NOT_FOUND, VALIDATION, ApiError
from enprompta.emulator.stores import deliveries, prompts, templates, usage, webhooks
from enprompta.emulator.wire import JSONObject, as_json, iso
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.serving.faults import Fault


class _ControlRoute(APIRoute):
    """A route that responds with a 404 to a `LookupError`, and with a 400 to a `ConfigurationError`."""

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
_MAX_NAME = 100
_CLOCK_SECONDS = ("advance", "window", "day")


class _Changes(RequestModel, frozen=True):
    after: Annotated[int, digits(0, 2**53)] = 0
    wait: Annotated[int, digits(0, MAX_WAIT)] = 0


class _Deliveries(RequestModel, frozen=True):
    limit: Annotated[int, digits(1, 500)] = 100


@router.get("")
async def get_info(context: Context) -> Response:
    """Describe the emulator: version, plans, scopes, events and the clock."""
    content = {
        "version": __version__,
        "plans": [
            {
                "name": name,
                "requestsPerMinute": tier.per_minute,
                "requestsPerDay": tier.per_day,
                "credits": tier.credits,
                "apiAccess": tier.api_access,
            }
            for name, tier in TIERS.items()
        ],
        "scopes": list(SCOPES),
        "events": list(webhooks.EVENTS),
        "clock": _clock(context),
    }
    return JSONResponse(content)


# Exchanges


@router.get("/exchanges")
async def list_exchanges(context: Context) -> Response:
    """List the exchanges that were added or changed after a revision; wait up to `wait` seconds for the first."""
    query = context.query(_Changes)
    log, loop = context.services.exchanges, asyncio.get_running_loop()
    arrived = asyncio.Event()

    def wake(_: object) -> None:
        loop.call_soon_threadsafe(arrived.set)

    unsubscribe = log.subscribe(wake)
    try:
        revision, found = log.changes(query.after)
        if not found and revision == query.after and query.wait > 0:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(arrived.wait(), query.wait)
            revision, found = log.changes(query.after)
    finally:
        unsubscribe()
    return JSONResponse({"revision": revision, "exchanges": [one.to_json() for one in found]})


@router.delete("/exchanges", **NO_CONTENT)
async def clear_exchanges(context: Context) -> None:
    """Remove all logged exchanges."""
    context.services.exchanges.clear()


# Accounts, keys and OAuth2 clients


@router.get("/accounts")
async def list_accounts(context: Context) -> Response:
    """List the accounts with their plans and usage."""
    return JSONResponse([_account(context, account) for account in context.services.accounts.all()])


@router.put("/accounts/{account_id}")
async def set_plan(context: Context, account_id: PathId) -> Response:
    """Move an account to another plan."""
    plan = str(_body(context).get("plan"))
    if plan not in TIERS:
        raise ConfigurationError(f"Unknown plan {plan}; use one of {', '.join(TIERS)}")
    return JSONResponse(_account(context, context.services.accounts.set_plan(account_id, plan)))


@router.get("/keys")
async def list_keys(context: Context) -> Response:
    """List the API keys; only the built-in ones, which are public, are shown in full."""
    return JSONResponse([_key(row) for row in context.services.accounts.all_keys()])


@router.post("/keys")
async def generate_key(context: Context) -> Response:
    """Create an API key; only this response contains it."""
    body = _body(context)
    name = _name(body.get("name"))
    row = context.services.accounts.generate_key(str(body.get("accountId")), name, context.now)
    return JSONResponse({**_key(row), "key": row["key"]}, status_code=201)


@router.put("/keys/{key_id}")
async def rename_key(context: Context, key_id: PathId) -> Response:
    """Rename an API key."""
    return JSONResponse(_key(context.services.accounts.rename_key(key_id, _name(_body(context).get("name")))))


@router.delete("/keys/{key_id}")
async def revoke_key(context: Context, key_id: PathId) -> Response:
    """Revoke an API key."""
    return JSONResponse(_key(context.services.accounts.revoke_key(key_id, context.now)))


@router.get("/oauth-clients")
async def list_oauth_clients(context: Context) -> Response:
    """List the OAuth2 clients, without their secrets."""
    rows = context.services.clients.all()
    return JSONResponse([{"clientId": row["id"], **as_json(row, "account_id scopes")} for row in rows])


@router.post("/oauth-clients")
async def add_oauth_client(context: Context) -> Response:
    """Create an OAuth2 client; only this response contains its secret."""
    body = _body(context)
    plan = str(body.get("plan"))
    client = context.services.clients.add(plan, _texts(body.get("scopes")))
    content = {"clientId": client.client_id, "clientSecret": client.client_secret, "accountId": f"acc_{plan}"}
    return JSONResponse(content, status_code=201)


@router.put("/oauth-clients/{client_id}", **NO_CONTENT)
async def set_scopes(context: Context, client_id: PathId) -> None:
    """Change the scopes that an OAuth2 client may request."""
    context.services.clients.set_scopes(client_id, _texts(_body(context).get("scopes")))


@router.delete("/oauth-clients/{client_id}", **NO_CONTENT)
async def remove_oauth_client(context: Context, client_id: PathId) -> None:
    """Delete an OAuth2 client."""
    context.services.clients.remove(client_id)


# Faults, clock and windows


@router.get("/faults")
async def list_faults(context: Context) -> Response:
    """List the faults, the one added first coming first."""
    return JSONResponse([_fault(fault) for fault in context.services.faults])


@router.post("/faults")
async def add_fault(context: Context) -> Response:
    """Add a fault, with the arguments of `Faults.add`."""
    options: dict[str, Any] = _body(context)
    try:
        return JSONResponse(_fault(context.services.faults.add(**options)), status_code=201)
    except TypeError as error:
        raise ConfigurationError(f"The fault is invalid: {error}") from error


@router.delete("/faults", **NO_CONTENT)
async def clear_faults(context: Context) -> None:
    """Remove all faults."""
    context.services.faults.clear()


@router.delete("/faults/{fault_id}", **NO_CONTENT)
async def remove_fault(context: Context, fault_id: PathId) -> None:
    """Remove a fault."""
    context.services.faults.remove(int(fault_id) if fault_id.isdecimal() else 0)


@router.put("/clock")
async def set_clock(context: Context) -> Response:
    """Move, stop or resume the clock; change the windows.

    The body has any of `reset` (true), `advance` (seconds), `stopped` (a boolean), `window` and `day` (seconds).
    """
    changes = _body(context)
    clock, limiter = context.services.clock, context.services.limiter
    numbers = {name: _number(name, changes[name]) for name in _CLOCK_SECONDS if name in changes}
    if unknown := changes.keys() - {"reset", "stopped", *_CLOCK_SECONDS}:
        raise ConfigurationError(f"Unknown {', '.join(sorted(unknown))}; use reset, advance, stopped, window or day")
    if "window" in numbers or "day" in numbers:
        window, day = limiter.windows
        limiter.set_windows(numbers.get("window", window), numbers.get("day", day))
    if changes.get("reset"):
        clock.reset()
    clock.advance(numbers.get("advance", 0.0))
    if "stopped" in changes:
        (clock.stop if changes["stopped"] else clock.resume)()
    limiter.forget()
    return JSONResponse(_clock(context))


# Data


@router.post("/reset", **NO_CONTENT)
async def reset(context: Context) -> None:
    """Delete all data, faults and logged exchanges, and return to the state of a new emulator."""
    await _replace_data(context, {"format": documents.FORMAT, "tables": {}})
    context.services.faults.clear()
    context.services.exchanges.clear()
    context.services.clock.reset()


@router.post("/seed", **NO_CONTENT)
async def seed(context: Context) -> None:
    """Add sample data to an account: objects of each kind, and two weeks of activity."""
    account = context.services.accounts.by_id(str(_body(context).get("accountId")))
    add_sample_data(context.services.database, account, context.now)


@router.get("/data")
async def export_data(context: Context) -> Response:
    """Export all data as one JSON document, including keys and secrets."""
    return JSONResponse(documents.export_data(context.services.database))


@router.put("/data", **NO_CONTENT)
async def import_data(context: Context) -> None:
    """Replace all data by an exported document."""
    await _replace_data(context, _body(context))


async def _replace_data(context: RequestContext, document: JSONObject) -> None:
    """Replace all data while no workflow runs and no delivery is sent."""
    services = context.services
    await services.runner.stop()
    await services.delivery_queue.stop()
    try:
        with services.database.transaction():
            documents.import_data(services.database, document)
            templates.seed(services.database, services.clock())
            services.accounts.load()
            services.clients.load()
            usage.seed(services.database, services.clock())
    except (LookupError, TypeError) as error:  # such as an unknown plan
        raise ConfigurationError(f"The document is damaged: {error}") from error
    finally:
        services.accounts.load()  # after a rollback too
        services.limiter.forget()
        services.delivery_queue.start()
        services.runner.start()


# Prompts and webhooks


@router.get("/prompts/{prompt_id}/versions")
async def list_versions(context: Context, prompt_id: PathId) -> Response:
    """List the versions of a prompt, newest first."""
    return JSONResponse(prompts.versions(context.services.database, prompt_id))


@router.put("/prompts/{prompt_id}/labels/{label}", **NO_CONTENT)
async def set_label(context: Context, prompt_id: PathId, label: PathId) -> None:
    """Point a label at a version."""
    version = _body(context).get("version")
    if not isinstance(version, int):
        raise ConfigurationError("version must be a whole number")
    prompts.set_label(context.services.database, prompt_id, _name(label), version)


@router.delete("/prompts/{prompt_id}/labels/{label}", **NO_CONTENT)
async def remove_label(context: Context, prompt_id: PathId, label: PathId) -> None:
    """Remove a label."""
    prompts.remove_label(context.services.database, prompt_id, label)


@router.get("/deliveries")
async def list_deliveries(context: Context) -> Response:
    """List the newest webhook deliveries of all accounts, with payload, attempts and the receiver's responses."""
    return JSONResponse(deliveries.inbox(context.services.database, context.query(_Deliveries).limit))


@router.post("/events")
async def trigger_event(context: Context) -> Response:
    """Publish an event of an account; the response has the number of webhooks that it is delivered to."""
    services, body = context.services, _body(context)
    data, event = body.get("data"), str(body.get("event"))
    if not is_dict(data):
        raise ConfigurationError("data must be an object")
    if event not in webhooks.EVENTS:
        raise ConfigurationError(f"Unknown event {event}; use one of {', '.join(webhooks.EVENTS)}")
    account = services.accounts.by_id(str(body.get("accountId")))
    services.events.publish(account, event, data)
    number = len(webhooks.subscribed(services.database, account, event))
    return JSONResponse({"webhooks": number}, status_code=201)


def _account(context: RequestContext, account: Account) -> JSONObject:
    services = context.services
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "plan": account.tier.name,
        "usage": usage.usage(services.database, services.accounts, services.limiter, account, context.now),
    }


def _key(row: sqlite3.Row) -> JSONObject:
    is_public = row["created_at"] == 0
    return {
        **as_json(row, "id name account_id"),
        "shown": row["key"] if is_public else f"ep_test_…{row['key'][-4:]}",
        "isBuiltIn": is_public,
        **as_json(row, "created_at revoked_at"),
    }


def _fault(fault: Fault) -> JSONObject:
    names = ("id", "path", "method", "status", "latency", "drip", "drop", "times")
    return {**{name: getattr(fault, name) for name in names}, "hits": len(fault.hits), "isOver": fault.is_over}


def _clock(context: RequestContext) -> JSONObject:
    """Describe the clock and the rate limit windows."""
    clock, (window, day) = context.services.clock, context.services.limiter.windows
    state = {"now": clock(), "time": iso(clock()), "offset": clock.offset, "isStopped": clock.is_stopped}
    return {**state, "window": window, "day": day}


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


def _name(text: object) -> str:
    if not isinstance(text, str) or not text.strip() or len(text) > _MAX_NAME:
        raise ConfigurationError(f"A name must be a text of 1 to {_MAX_NAME} characters")
    return text.strip()


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number of seconds")
    return float(value)
