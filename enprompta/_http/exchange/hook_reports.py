"""Report one call to the hooks of a client; loaded only if there are hooks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from enprompta._common.redaction import mask_for
from enprompta.errors import EnpromptaError
from enprompta.hooks import (
    CallEndRecord,
    CallRecord,
    RecordHeaders,
    RequestRecord,
    ResponseRecord,
    RetryRecord,
    WaitRecord,
    announce,
    notify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from enprompta._core.steps import Answer, HttpReply
    from enprompta.errors import APIError, Attempt

_call_ids = itertools.count(1)


class HookReports:
    """Reports one call to the hooks, which is how it begins.

    Args:
        hooks: The hooks of the client.
        request: The request, to which hooks may add headers.
        call: Name of the call, such as `GET /prompts`.
        secrets: Returns the secrets to redact.
    """

    def __init__(
        self, hooks: Sequence[object], request: httpx.Request, call: str, secrets: Callable[[], Sequence[str]]
    ) -> None:
        self._hooks, self._request, self._secrets = hooks, request, secrets
        self._method, self._path = call.split(" ", 1)
        mask = mask_for(request, secrets())
        url, content = mask.text(str(request.url)), mask.body(request.content)
        self._call = CallRecord(next(_call_ids), self._method, self._path, url, content)
        notify(hooks, "on_call_start", self._call)

    def waited(self, seconds: float) -> None:
        """Call `on_wait`."""
        notify(self._hooks, "on_wait", WaitRecord(self._call.call_id, self._method, self._path, seconds))

    def announced(self, number: int) -> None:
        """Call `on_request` for an attempt, and add the headers that hooks return."""
        request = self._request
        mask = mask_for(request, self._secrets())
        headers = RecordHeaders(mask.headers(request.headers).multi_items())
        url, content = mask.text(str(request.url)), mask.body(request.content)
        self._attempt = RequestRecord(self._call.call_id, number, self._method, self._path, url, headers, content)
        request.headers.update(announce(self._hooks, self._attempt))

    def answered(self, duration: float, outcome: Answer | BaseException) -> None:
        """Call `on_response` for the announced attempt."""
        if isinstance(outcome, BaseException):
            kind, text = _named(outcome)
            done = ResponseRecord(self._attempt, duration, None, text, kind, None, RecordHeaders(()), b"")
        else:
            mask = mask_for(self._request, self._secrets())
            headers = RecordHeaders(mask.headers(outcome.headers).multi_items())
            status, request_id = outcome.status_code, headers.get("x-request-id")
            content = mask.body(outcome.content)
            done = ResponseRecord(self._attempt, duration, status, None, None, request_id, headers, content)
        notify(self._hooks, "on_response", done)

    def retried(self, wait: float, attempt: Attempt, error: APIError) -> None:
        """Call `on_retry` for the announced attempt."""
        notify(self._hooks, "on_retry", RetryRecord(self._attempt, wait, attempt.status_code, error.message))

    def ended(self, took: float, failed: Sequence[Attempt], outcome: HttpReply | BaseException) -> None:
        """Call `on_call_end`."""
        if isinstance(outcome, BaseException):
            kind, text = _named(outcome)
            done = CallEndRecord(self._call, took, tuple(failed), text, kind)
        else:
            done = CallEndRecord(self._call, took, outcome.attempts, None, None)
        notify(self._hooks, "on_call_end", done)


def _named(error: BaseException) -> tuple[str, str]:
    """Return the type and the message of an error for records of hooks."""
    # A canceled call ends with GeneratorExit, because drivers close its steps.
    kind = "cancelled" if isinstance(error, GeneratorExit) else type(error).__name__
    return kind, str(error) if isinstance(error, EnpromptaError) else kind
