"""Faults to inject: what can go wrong between a client and the service, made to happen.

    emulator.faults.add(path="/prompts/*", status=503, times=2, headers={"Retry-After": "0"})
    emulator.faults.add(method="POST", drop="after", times=1)     # the work is done and the answer is lost

A fault strikes after the request's credential has been checked and counted, and before its handler runs.
"""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from enprompta.emulator.errors import ApiError, Kind
from enprompta.emulator.errors import response as error_response
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Receive, Scope

    from enprompta.emulator.errors import ErrorDialect

_CONNECTION = "enprompta.connection"
_NO_BODY = frozenset({204, 304})
_STARS = re.compile(r"(/?\*\*|\*)")


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that a fault has struck."""

    method: str
    path: str
    """Without `/api/v1`, as in `Fault.path`."""
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    body: bytes = field(repr=False)


@dataclass(eq=False, slots=True)
class Fault:
    """Something that goes wrong; made by `Faults.add`."""

    path: str
    method: str | None
    status: int | None
    latency: float
    drop: Literal["before", "after"] | None
    times: int | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    hits: list[Hit] = field(default_factory=list[Hit])
    """The requests it has struck, oldest first."""
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile("".join(_meaning(part) for part in _STARS.split(self.path)))

    @property
    def is_over(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.times is not None and len(self.hits) >= self.times

    def fits(self, method: str, path: str) -> bool:
        """Tell whether it strikes such a request, leaving aside how often it has."""
        return self.method in {None, method} and self._pattern.fullmatch(path) is not None


class Faults:
    """The faults of one emulator; any thread may add and clear them while it serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        path: str = "/**",
        *,
        method: str | None = None,
        status: int | None = None,
        latency: float = 0.0,
        drop: bool | Literal["before", "after"] = False,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Fault:
        """Have requests go wrong. Of several faults that fit a request, the one added first strikes, alone.

        Args:
            path: Which requests, by their path below `/api/v1`, or by the whole path if it begins with `/api/`. `*`
                stands for one segment, `**` for any number of them: `/prompts/*` is one prompt, `/prompts/**` all
                that has to do with prompts.
            method: Only this method; None for all.
            status: Answer so in place of the handler. None leaves the answer to the handler.
            latency: Seconds to wait before anything else, in real time, whatever the emulator's clock tells.
            drop: Close the connection without an answer: `True` or `"before"` in place of the handler, `"after"` when
                the handler has done its work, so that the client cannot know of it.
            times: How many requests to strike; None for all until `clear`.
            headers: Headers of the answer, such as `{"Retry-After": "1"}`; they replace those of the same name.
            body: The answer's body: bytes or text as it is, anything else as JSON. None for an error in the API's own
                form, or for nothing when the status is below 400.

        Returns:
            The fault, whose `hits` tell what it has struck.

        Raises:
            ConfigurationError: The fault would do nothing, or makes no sense.
        """
        fault = Fault(
            path=path,
            method=None if method is None else method.upper(),
            status=status,
            latency=latency,
            drop="before" if drop is True else drop or None,
            times=times,
            headers=dict(headers or {}),
            body=_bytes(body),
        )
        _check(fault)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults away; a request that waits for one's latency goes on waiting."""
        with self._lock:
            self._faults.clear()

    def match(self, hit: Hit) -> Fault | None:
        """Return the first fault that applies to a request, and record the hit; None if no fault applies."""
        with self._lock:
            for fault in self._faults:
                if not fault.is_over and fault.fits(hit.method, hit.path):
                    fault.hits.append(hit)
                    return fault
        return None


class Connection(H11Protocol):
    """A connection as uvicorn serves it, which tells the application of itself, so that a fault can cut it."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 (uvicorn's, passed on)
        super().__init__(**parts)
        self.app_state: dict[str, Any] = {**self.app_state, _CONNECTION: self}  # each request's scope has a copy of it


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Close a request's connection as a crash would: no answer, no word."""
    connection: Connection = scope["state"][_CONNECTION]
    connection.transport.abort()
    gone = False
    while not gone:  # until uvicorn knows, which else would answer for us
        gone = (await receive())["type"] == "http.disconnect"


async def discard(_: Message) -> None:
    """Lose a part of an answer."""


def response_of(fault: Fault, status: int, *, dialect: ErrorDialect, request_id: str) -> Response:
    """Build the response of a fault that has a status."""
    headers = dict(fault.headers)
    if fault.body is not None:
        headers.setdefault("Content-Type", "application/json")
        return Response(fault.body, status, headers)
    if status < 400:  # noqa: PLR2004 (no error, so there is none to describe)
        return Response(b"", status, headers)
    # The words of the API's documents are for the errors it has; this is one that somebody wished for.
    kind = Kind(status, "INJECTED_FAULT", 5900 if status >= 500 else 2900, "INJECTED_FAULT")  # noqa: PLR2004
    error = ApiError(kind, f"A fault was injected into {fault.path}", headers=headers)
    return error_response(error, dialect=dialect, request_id=request_id)


def _meaning(part: str) -> str:
    """Write a part of a path pattern as a regular expression."""
    return {"/**": "(?:/.*)?", "**": ".*", "*": "[^/]+"}.get(part) or re.escape(part)


def _bytes(body: object) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _check(fault: Fault) -> None:
    answers = fault.status is not None
    if not fault.path.startswith("/"):
        raise ConfigurationError(f"A fault's path begins with a slash, {fault.path!r} does not")
    if not 0 <= fault.latency < math.inf:
        raise ConfigurationError(f"A fault's latency must be seconds, none less than 0, not {fault.latency}")
    if fault.status is not None and not 200 <= fault.status <= 599:  # noqa: PLR2004 (what an answer may have)
        raise ConfigurationError(f"A fault's status must be from 200 to 599, not {fault.status}")
    if fault.drop not in {None, "before", "after"}:
        raise ConfigurationError(f"A fault's drop must be True, 'before' or 'after', not {fault.drop!r}")
    if fault.times is not None and fault.times < 1:
        raise ConfigurationError(f"A fault must strike at least once, not {fault.times} times")
    if answers and fault.drop:
        raise ConfigurationError("A fault either answers with a status or drops the connection: choose one")
    if not answers and (fault.headers or fault.body is not None):
        raise ConfigurationError("A fault's headers and body belong to an answer: give its status too")
    if not answers and not fault.drop and not fault.latency:
        raise ConfigurationError("A fault must do something: give it a status, a latency or drop")
    if fault.body and fault.status in _NO_BODY:
        raise ConfigurationError(f"An answer of status {fault.status} has no body")
