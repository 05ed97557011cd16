"""The short form of `endurance.py`: programs that are killed and resumed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("endurance.py")


@pytest.fixture(scope="module")
def endurance() -> Any:
    """Load the program as a module."""
    spec = importlib.util.spec_from_file_location("endurance", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.step("cluster")
@pytest.mark.parametrize("how", ["threads", "asyncio"])
def test_killed_and_resumed(endurance: Any, how: str, tmp_path: Path) -> None:
    """After two kills and restarts, each row has one result and one charge, and no 429 occurs."""
    counts = endurance.endure(600, 2, how, tmp_path)
    assert (counts["once"], counts["credits"], counts["executions"], counts["429"]) == (600, 600, 600, 0)
    assert counts["restored"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_flat(endurance: Any) -> None:
    """The memory of a run does not grow with its rows."""
    import httpx

    from enprompta import Enprompta

    body = b'{"success":true,"data":{"id":"e","status":"completed","output":"' + b"x" * 2000 + b'"}}'
    transport = httpx.MockTransport(lambda _: httpx.Response(201, content=body))
    rows = ({"n": str(i)} for i in range(10**9))

    def most_after(count: int) -> float:
        for taken, _ in enumerate(run, 1):
            if taken == count:
                return float(endurance.peak())
        raise AssertionError

    with httpx.Client(transport=transport) as http:
        client = Enprompta(api_key="ep_x", limiter=None, http_client=http)
        run = iter(client.prompts.execute_many("p", rows, concurrency=4))
        first = most_after(500)
        assert most_after(4_000) - first < 5  # MB; the responses alone are 8
