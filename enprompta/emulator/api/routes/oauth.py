"""Token endpoint: client credentials grant (RFC 6749, section 4.4)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from enprompta.emulator.access.oauth_clients import OAuthError
from enprompta.emulator.api.request_context import Context  # noqa: TC001 (FastAPI reads the annotation at run time)
from enprompta.emulator.errors import INVALID_CLIENT, ApiError, invalid

router: APIRouter = APIRouter(prefix="/api/v1")

_GRANT = "client_credentials"
_MAX_CREDENTIAL = 255
_MAX_SCOPE = 1_000
_MAX_GRANT = 100
_NOT_KEPT = {"Cache-Control": "no-store"}  # RFC 6749, section 5.1
_FIELDS = {"unsupported_grant_type": "grant_type", "invalid_scope": "scope"}


@router.post("/oauth/token")
async def create_token(context: Context) -> Response:
    """Grant an access token to a client."""
    clients = context.services.clients
    clients.requests += 1
    try:
        return _grant(context)
    except OAuthError as refused:
        if clients.rfc_errors:
            content = {"error": refused.code, "error_description": refused.message}
            return JSONResponse(content, 401 if refused.code == "invalid_client" else 400, _NOT_KEPT)
        if refused.code == "invalid_client":
            raise ApiError(INVALID_CLIENT, refused.message) from refused
        raise invalid([{"field": _FIELDS[refused.code], "message": refused.message}]) from refused


def _grant(context: Context) -> Response:
    clients = context.services.clients
    try:
        fields = context.fields()
        grant_type = fields.text("grant_type", required=True, max_length=_MAX_GRANT)
        client_id = fields.text("client_id", required=True, max_length=_MAX_CREDENTIAL) or ""
        secret = fields.text("client_secret", required=True, max_length=_MAX_CREDENTIAL) or ""
        scope = fields.text("scope", nullable=False, max_length=_MAX_SCOPE, allow_empty=True)
        fields.check()
    except ApiError as error:
        if not clients.rfc_errors:
            raise
        wrong = "; ".join(f"{it['field']}: {it['message']}" for it in error.details)
        raise OAuthError("invalid_request", wrong) from error
    if grant_type != _GRANT:
        raise OAuthError("unsupported_grant_type", f"Must be {_GRANT}")
    token = clients.grant(client_id, secret, scope, context.now)
    content = {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": token.lifetime,
        "scope": " ".join(token.scopes),
    }
    return JSONResponse(content, headers=_NOT_KEPT)
