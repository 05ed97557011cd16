"""The Workbench: a page on which every operation of the API can be tried.

Swagger UI, from the assets that the package fastapi-offline carries, so that nothing is fetched from elsewhere.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.params import Path
from starlette.responses import HTMLResponse, JSONResponse, Response

from enprompta.emulator.access.accounts import Keys
from enprompta.emulator.api.openapi_document import document_for
from enprompta.emulator.errors import NOT_FOUND, ApiError

router: APIRouter = APIRouter(prefix="/workbench", include_in_schema=False)

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Enprompta Workbench</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/workbench/assets/swagger-ui.css">
  <style>
    body { margin: 0; background: #fafafa; }
    header { padding: 1rem 1.5rem; background: #1b2430; color: #fff; font: 16px/1.5 system-ui, sans-serif; }
    header code { padding: .1rem .4rem; border-radius: .25rem; background: #33404f; }
    #swagger-ui .info { margin: 1.5rem 0; }
  </style>
</head>
<body>
  <header>
    <strong>Enprompta Workbench</strong> &middot; every call goes to this emulator, with the test key
    <code>KEY</code> filled in; <em>Authorize</em> takes another.
  </header>
  <main id="swagger-ui"></main>
  <script src="/workbench/assets/swagger-ui-bundle.js"></script>
  <script>
    window.ui = SwaggerUIBundle({
      url: "/workbench/openapi.json",
      dom_id: "#swagger-ui",
      deepLinking: true,
      displayRequestDuration: true,
      docExpansion: "list",
      filter: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      onComplete: () => window.ui.preauthorizeApiKey("apiKey", "KEY"),
    });
  </script>
</body>
</html>
"""


@router.get("")
async def show_page() -> Response:
    """Serve the page, with the key filled in that the emulator tells a shell to use: both then see the same prompts."""
    return HTMLResponse(_PAGE.replace("KEY", Keys().team))


@router.get("/openapi.json")
async def show_document(request: Request) -> Response:
    """Serve the API's document, with this emulator as its server."""
    return JSONResponse(document_for(f"{request.url.scheme}://{request.url.netloc}"))


@router.get("/assets/{name}")
async def show_asset(name: Annotated[str, Path()]) -> Response:
    """Serve a file of Swagger UI."""
    if name not in _ASSETS:
        raise ApiError(NOT_FOUND, f"The Workbench has no asset {name!r}")
    asset = files("fastapi_offline").joinpath("static").joinpath(name)
    headers = {"Cache-Control": "max-age=86400"}
    return Response(asset.read_bytes(), media_type=_ASSETS[name], headers=headers)
