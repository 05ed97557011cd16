"""Read the result of a call from its response, within its deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from enprompta import _core
from enprompta._core.steps import Sleep
from enprompta._http import failures
from enprompta.errors import APIResponseError, APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from enprompta._core.call import Call
    from enprompta._core.steps import HttpReply, Steps

T = TypeVar("T")

_LONG = 500_000  # bytes
_SHOWN_BODY = 65_536  # bytes of an undecodable response that its error keeps


class _TooLateError(Exception):
    """The deadline of the call has passed."""


def read_result(
    call: Call[T], reply: HttpReply, secrets: Callable[[], Sequence[str]], clock: Callable[[], float]
) -> Steps[T]:
    """Decode a 2xx response; other tasks run between the pieces of a long list.

    Args:
        call: The call.
        reply: The response.
        secrets: Returns the secrets to redact in errors.
        clock: Returns monotonic seconds.

    Raises:
        APIResponseError: The response does not match the call.
        APITimeoutError: The deadline passed before the last piece.
    """
    decoding, response = _core.decode, reply.response
    try:
        if len(response.content) <= _LONG:
            return decoding.decode(call, response.content, response.refusal)
        from enprompta._core.long_lists import decode_in_steps  # noqa: PLC0415 (few programs receive long bodies)

        steps = decode_in_steps(call, response.content, response.refusal)
        return (yield from _in_time(steps, reply.ends, clock))
    except decoding.UndecodableError as error:
        problem = str(error)
    except _TooLateError:
        problem = ""
    mask = failures.mask_for(response.request, secrets())
    name, attempts = mask.text(f"{call.method} {call.path}"), mask.attempts(reply.attempts)
    if not problem:
        raise APITimeoutError(f"{name}: the deadline passed while the response was decoded", attempts=attempts)
    headers = mask.headers(response.headers)
    request_id = headers.get("x-request-id")
    raise APIResponseError(
        mask.text(f"{name} returned {response.status_code} with {problem}")
        + (f" (request id: {request_id})" if request_id else ""),
        status_code=response.status_code,
        request_id=request_id,
        headers=headers,
        body=mask.body(response.content[: 2 * _SHOWN_BODY])[:_SHOWN_BODY],
        attempts=attempts,
    )


def _in_time(steps: Generator[None, None, T], ends: float | None, clock: Callable[[], float]) -> Steps[T]:
    """Run the steps of decoding; let other tasks run between them.

    Raises:
        _TooLateError: The deadline passed before the last step.
    """
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # the result of the generator
        if ends is not None and clock() >= ends:
            raise _TooLateError
        yield Sleep(0)
