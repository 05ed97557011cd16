"""Error responses of the API, in the two formats that its documentation shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

ErrorDialect = Literal["reference", "detailed"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of error: its HTTP status, and its names in both formats."""

    status: int
    code: str
    """Name in the `reference` format."""
    number: int
    """Number in the `detailed` format: 1xxx auth, 2xxx validation, 3xxx resource, 4xxx limits, 5xxx server."""
    type: str
    """Name in the `detailed` format."""


VALIDATION = Kind(400, "VALIDATION_ERROR", 2001, "VALIDATION_ERROR")
TOO_LARGE = Kind(413, "PAYLOAD_TOO_LARGE", 2002, "VALIDATION_PAYLOAD_TOO_LARGE")
INVALID_OTLP = Kind(400, "VALIDATION_ERROR", 2003, "VALIDATION_INVALID_OTLP")
MEDIA_TYPE_UNSUPPORTED = Kind(415, "UNSUPPORTED_MEDIA_TYPE", 2004, "VALIDATION_UNSUPPORTED_MEDIA_TYPE")
ENCODING_UNSUPPORTED = Kind(415, "UNSUPPORTED_MEDIA_TYPE", 2005, "VALIDATION_UNSUPPORTED_ENCODING")
INVALID_KEY = Kind(401, "UNAUTHORIZED", 1001, "AUTH_INVALID_TOKEN")
MISSING_KEY = Kind(401, "UNAUTHORIZED", 1002, "AUTH_MISSING_TOKEN")
INVALID_CLIENT = Kind(401, "UNAUTHORIZED", 1005, "AUTH_INVALID_CLIENT")
FORBIDDEN = Kind(403, "FORBIDDEN", 1003, "AUTH_INSUFFICIENT_PERMISSIONS")
NO_API_ACCESS = Kind(403, "FORBIDDEN", 1004, "AUTH_SUBSCRIPTION_REQUIRED")
NOT_FOUND = Kind(404, "NOT_FOUND", 3001, "RESOURCE_NOT_FOUND")
METHOD_NOT_ALLOWED = Kind(405, "METHOD_NOT_ALLOWED", 3002, "RESOURCE_METHOD_NOT_ALLOWED")
FOREIGN_HOST = Kind(421, "MISDIRECTED_REQUEST", 3004, "RESOURCE_MISDIRECTED_REQUEST")
FOREIGN_ORIGIN = Kind(403, "FORBIDDEN", 1006, "AUTH_FOREIGN_ORIGIN")
CONFLICT = Kind(409, "CONFLICT", 3003, "RESOURCE_CONFLICT")
RATE_LIMITED = Kind(429, "RATE_LIMIT_EXCEEDED", 4001, "RATE_LIMIT_EXCEEDED")
INSUFFICIENT_TOKENS = Kind(402, "INSUFFICIENT_TOKENS", 4002, "QUOTA_INSUFFICIENT_TOKENS")
INTERNAL = Kind(500, "INTERNAL_ERROR", 5001, "SERVER_INTERNAL_ERROR")
STOPPING = Kind(503, "SERVICE_UNAVAILABLE", 5003, "SERVER_UNAVAILABLE")
STORAGE = Kind(500, "INTERNAL_ERROR", 5002, "SERVER_STORAGE_ERROR")

Detail = dict[str, str]
"""One entry of `details`: `{"field": …, "message": …}`."""


class ApiError(Exception):
    """An error response, raised anywhere while a request is handled."""

    def __init__(
        self, kind: Kind, message: str, *, details: Sequence[Detail] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details: list[Detail] = list(details)
        self.headers: dict[str, str] = dict(headers or {})


def invalid(details: Sequence[Detail]) -> ApiError:
    """Build a 400 that names every invalid field."""
    return ApiError(VALIDATION, "Invalid request parameters", details=details)


def not_found(what: str, id: str) -> ApiError:
    """Build a 404 for an object that does not exist or belongs to another account."""
    return ApiError(NOT_FOUND, f"{what} {id!r} not found")


def found(row: sqlite3.Row | None, what: str, id: str) -> sqlite3.Row:
    """Return the row of an object, or raise a 404 if there is none."""
    if row is None:
        raise not_found(what, id)
    return row


def response(error: ApiError, *, dialect: ErrorDialect, request_id: str) -> JSONResponse:
    """Build the HTTP response of an error in the given format."""
    kind = error.kind
    if dialect == "reference":
        content: dict[str, object] = {"error": {"code": kind.code, "message": error.message, "details": error.details}}
    else:
        content = {
            "success": False,
            "error": {
                "code": kind.number,
                "type": kind.type,
                "message": error.message,
                "request_id": request_id,
                "documentation_url": f"https://enprompta.com/docs/api/errors#{kind.number}",
                "details": error.details,
            },
        }
    return JSONResponse(content, status_code=kind.status, headers=error.headers)
