"""What happens on the way of a call, told to objects of yours: `Enprompta(hooks=[MyHooks()])`.

    class Timing(Hooks):
        def on_response(self, record: ResponseRecord) -> None:
            print(record.request.method, record.request.path, record.status_code, f"{record.duration:.3f} s")

    client = Enprompta(hooks=[Timing()])

A hook object has any of four methods, each given one frozen record; `Hooks` is a base to derive from, but any object
will do:

    on_wait(WaitRecord)           after a wait for the request budget, before the try it was for
    on_request(RequestRecord)     before each try; may return headers to send with it, such as a trace context
    on_response(ResponseRecord)   after each try, whether an answer came or not, and also when the caller gave up
    on_retry(RetryRecord)         before the pause that comes before another try

They run in the thread or task that makes the call, one after the other, so they must be quick. One that raises is
logged as `hook_failed`, not felt. They are plain functions in both clients: a coroutine function is refused.
Records never hold a credential: keys and tokens are redacted in URLs, headers and bodies, escaped ones too, and bodies
do not appear in their repr. Requests for an OAuth2 token, whose body is a secret, are not reported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, cast

from enprompta._common import log
from enprompta._http.handler_errors import is_from_handler
from enprompta._http.settings import check_headers
from enprompta.errors import ConfigurationError

__all__ = ["Hooks", "RecordHeaders", "RequestRecord", "ResponseRecord", "RetryRecord", "WaitRecord"]

_METHODS = ("on_request", "on_response", "on_retry", "on_wait")
_MASKED = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class RecordHeaders(Mapping[str, str]):
    """Headers in a record: read-only, names match without regard to case, credentials are masked.

    Args:
        pairs: Names and values; of a name that comes again the values are joined, as RFC 9110, 5.2 has it.
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
class RequestRecord:
    """A request about to be sent."""

    call_id: int
    """The same for all tries of one call; no two calls of a process share it."""
    attempt: int
    """1 for the first try."""
    method: str
    path: str
    """Below the base URL, without the query."""
    url: str
    headers: Mapping[str, str]
    """As they will be sent but for what hooks add, credentials masked."""
    body: bytes = field(repr=False)
    """As it will be sent, credentials redacted; empty for none."""


@dataclass(frozen=True, slots=True)
class ResponseRecord:
    """How a try ended."""

    request: RequestRecord
    duration: float
    """Seconds since it was sent."""
    status_code: int | None
    """None when no answer came."""
    error: str | None
    """The failure in words; None when an answer came. `cancelled` when the caller gave up."""
    error_type: str | None
    """The failure's class, such as `APITimeoutError`, or `cancelled`; None when an answer came."""
    request_id: str | None
    """The server's id of the request; None when it gave none."""
    headers: Mapping[str, str]
    """The answer's, credentials masked; empty when none came."""
    body: bytes = field(repr=False)
    """As it came, credentials redacted; empty when no answer came."""


@dataclass(frozen=True, slots=True)
class RetryRecord:
    """A try that failed and will be followed by another."""

    request: RequestRecord
    wait: float
    """Seconds until the next try."""
    status_code: int | None
    """None when no answer came."""
    error: str
    """What went wrong, in words."""


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """A request that had to wait for the request budget, and may now go."""

    call_id: int
    method: str
    path: str
    """Below the base URL, without the query."""
    waited: float
    """Seconds."""


class Hooks:
    """A base to derive hooks from: override what you want to be told of, and leave the rest."""

    def on_wait(self, record: WaitRecord, /) -> None:
        """Be told that a request had to wait for the request budget."""

    def on_request(self, record: RequestRecord, /) -> Mapping[str, str] | None:
        """Be told that a request is about to be sent.

        Returns:
            Headers to send with it, or None. They replace the client's of the same name, and further tries of the call
            send them too unless they are given anew. What cannot be sent, or is the client's own affair such as
            `Authorization`, is logged and left out.
        """

    def on_response(self, record: ResponseRecord, /) -> None:
        """Be told how a try ended; it comes once after each `on_request`."""

    def on_retry(self, record: RetryRecord, /) -> None:
        """Be told that a failed try will be followed by another, after a pause."""


def check_hooks(hooks: object) -> tuple[object, ...]:
    """Refuse what could never be called.

    Raises:
        ConfigurationError: It is not a list of objects that have at least one of the methods.
    """
    if not isinstance(hooks, Iterable):
        raise ConfigurationError(f"hooks must be a list of objects, not {type(hooks).__name__}: hooks=[...]")
    checked = tuple(cast("Iterable[object]", hooks))
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
    """Call a method of every hook that has it."""
    for hook in hooks:
        _told(hook, event, record)


def announce(hooks: Iterable[object], record: RequestRecord) -> dict[str, str]:
    """Call `on_request` of every hook that has it; give the headers they want to be sent, those that can be."""
    added: dict[str, str] = {}
    for hook in hooks:
        given = _told(hook, "on_request", record)
        if given is not None:
            added.update(_sendable(hook, given))
    return added


def _sendable(hook: object, given: object) -> dict[str, str]:
    """Leave out, and log, what cannot stand in a header or is the client's own affair."""
    fine: dict[str, str] = {}
    headers = cast("dict[str, str]", given)
    # What is no dict goes to the check whole, which says so.
    entries = [{name: value} for name, value in headers.items()] if isinstance(given, dict) else [headers]
    for entry in entries:
        try:
            check_headers(entry)
        except ConfigurationError as error:
            _failed(hook, "on_request", error, reason=error.message)  # it names the header, never the value
        else:
            fine.update(entry)
    return fine


def _told(hook: object, event: str, record: object) -> Any:  # noqa: ANN401 (whatever it returns)
    method = getattr(hook, event, None)
    if method is None:
        return None
    try:
        given = method(record)
        return dict(cast("Mapping[Any, Any]", given)) if isinstance(given, Mapping) else given
    except Exception as error:
        if is_from_handler(error):  # a signal arrived while the hook ran
            raise
        _failed(hook, event, error)  # without the error's text, which may be anything
        return None


def _failed(hook: object, method: str, error: Exception, **more: str) -> None:
    log.event(
        logging.WARNING, "hook_failed", hook=type(hook).__name__, method=method, error=type(error).__name__, **more
    )
