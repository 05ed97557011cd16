"""The route of OTLP ingest."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from fastapi import APIRouter

from enprompta.emulator.api.request_context import Context, Response
from enprompta.emulator.errors import ENCODING_UNSUPPORTED, INVALID_OTLP, MEDIA_TYPE_UNSUPPORTED, TOO_LARGE, ApiError
from enprompta.emulator.ingest import otlp_json, otlp_protobuf
from enprompta.emulator.stores import traces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from enprompta.emulator.ingest.spans import OtlpSpan

router: APIRouter = APIRouter()

INGEST_PATH = "/api/ingest/otlp/v1/traces"
_MAX_DECODED = 16 * 1024 * 1024  # bytes
_MAX_SHOWN = 3  # spans in the message of a partial success
_ENCODINGS: dict[str, ModuleType] = {"application/json": otlp_json, "application/x-protobuf": otlp_protobuf}
_JSON, _PROTOBUF = _ENCODINGS
# The codes of google.rpc.Code for statuses of HTTP.
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 421: 3, 429: 8, 500: 13, 503: 14}
_UNKNOWN = 2


@router.post(INGEST_PATH)
async def ingest(context: Context) -> Response:
    """Store the spans of an OTLP export request; spans that cannot be stored are counted in a partial success."""
    media_type = _media_type(context.headers)
    encoding = _ENCODINGS.get(media_type)
    if encoding is None:
        allowed = " or ".join(_ENCODINGS)
        raise ApiError(MEDIA_TYPE_UNSUPPORTED, f"Content-Type must be {allowed}, not {media_type or 'absent'}")
    body = _decompressed(context.body, context.headers.get("content-encoding", "").strip().lower())
    try:
        spans: list[OtlpSpan] = encoding.read_spans(body)
    except otlp_json.MalformedError as error:
        raise ApiError(INVALID_OTLP, f"Invalid OTLP request: {error}") from None
    except otlp_protobuf.NotInstalledError:
        message = "This emulator reads protobuf only with opentelemetry-proto: pip install opentelemetry-proto"
        raise ApiError(MEDIA_TYPE_UNSUPPORTED, message) from None
    problems = [(span, span.problem()) for span in spans]
    traces.ingest(context.services.database, context.account, [span for span, problem in problems if problem is None])
    rejected = [f"{span.name!r:.80}: {problem}" for span, problem in problems if problem is not None]
    message = "; ".join(rejected[:_MAX_SHOWN]) + (" …" if len(rejected) > _MAX_SHOWN else "")
    return Response(encoding.success(len(rejected), message), media_type=media_type)


def error_response(error: ApiError, headers: Mapping[str, str]) -> Response:
    """Build the response of an error as OTLP has it: in protobuf for a request in protobuf, else in JSON."""
    media_type = _PROTOBUF if _media_type(headers) == _PROTOBUF else _JSON
    body = _ENCODINGS[media_type].status(_RPC_CODES.get(error.kind.status, _UNKNOWN), error.message)
    return Response(body, error.kind.status, media_type=media_type, headers=error.headers)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise ApiError(ENCODING_UNSUPPORTED, f"Content-Encoding must be gzip, not {encoding}")
    decompressor = zlib.decompressobj(47)  # gzip or zlib
    try:
        plain = decompressor.decompress(body, _MAX_DECODED)
    except zlib.error:
        raise ApiError(INVALID_OTLP, f"The body is not valid {encoding}") from None
    if decompressor.unconsumed_tail:
        raise ApiError(TOO_LARGE, f"The decompressed body is larger than {_MAX_DECODED} bytes")
    if not decompressor.eof:
        raise ApiError(INVALID_OTLP, f"The body is not complete {encoding}")
    return plain
