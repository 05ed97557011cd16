"""The ASGI application: the routes, and FastAPI's own errors in the API's format.

All handlers are `async`: FastAPI runs plain functions on a thread pool, which costs more than SQLite's statements.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from enprompta._common.data import read_data
from enprompta.emulator.api.middleware import Middleware, error_response, failure_of
from enprompta.emulator.api.request_context import SCOPE_KEY
from enprompta.emulator.api.routes import (
    control,
    executions,
    health,
    ingest,
    oauth,
    pages,
    prompts,
    teams,
    templates,
    traces,
    usage,
    webhooks,
    workflows,
)
from enprompta.emulator.errors import METHOD_NOT_ALLOWED, NOT_FOUND, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from enprompta.emulator.api.request_context import Services

_ROUTERS = (
    prompts.router,
    prompts.live_router,
    executions.router,
    templates.router,
    workflows.router,
    teams.router,
    webhooks.router,
    traces.router,
    ingest.router,
    usage.router,
    oauth.router,
    health.router,
    control.router,
    pages.router,
)
_METHOD_NOT_ALLOWED = 405


def create_app(services: Services) -> Middleware:
    """Create the ASGI application of one emulator."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        services.delivery_queue.start()
        services.runner.start()
        try:
            yield
        finally:
            await services.runner.stop()
            await services.delivery_queue.stop()
            await services.providers.aclose()

    app = FastAPI(
        title="Enprompta emulator",
        openapi_url=None,  # the project has its own OpenAPI document, which is not derived from the handlers
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={ApiError: _fail, HTTPException: _fail_as_http, Exception: _fail},
    )
    for router in _ROUTERS:
        app.include_router(router)
    routes = [route for router in _ROUTERS for route in router.routes]
    return Middleware(app, services, lambda scope: any(route.matches(scope)[0] is Match.FULL for route in routes))


async def _fail(request: Request, error: Exception) -> Response:
    return error_response(failure_of(error), request.scope, request.scope[SCOPE_KEY])


async def _fail_as_http(request: Request, error: Exception) -> Response:
    """Respond to FastAPI's own errors: unknown path and method not allowed."""
    path, method = request.scope["path"], request.method
    if isinstance(error, HTTPException) and error.status_code == _METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        message = f"{method} is not allowed for {path}; allowed: {allowed}"
        return await _fail(request, ApiError(METHOD_NOT_ALLOWED, message, headers={"Allow": allowed}))
    return await _fail(request, ApiError(NOT_FOUND, f"Path {path} not found"))


def _methods(request: Request) -> list[str]:
    """List the methods of a path; FastAPI names only those of the first matching route."""
    methods: set[str] = set()
    for route in (route for router in _ROUTERS for route in router.routes):
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the API, which the client and the emulator are tested with."""
    return deepcopy(_document())


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is optional, and ten times faster
    return yaml.load(_text(), Loader=loader)  # noqa: S506 (both loaders are safe)


def _text() -> str:
    """Read the document: from the package in a wheel, from `docs` in a checkout."""
    try:
        return read_data("enprompta.emulator", "openapi.yaml").decode()
    except OSError:
        return read_data("enprompta.emulator", "../../docs/openapi.yaml").decode()
