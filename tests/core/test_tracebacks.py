"""A traceback shows the caller's frames and one line of the package, unless the log level is debug."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest

import enprompta
from enprompta import APIConnectionError, Call, Enprompta, EnpromptaError

PACKAGE = str(Path(enprompta.__file__).parent)


def refuse(request: httpx.Request) -> httpx.Response:
    """Fail like a caller's transport."""
    raise httpx.ConnectError("refused", request=request)


def ours(error: BaseException) -> int:
    """Count the frames of the package in the printed error."""
    return "".join(traceback.format_exception(error)).count(f'File "{PACKAGE}')


@pytest.mark.parametrize(
    "do",
    [
        lambda c: c.prompts.get("p"),
        lambda c: c.prompts.list(),
        lambda c: c.workflows.execute_and_wait("w"),
        lambda c: c.prompts.get(""),
        lambda c: c.run(Call("GET", "/x", dict)),
        lambda c: c.run_raw(Call("GET", "/x", dict)),
        lambda c: c.with_raw_response.prompts.get("p"),
        lambda c: c.with_raw_response.health(),
        lambda c: c.health(),
        lambda c: c.with_options(timeout=-1),
        lambda c: list(c.prompts.execute_many("p", [{}], errors="raise")),
        lambda c: c.prompts.execute_many("p", [{}], concurrency=0),
    ],
    ids=range(12),
)
def test_an_error_shows_one_line_of_the_package(do: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one frame of the package follows the caller's frame, also for causes; debugging shows all."""
    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        client = Enprompta(api_key="ep_test_x", http_client=http, max_retries=0, limiter=None)
        with pytest.raises(EnpromptaError) as caught:
            do(client)
        assert ours(caught.value) <= 1
        assert __file__ in "".join(traceback.format_exception(caught.value))
        if isinstance(caught.value, APIConnectionError):
            assert isinstance(caught.value.__cause__, httpx.ConnectError)
            assert caught.value.__cause__.request.headers["Authorization"] == "<secret>"
        monkeypatch.setenv("ENPROMPTA_LOG", "debug")
        with pytest.raises(EnpromptaError) as caught:
            do(client)
        assert ours(caught.value) > 1


def test_what_the_caller_was_handling_is_left_alone() -> None:
    """An exception that the caller handles during the call keeps its frames."""
    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        client = Enprompta(api_key="ep_test_x", http_client=http, max_retries=0, limiter=None)
        own = KeyError("mine")
        try:
            raise own
        except KeyError:
            with pytest.raises(EnpromptaError):
                client.prompts.get("p")
        assert [one.filename for one in traceback.extract_tb(own.__traceback__)] == [__file__]
