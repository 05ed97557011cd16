"""The Workbench: a web page to try every operation of the API, based on Swagger UI.

The assets of Swagger UI come from the package fastapi-offline, so that nothing is fetched from the internet. The page
has no inline scripts or styles, which its Content-Security-Policy forbids.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.params import Path
from starlette.responses import HTMLResponse, JSONResponse, Response

from enprompta._common.data import read_data
from enprompta.emulator.access.accounts import Keys
from enprompta.emulator.api.openapi_document import document_for
from enprompta.emulator.errors import NOT_FOUND, ApiError

router: APIRouter = APIRouter(prefix="/workbench", include_in_schema=False)

_PAGE = ("enprompta.emulator.api", "workbench/workbench.html")
_ASSETS = {
    "swagger-ui-bundle.js": (("fastapi_offline", "static/swagger-ui-bundle.js"), "text/javascript"),
    "swagger-ui.css": (("fastapi_offline", "static/swagger-ui.css"), "text/css"),
    "workbench.css": (("enprompta.emulator.api", "workbench/workbench.css"), "text/css"),
    "workbench.js": (("enprompta.emulator.api", "workbench/workbench.js"), "text/javascript"),
}


@router.get("")
async def show_page() -> Response:
    """Serve the page, with the key that the emulator's banner shows, so that page and shell see the same prompts."""
    page = read_data(*_PAGE).decode()
    return HTMLResponse(page.replace("KEY", Keys().team))


@router.get("/openapi.json")
async def show_document(request: Request) -> Response:
    """Serve the OpenAPI document, with this emulator as its server."""
    return JSONResponse(document_for(f"{request.url.scheme}://{request.url.netloc}"))


@router.get("/assets/{name}")
async def show_asset(name: Annotated[str, Path()]) -> Response:
    """Serve a script or stylesheet of the page or of Swagger UI."""
    if name not in _ASSETS:
        raise ApiError(NOT_FOUND, f"The Workbench has no asset {name!r}")
    (package, path), media_type = _ASSETS[name]
    headers = {"Cache-Control": "max-age=86400"}
    return Response(read_data(package, path), media_type=media_type, headers=headers)
