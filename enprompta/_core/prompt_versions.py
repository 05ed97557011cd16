"""Check the version of a prompt before it is executed: the guard behind `expect_version`.

A version that was read is remembered for a few seconds, so a loop of executions sends one further request every
`VERSION_SECONDS`. A remembered version only confirms: before an execution is refused, the version is read again, so a
call that follows an update is never refused by mistake. It is a guard, not a lock: a prompt that changes between the
check and the execution is executed in its new version.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from enprompta._common.clock import monotonic
from enprompta._core.call import Call, path
from enprompta._core.steps import WaitForFuture
from enprompta.errors import ConfigurationError, VersionMismatchError
from enprompta.models.live_prompts import LivePrompt, LiveVersion
from enprompta.models.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.call import RequestOptions
    from enprompta._core.runner import Flow

ExpectedVersion: TypeAlias = "LiveVersion | int | str"
"""A version: of a live prompt (`live.version`), or its number."""

VERSION_SECONDS = 5.0
"""Seconds for which a version that was read from the service counts as current."""
_MAX_PROMPTS = 1_000  # versions remembered
_NUMBER = re.compile(r"[vV]?([0-9]{1,18})")
_READ_OPTIONS = ("timeout", "deadline", "max_retries", "max_response_bytes", "headers")


class _Reading(NamedTuple):
    """A version that is being read, or was."""

    at: float
    version: Future[int | None]


Versions: TypeAlias = "dict[tuple[int, str], _Reading]"
"""The versions that a client and its views remember, by process and prompt id."""


def expected_version(value: Any) -> int | str:  # noqa: ANN401 (any argument)
    """Return the version number that a caller expects; text if it is not a number.

    Raises:
        ConfigurationError: It is None, or not a version.
    """
    if isinstance(value, LivePrompt):
        value = value.version
    number = value.number if isinstance(value, LiveVersion) else value
    if number is None:
        what = "has no number" if isinstance(value, LiveVersion) else "is None"
        raise ConfigurationError(
            f"expect_version {what}: a fallback has no version, and cannot be executed; check live.is_fallback"
        )
    if isinstance(number, str):
        text = number.strip()
        if not text:
            raise ConfigurationError("expect_version is empty: pass live.version, or a number such as 3")
        found = _NUMBER.fullmatch(text)
        return int(found[1]) if found else text
    if isinstance(number, bool) or not hasattr(cast("object", number), "__index__"):
        kind = type(cast("object", number)).__name__
        raise ConfigurationError(f"expect_version must be live.version, a whole number or text, not {kind}")
    return int(number)


def check_version(
    versions: Versions,
    prompt_id: str,
    expected: int | str,
    options: RequestOptions,
    ends: float | None = None,
    *,
    clock: Callable[[], float] = monotonic,
) -> Flow[None]:
    """Read the version of a prompt and compare it with the expected one.

    While another caller reads the version, this one waits for it until `ends`, in monotonic seconds.

    Raises:
        VersionMismatchError: The prompt has another version.
        APIError: The version could not be read.
    """
    begins = clock()
    for_reading = cast("RequestOptions", {name: value for name, value in options.items() if name in _READ_OPTIONS})
    call = Call("GET", path("/prompts/{}", prompt_id), Prompt, options=for_reading)
    key = os.getpid(), str(prompt_id)  # a forked child does not wait for threads of its parent
    known = versions.get(key)
    if known is not None and begins - known.at < VERSION_SECONDS:
        actual = yield from _joined(known.version, ends)
        if actual == expected:
            return
    actual = yield from _read(versions, key, call, clock)
    if actual != expected:
        found = f"is version {actual} now" if actual is not None else "has no version that the API reports"
        raise VersionMismatchError(
            f"prompt {prompt_id} {found}, not {expected} as expect_version says; nothing was executed. Fetch the live "
            "prompt again, or move its label to the newest version",
            prompt_id=str(prompt_id), expected=expected, actual=actual,
        )  # fmt: skip


def _joined(version: Future[int | None], ends: float | None) -> Flow[int | None]:
    """Return what another caller reads; None if its request failed."""
    if not version.done():
        yield WaitForFuture(version, ends)
    return version.result()


def _read(versions: Versions, key: tuple[int, str], call: Call[Prompt], clock: Callable[[], float]) -> Flow[int | None]:
    reading = _Reading(clock(), Future())
    if len(versions) >= _MAX_PROMPTS:
        versions.clear()
    versions[key] = reading
    version: int | None = None
    try:
        prompt: Prompt = yield call
        version = prompt.version
    finally:  # callers that wait need a result, however this ends
        if version is None and versions.get(key) is reading:
            del versions[key]
        reading.version.set_result(version)
    return version
