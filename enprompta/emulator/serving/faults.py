"""Fault injection: error responses, latency and dropped connections.

    emulator.faults.add(path="/prompts/*", status=503, times=2, headers={"Retry-After": "0"})
    emulator.faults.add(method="POST", drop="after", times=1)     # the request takes effect, the response is lost

A fault applies after the request was authenticated and counted, and before its handler runs.
"""

from __future__ import annotations

import asyncio
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
    from collections.abc import Iterator, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from enprompta.emulator.errors import ErrorDialect

_CONNECTION = "enprompta.connection"
_NO_BODY = frozenset({204, 304})
_DRIP_BYTES = 16
_STARS = re.compile(r"(/?\*\*|\*)")
_WILDCARDS = {"/**": "(?:/.*)?", "**": ".*", "*": "[^/]+"}


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that a fault was applied to."""

    method: str
    path: str
    """Without `/api/v1`, as in `Fault.path`."""
    headers: Mapping[str, str] = field(repr=False)
    """Headers by lower-case name."""
    body: bytes = field(repr=False)


@dataclass(eq=False, slots=True)
class Fault:
    """An injected fault; created by `Faults.add`."""

    path: str
    method: str | None
    status: int | None
    latency: float
    drop: Literal["before", "after"] | None
    times: int | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    drip: float = 0.0
    id: int = 0
    """Number of the fault, increasing from 1."""
    hits: list[Hit] = field(default_factory=list[Hit])
    """Requests that the fault was applied to, oldest first."""
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pattern = re.compile("".join(_WILDCARDS.get(part) or re.escape(part) for part in _STARS.split(self.path)))

    @property
    def is_over(self) -> bool:
        """True if the fault was applied `times` times and no longer applies."""
        return self.times is not None and len(self.hits) >= self.times

    def matches(self, method: str, path: str) -> bool:
        """Return True if the method and the path match, regardless of `times`."""
        return self.method in {None, method} and self._pattern.fullmatch(path) is not None


class Faults:
    """The injected faults of one emulator; any thread can add and clear them while it serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last_id = 0

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over the faults, the one added first coming first."""
        with self._lock:
            return iter(tuple(self._faults))

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
        drip: float = 0.0,
    ) -> Fault:
        """Inject a fault. If several faults match a request, only the one added first applies.

        Args:
            path: Requests to match, by their path below `/api/v1`, or by the whole path if it begins with `/api/`.
                `*` matches one segment and `**` any number: `/prompts/*` is one prompt, `/prompts/**` everything
                below `/prompts`.
            method: HTTP method to match; None for all.
            status: Status to respond with instead of calling the handler; None to call the handler.
            latency: Seconds to wait first, in real time, not by the emulator's clock.
            drop: Close the connection without a response: `True` or `"before"` instead of calling the handler,
                `"after"` once the handler has run, so that the request takes effect without the client knowing.
            times: Number of requests to apply the fault to; None for all until `clear`.
            headers: Response headers, such as `{"Retry-After": "1"}`; they replace headers of the same name.
            body: Response body: bytes or text as is, anything else as JSON. None for an error in the API's format,
                or for an empty body when the status is below 400.
            drip: Seconds to wait before each 16 bytes of the response body, in real time; 0 to send it at once.

        Returns:
            The fault; its `hits` list the requests that it was applied to.

        Raises:
            ConfigurationError: The fault would have no effect, or its arguments contradict each other.
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
            drip=drip,
        )
        _check(fault)
        with self._lock:
            self._last_id += 1
            fault.id = self._last_id
            self._faults.append(fault)
        return fault

    def remove(self, fault_id: int) -> None:
        """Remove a fault by its number; raise a `LookupError` if it does not exist."""
        with self._lock:
            kept = [fault for fault in self._faults if fault.id != fault_id]
            if len(kept) == len(self._faults):
                raise LookupError(f"Fault {fault_id} not found")
            self._faults = kept

    def clear(self) -> None:
        """Remove all faults; requests that already wait for a fault's latency continue to wait."""
        with self._lock:
            self._faults.clear()

    def match(self, hit: Hit) -> Fault | None:
        """Return the first fault that applies to a request, and record the hit; None if no fault applies."""
        with self._lock:
            for fault in self._faults:
                if not fault.is_over and fault.matches(hit.method, hit.path):
                    fault.hits.append(hit)
                    return fault
        return None


class Connection(H11Protocol):
    """A uvicorn connection that puts itself in the scope of its requests, so that a fault can drop it."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 (uvicorn's own arguments, passed through)
        super().__init__(**options)
        self.app_state: dict[str, Any] = {**self.app_state, _CONNECTION: self}  # copied to the scope of each request


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Abort a request's connection, as a crash of the server would."""
    connection: Connection = scope["state"][_CONNECTION]
    connection.transport.abort()
    disconnected = False
    while not disconnected:  # returning earlier would make uvicorn send a 500
        disconnected = (await receive())["type"] == "http.disconnect"


async def discard(_: Message) -> None:
    """Discard a message of a response."""


def dripping(send: Send, seconds: float) -> Send:
    """Return a `send` that sends response bodies in small pieces, with a pause before each of them."""

    async def drip(message: Message) -> None:
        body: bytes = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await send(message)
            return
        for start in range(0, len(body), _DRIP_BYTES):
            await asyncio.sleep(seconds)
            is_last = start + _DRIP_BYTES >= len(body)
            more = not is_last or bool(message.get("more_body"))
            await send({**message, "body": body[start : start + _DRIP_BYTES], "more_body": more})

    return drip


def response_of(fault: Fault, status: int, *, dialect: ErrorDialect, request_id: str) -> Response:
    """Build the response of a fault that has a status."""
    headers = dict(fault.headers)
    if fault.body is not None:
        headers.setdefault("Content-Type", "application/json")
        return Response(fault.body, status, headers)
    if status < 400:  # noqa: PLR2004 (not an error status)
        return Response(b"", status, headers)
    # A code that the API itself never uses: clients and logs can recognize an injected error.
    kind = Kind(status, "INJECTED_FAULT", 5900 if status >= 500 else 2900, "INJECTED_FAULT")  # noqa: PLR2004 (5xx)
    error = ApiError(kind, f"A fault was injected into {fault.path}", headers=headers)
    return error_response(error, dialect=dialect, request_id=request_id)


def _bytes(body: object) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _check(fault: Fault) -> None:
    if not fault.path.startswith("/"):
        raise ConfigurationError(f"A fault's path must begin with a slash, not {fault.path!r}")
    for name, seconds in (("latency", fault.latency), ("drip", fault.drip)):
        if not 0 <= seconds < math.inf:
            raise ConfigurationError(f"A fault's {name} must be 0 or more seconds, not {seconds}")
    if fault.status is not None and not 200 <= fault.status <= 599:  # noqa: PLR2004 (statuses of final responses)
        raise ConfigurationError(f"A fault's status must be from 200 to 599, not {fault.status}")
    if fault.drop not in {None, "before", "after"}:
        raise ConfigurationError(f"A fault's drop must be True, 'before' or 'after', not {fault.drop!r}")
    if fault.times is not None and fault.times < 1:
        raise ConfigurationError(f"A fault's times must be at least 1, not {fault.times}")
    _check_combination(fault)


def _check_combination(fault: Fault) -> None:
    """Raise an error if a fault would have no effect, or contradicts itself."""
    responds = fault.status is not None
    if responds and fault.drop:
        raise ConfigurationError("A fault cannot both respond with a status and drop the connection: choose one")
    if not responds and (fault.headers or fault.body is not None):
        raise ConfigurationError("A fault with headers or a body needs a status too")
    if fault.drip and fault.drop:
        raise ConfigurationError("A fault cannot both drip a response and drop the connection: choose one")
    if not responds and not fault.drop and not fault.latency and not fault.drip:
        raise ConfigurationError("A fault needs a status, a latency, a drip or drop")
    if fault.body and fault.status in _NO_BODY:
        raise ConfigurationError(f"A response with status {fault.status} cannot have a body")
