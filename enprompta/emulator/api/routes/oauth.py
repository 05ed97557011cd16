"""Token endpoint: client credentials grant (RFC 6749, section 4.4)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from enprompta.emulator.access.oauth_clients import OAuthError
from enprompta.emulator.api.request_context import Context, JSONResponse, Response
from enprompta.emulator.api.request_models import NotNull, Omittable, RequestModel, Text100
from enprompta.emulator.errors import INVALID_CLIENT, ApiError, invalid

router: APIRouter = APIRouter(prefix="/api/v1")

_GRANT = "client_credentials"
_NOT_KEPT = {"Cache-Control": "no-store"}  # RFC 6749, section 5.1
_FIELDS = {"unsupported_grant_type": "grant_type", "invalid_scope": "scope"}

Credential = Annotated[str, Field(min_length=1, max_length=255)]


class _TokenRequest(RequestModel, frozen=True):
    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=None)  # its fields are those of the RFC

    grant_type: NotNull[Text100]
    client_id: NotNull[Credential]
    client_secret: NotNull[Credential]
    scope: Omittable[Annotated[str, Field(max_length=1_000)]] = None


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
        body = context.read(_TokenRequest)
    except ApiError as error:
        if not clients.rfc_errors:
            raise
        wrong = "; ".join(f"{it['field']}: {it['message']}" for it in error.details)
        raise OAuthError("invalid_request", wrong) from error
    if body.grant_type != _GRANT:
        raise OAuthError("unsupported_grant_type", f"Must be {_GRANT}")
    token = clients.grant(body.client_id, body.client_secret, body.scope, context.now)
    content = {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": token.lifetime,
        "scope": " ".join(token.scopes),
    }
    return JSONResponse(content, headers=_NOT_KEPT)
