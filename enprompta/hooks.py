"""Observe the requests, responses, retries and waits of a client: `Enprompta(hooks=[MyHooks()])`.

    class Timing(Hooks):
        def on_response(self, record: ResponseRecord) -> None:
            print(record.request.method, record.request.path, record.status_code, f"{record.duration:.3f} s")

    client = Enprompta(hooks=[Timing()])

A hook has one or more of these methods, each called with one frozen record. Subclass `Hooks`, or use any object:

    on_call_start(CallRecord)     once, before anything is sent
    on_wait(WaitRecord)           after a wait for the rate limit, before the request is sent
    on_request(RequestRecord)     before each attempt; may return headers to send, such as a trace context
    on_response(ResponseRecord)   after each attempt, also when no response arrived or the caller cancelled it
    on_retry(RetryRecord)         before the pause that precedes a retry
    on_exposure(Exposure)         after a rollout (`Split`) has served a live prompt, from cache or not
    on_call_end(CallEndRecord)    once, when the call has returned, failed or was cancelled

Hooks run one after another in the thread or task that makes the call, so they must be fast. Exceptions in hooks are
logged as `hook_failed` and ignored. Hooks are plain functions in both clients; coroutine functions are rejected.
Records never contain credentials: keys and tokens are redacted in URLs, headers and bodies, also in escaped form, and
the repr of a record leaves out bodies. Requests for an OAuth2 token are not reported, because their body is a secret.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, cast

from enprompta._common import log
from enprompta._common.handler_errors import is_from_handler
from enprompta._common.headers import check_headers
from enprompta._common.narrowing import is_iterable, is_mapping
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.errors import Attempt
    from enprompta.rollouts import Exposure

__all__ = [
    "CallEndRecord",
    "CallRecord",
    "Hooks",
    "RecordHeaders",
    "RequestRecord",
    "ResponseRecord",
    "RetryRecord",
    "WaitRecord",
]

_METHODS = ("on_call_end", "on_call_start", "on_request", "on_response", "on_retry", "on_wait", "on_exposure")
_MASKED = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class RecordHeaders(Mapping[str, str]):
    """Read-only headers of a record, with case-insensitive names and masked credentials.

    Args:
        pairs: Names and values. The values of a repeated name are joined with commas (RFC 9110, 5.2).
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            if key in _MASKED:
                self._values[key] = "<secret>"
            else:
                self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r})"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call that has begun."""

    call_id: int
    """Identifies the call: the same in the records of its attempts, unique within the process."""
    method: str
    path: str
    """Path below the base URL, without the query."""
    url: str
    body: bytes = field(repr=False)
    """Request body with credentials redacted; empty if there is none."""


@dataclass(frozen=True, slots=True)
class CallEndRecord:
    """The outcome of a call."""

    call: CallRecord
    duration: float
    """Seconds for the whole call, including access token, rate limit and retries."""
    attempts: tuple[Attempt, ...]
    """Every attempt that ended; empty if no request was sent."""
    error: str | None
    """Error message; `cancelled` if the caller cancelled the call. None if the call received a 2xx response."""
    error_type: str | None
    """Name of the error class, such as `RateLimitError`, or `cancelled`. None if there is no error."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request about to be sent."""

    call_id: int
    """Identifies the call: the same for all its attempts, unique within the process."""
    attempt: int
    """1 for the first attempt."""
    method: str
    path: str
    """Path below the base URL, without the query."""
    url: str
    headers: Mapping[str, str]
    """Request headers, without those that hooks add; credentials are masked."""
    body: bytes = field(repr=False)
    """Request body with credentials redacted; empty if there is none."""


@dataclass(frozen=True, slots=True)
class ResponseRecord:
    """The outcome of an attempt."""

    request: RequestRecord
    duration: float
    """Seconds since the request was sent."""
    status_code: int | None
    """None if no response arrived."""
    error: str | None
    """Error message; `cancelled` if the caller cancelled the call. None if a response arrived."""
    error_type: str | None
    """Name of the error class, such as `APITimeoutError`, or `cancelled`. None if a response arrived."""
    request_id: str | None
    """Request id from the server; None if it sent none."""
    headers: Mapping[str, str]
    """Response headers with credentials masked; empty if no response arrived."""
    body: bytes = field(repr=False)
    """Response body with credentials redacted; empty if no response arrived."""


@dataclass(frozen=True, slots=True)
class RetryRecord:
    """A failed attempt that will be retried."""

    request: RequestRecord
    wait: float
    """Seconds until the next attempt."""
    status_code: int | None
    """None if no response arrived."""
    error: str
    """Error message."""


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """A request that waited for the rate limit and is about to be sent."""

    call_id: int
    method: str
    path: str
    """Path below the base URL, without the query."""
    waited: float
    """Seconds spent waiting."""


class Hooks:
    """Base class for hooks; override the methods you need."""

    def on_call_start(self, record: CallRecord, /) -> None:
        """Handle a call that is about to begin."""

    def on_wait(self, record: WaitRecord, /) -> None:
        """Handle a request that had to wait for the rate limit."""

    def on_request(self, record: RequestRecord, /) -> Mapping[str, str] | None:
        """Handle a request that is about to be sent.

        Returns:
            Headers to add, or None. They replace client headers of the same name and stay for retries of the call,
            unless the hook returns them again. Headers that cannot be sent or that the client sets itself, such as
            `Authorization`, are logged and left out.
        """

    def on_response(self, record: ResponseRecord, /) -> None:
        """Handle the outcome of an attempt; called exactly once after each `on_request`."""

    def on_retry(self, record: RetryRecord, /) -> None:
        """Handle a failed attempt that will be retried after a pause."""

    def on_exposure(self, record: Exposure, /) -> None:
        """Handle a live prompt that a rollout has served to a unit; called for each `get_live` with a `Split`."""

    def on_call_end(self, record: CallEndRecord, /) -> None:
        """Handle the outcome of a call; called exactly once after each `on_call_start`."""


def check_hooks(hooks: object) -> tuple[object, ...]:
    """Validate the hooks of a client.

    Raises:
        ConfigurationError: `hooks` is not a list of objects with at least one hook method.
    """
    if not is_iterable(hooks):
        raise ConfigurationError(f"hooks must be a list of objects, not {type(hooks).__name__}: hooks=[...]")
    checked = tuple[object, ...](hooks)
    for hook in checked:
        if isinstance(hook, type):
            raise ConfigurationError(f"hooks must be objects, not classes: hooks=[{hook.__name__}()]")
        methods = {name: method for name in _METHODS if callable(method := getattr(hook, name, None))}
        kind = type(hook).__name__
        if not methods:
            raise ConfigurationError(f"a hook must have at least one of {', '.join(_METHODS)}; {kind} has none")
        for name, method in methods.items():
            if iscoroutinefunction(method):
                raise ConfigurationError(f"{kind}.{name} must be a plain function, in the async client too")
    return checked


def notify(hooks: Iterable[object], event: str, record: object) -> None:
    """Call a method on every hook that has it."""
    for hook in hooks:
        _call_hook(hook, event, record)


def announce(hooks: Iterable[object], record: RequestRecord) -> dict[str, str]:
    """Call `on_request` on every hook that has it; return the valid headers they add."""
    added: dict[str, str] = {}
    for hook in hooks:
        given = _call_hook(hook, "on_request", record)
        if given is not None:
            added.update(_sendable(hook, given))
    return added


def _sendable(hook: object, given: object) -> dict[str, str]:
    """Return the headers that can be sent; log the others."""
    valid: dict[str, str] = {}
    headers = cast("dict[str, str]", given)
    # A value of another type is checked as a whole, which reports its type.
    entries = [{name: value} for name, value in headers.items()] if isinstance(given, dict) else [headers]
    for entry in entries:
        try:
            check_headers(entry)
        except ConfigurationError as error:
            _log_failure(hook, "on_request", error, reason=error.message)  # names the header, never its value
        else:
            valid.update(entry)
    return valid


def _call_hook(hook: object, event: str, record: object) -> object:
    method = getattr(hook, event, None)
    if method is None:
        return None
    try:
        given = method(record)
        return dict(given) if is_mapping(given) else given
    except Exception as error:
        if is_from_handler(error):  # a signal arrived while the hook ran
            raise
        _log_failure(hook, event, error)  # without the message, which may contain secrets
        return None


def _log_failure(hook: object, method: str, error: Exception, **more: str) -> None:
    log.event(
        logging.WARNING, "hook_failed", hook=type(hook).__name__, method=method, error=type(error).__name__, **more
    )
