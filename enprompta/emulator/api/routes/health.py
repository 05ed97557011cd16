"""Health check, which needs no credential."""

from __future__ import annotations

import sqlite3
import time

from fastapi import APIRouter

from enprompta._version import __version__
from enprompta.emulator.api.request_context import Context, JSONResponse, Response
from enprompta.emulator.api.request_models import Flag, RequestModel
from enprompta.emulator.wire import JSONObject, iso

router: APIRouter = APIRouter(prefix="/api/v1")


class _Health(RequestModel, frozen=True):
    detailed: Flag = False


@router.get("/health")
async def health(context: Context) -> Response:
    """Report the emulator's health; with `detailed`, that of its components too."""
    detailed = context.query(_Health).detailed
    started = time.perf_counter()
    message = None
    try:
        context.services.database.one("SELECT 1")
    except sqlite3.Error as error:
        message = str(error)
    database: JSONObject = {
        "status": "healthy" if message is None else "unhealthy",
        "latency_ms": round((time.perf_counter() - started) * 1000),
        "message": message,
    }
    return JSONResponse(
        {
            "status": database["status"],
            "version": __version__,
            "timestamp": iso(context.now),
            "components": {"database": database} if detailed else None,
            "uptime_seconds": max(0, int(context.now - context.services.started_at)),
        }
    )
