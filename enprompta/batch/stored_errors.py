"""The errors of failed rows as JSON, as a checkpoint stores them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from enprompta import errors
from enprompta.batch.errors import ExecutionFailedError, RowError
from enprompta.errors import APIResponseError, APIStatusError, EnpromptaError, ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.models.executions import Execution


def error_json(error: EnpromptaError | None) -> str:
    """Return an error as JSON; empty if there is none."""
    if error is None:
        return ""
    known: dict[str, object] = {"type": type(error).__name__, "message": error.message}
    if isinstance(error, (APIStatusError, APIResponseError)):
        known |= {"status_code": error.status_code, "request_id": error.request_id}
    if isinstance(error, APIStatusError):
        known["code"] = error.code
    if isinstance(error, APIResponseError):
        known["body"] = error.body.decode("latin-1")
    return json.dumps(known)


def error_from(text: str | None, execution: Execution | None) -> EnpromptaError | None:
    """Recreate an error; only of known classes, because the file is untrusted.

    Raises:
        ValueError: It is no JSON, or a value is out of range.
        TypeError: A value has the wrong type.
        KeyError: A value is missing.
    """
    if text is None:
        return None
    known: dict[str, Any] = json.loads(text)
    message, name = _text(known["message"]), _text(known["type"])
    if name == ExecutionFailedError.__name__ and execution is not None:
        return ExecutionFailedError(message, execution=execution)
    if name == RowError.__name__:
        return RowError(message)
    kind = getattr(errors, name) if name in errors.__all__ else None
    if not isinstance(kind, type):
        kind = EnpromptaError
    if issubclass(kind, (APIStatusError, APIResponseError)):
        return _with_response(kind, message, known)
    if issubclass(kind, (errors.APIConnectionError, errors.ConfigurationError)):
        return kind(message)
    return EnpromptaError(message)


def _with_response(
    kind: type[APIStatusError | APIResponseError], message: str, known: Mapping[str, Any]
) -> EnpromptaError:
    request_id = known["request_id"] and _text(known["request_id"])
    status_code = int(known["status_code"])
    if issubclass(kind, APIResponseError):
        body = _text(known["body"]).encode("latin-1")
        return kind(message, status_code=status_code, request_id=request_id, body=body)
    info = ErrorInfo(message=message, code=known["code"] and _text(known["code"]))
    return kind(message, status_code=status_code, info=info, request_id=request_id)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
