"""The page `/`, for people who open the emulator in a browser: it leads to the Workbench, or says how to start it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from enprompta.emulator.api.request_context import Context  # noqa: TC001 (FastAPI reads the annotation at run time)

router: APIRouter = APIRouter()

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<title>Enprompta emulator</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<h1>Enprompta emulator</h1>
<p>This server implements the Enprompta API. The Workbench shows what your programs send to it. To start it, run:</p>
<pre>enprompta workbench --url ORIGIN</pre>
<p>It asks for the control token, which the emulator prints when it starts.
To start both together, run <code>enprompta emulator --workbench</code>.</p>
"""


@router.get("/")
@router.get("/workbench")
async def show_page(context: Context) -> Response:
    """Redirect to the Workbench of this emulator, or say how to start one."""
    workbench = context.services.workbench_url()
    if workbench is not None:
        return RedirectResponse(workbench, headers=_HEADERS)
    host = context.headers.get("host", "127.0.0.1")  # checked before: a host name or an address
    return HTMLResponse(_PAGE.replace("ORIGIN", f"http://{host}"), headers=_HEADERS)
