"""What happens on the way of a call, told to objects of yours: `Enprompta(hooks=[MyHooks()])`.

A hook object has any of four methods, each given one frozen record:

    on_request(RequestRecord)     before each try; may return headers to send with it, such as a trace context
    on_response(ResponseRecord)   after each try, whether an answer came or not
    on_retry(RetryRecord)         before the wait for another try
    on_wait(WaitRecord)           after a wait for the request budget

They run in the thread or task that makes the call, so they must be quick. One that raises is logged, not felt.
Records never show a secret: the `Authorization` header is masked, and bodies do not appear in their repr.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from enprompta._http import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RequestRecord", "ResponseRecord", "RetryRecord", "WaitRecord"]


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
    """As they will be sent, `Authorization` masked."""
    body: bytes = field(repr=False)
    """As it will be sent; empty for none."""


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
    request_id: str | None
    """The server's id of the request; None when it gave none."""
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    """As it came; empty when no answer came."""


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
    """A request that had to wait for the request budget."""

    call_id: int
    method: str
    path: str
    waited: float
    """Seconds."""


def notify(hooks: Iterable[object], event: str, record: object) -> list[Any]:
    """Call a method of every hook that has it; give what they returned."""
    results: list[Any] = []
    for hook in hooks:
        method = getattr(hook, event, None)
        if method is None:
            continue
        try:
            results.append(method(record))
        except Exception as error:  # noqa: BLE001 (a hook must not break a call)
            log.event(
                logging.WARNING, "hook_failed", hook=type(hook).__name__, method=event, error=type(error).__name__
            )
    return results
