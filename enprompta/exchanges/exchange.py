"""One logged HTTP exchange, as a value and as JSON."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, dataclass, field, fields
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BODY_BYTES = 32 * 1024
"""Bytes kept of each body; `request_size` and `response_size` have the full sizes."""

LOGGED_BODY_BYTES = MAX_BODY_BYTES + 4 * 1024
"""Bytes of a longer body to pass to `ExchangeLog.add`, so that a secret at the cut is recognized and redacted."""

CALL_HEADER = "x-enprompta-workbench-call"
"""Request header by which the program's hook names the call and the attempt: `CALL/ATTEMPT`."""

_CALL = re.compile(r"([\w.-]{1,64})/([1-9][0-9]{0,5})", re.ASCII)

Source = Literal["emulator", "relay", "program"]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One step of a call, as the calling program saw it."""

    kind: Literal["wait", "request", "response", "retry"]
    """`wait`: waited for the rate limit; `retry`: pauses before the next attempt."""
    at: float
    """Start of the step, in Unix seconds."""
    seconds: float = 0.0
    """Duration of the wait, the response or the pause."""
    text: str = ""
    """Short description, such as the status or the error message."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response. Credentials are redacted, and bodies are cut to `MAX_BODY_BYTES`."""

    id: int
    """Number in its log, increasing from 1."""
    at: float
    """Start of the request, in Unix seconds."""
    method: str
    path: str
    """Path of the URL, percent-encoded as it was sent, without the query."""
    query: str = ""
    status: int | None = None
    """HTTP status; None if no response was sent or received."""
    ms: float = 0.0
    """Milliseconds from the request to the end of the response."""
    program: str = ""
    """The `User-Agent` header of the request."""
    request_id: str | None = None
    """The `X-Request-Id` of the response."""
    error_code: str | None = None
    """`error.code` (or `error.type`) of an error response, such as `VALIDATION_ERROR`."""
    error: str | None = None
    """Message of the error response, or the reason that there is no response; None after success."""
    source: Source = "emulator"
    """Where the exchange was observed: by the server, on the way to it, or only by the program."""
    call: str | None = None
    """Identifies the program's call; all attempts of a call share it. None if the program does not report it."""
    attempt: int = 1
    """Number of the attempt within the call."""
    request_headers: Headers = ()
    request_body: bytes = field(default=b"", repr=False)
    request_size: int = 0
    response_headers: Headers = ()
    response_body: bytes = field(default=b"", repr=False)
    response_size: int = 0
    timeline: tuple[TimelineEvent, ...] = ()
    """Steps of this attempt that the program reported, oldest first; empty without the program's hook."""

    @property
    def is_error(self) -> bool:
        """True if there was no response, or one with a status of 400 or more."""
        return self.status is None or self.status >= HTTPStatus.BAD_REQUEST

    def to_json(self) -> dict[str, Any]:
        """Return the exchange as a JSON object, with the bodies in base64."""
        values = asdict(self)
        for name in ("request_body", "response_body"):
            values[name] = base64.b64encode(values[name]).decode("ascii")
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Exchange:
        """Restore an exchange from `to_json`; unknown fields are ignored."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        for name in ("request_body", "response_body"):
            known[name] = base64.b64decode(known.get(name, ""))
        for name in ("request_headers", "response_headers"):
            known[name] = tuple((str(key), str(value)) for key, value in known.get(name, ()))
        known["timeline"] = tuple(TimelineEvent(**one) for one in known.get("timeline", ()))
        return cls(**known)


def call_of(headers: Iterable[tuple[str, str]]) -> tuple[str | None, int]:
    """Return the call and the attempt that a request names; None and 1 if it names none."""
    values = {name.lower(): value for name, value in headers}
    named = _CALL.fullmatch(values.get(CALL_HEADER, ""))
    return (named[1], int(named[2])) if named else (None, 1)
