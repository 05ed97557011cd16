"""Ctrl-C at any line of a blocking run ends it without leftovers, and every row is charged once."""

from __future__ import annotations

import os
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import enprompta.batch
from enprompta import Enprompta
from tests.batch.conftest import Service, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from typing_extensions import Self

PACKAGE = str(Path(enprompta.batch.__file__).parent)
ROWS = 12
# A prime step, so that all kinds of lines occur; 1 in the long form covers every line.
STEP = 1 if os.environ.get("ENPROMPTA_LONG_TESTS") else 23


class Interrupter:
    """Raises KeyboardInterrupt at the given executed lines of the package in this thread, counted from 1.

    One line is left out, because Python cannot guard it: the first clean-up line of the run's generator. A run that is
    interrupted there is closed by its `with` block, or at the end of the program.
    """

    def __init__(self, *at: int) -> None:
        self._at = set(at)
        self._before: Any = None
        self.lines = 0

    def __enter__(self) -> Self:
        self._before = sys.gettrace()  # the coverage tracer, if there is one
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and not (frame.f_code.co_name == "__iter__" and frame.f_locals["self"].ending):
            self.lines += 1
            if self.lines in self._at:
                raise KeyboardInterrupt
        return self._trace


@pytest.fixture
def client(service: Service) -> Iterator[Enprompta]:
    """Provide a client of the service."""
    with httpx.Client(transport=service) as http:
        client = Enprompta(api_key="ep_x", limiter=None, http_client=http, base_url="https://api.test/api/v1")
        yield client


def attempt(client: Enprompta, file: Path, interrupter: Interrupter, *, block: bool) -> bool:
    """Run the rows; return True if the run completed."""
    run = client.prompts.execute_many("p", iter(numbered(ROWS)), concurrency=2, checkpoint=file)
    try:
        with interrupter:
            if block:
                with run:
                    for _ in run:
                        pass
            else:
                for _ in run:
                    pass
    except KeyboardInterrupt:
        return False
    return True


def check(client: Enprompta, service: Service, file: Path) -> None:
    """Check that no call is in flight, and that the resumed run charges each row once."""
    began = time.monotonic()
    while any(thread.name == "enprompta-batch" for thread in threading.enumerate()):
        assert time.monotonic() < began + 5, "a thread is left"
        time.sleep(0.001)
    results = list(client.prompts.execute_many("p", iter(numbered(ROWS)), ordered=True, checkpoint=file))
    assert [result.output for result in results] == [f"did {n}" for n in range(ROWS)]
    assert sorted(service.charged.values(), key=int) == [str(n) for n in range(ROWS)]


@pytest.mark.slow
@pytest.mark.parametrize("block", [True, False], ids=["with a block", "without"])
def test_once(client: Enprompta, service: Service, tmp_path: Path, block: bool) -> None:  # noqa: FBT001
    """Ctrl-C at any line ends the run at once, and the run can be resumed."""
    for line in count(1, STEP):
        file = tmp_path / f"{line}.db"
        service.charged.clear()
        if attempt(client, file, Interrupter(line), block=block):
            assert line > 1000
            return
        check(client, service, file)


@pytest.mark.slow
def test_twice(client: Enprompta, service: Service, tmp_path: Path) -> None:
    """A second Ctrl-C while the run ends skips the wait, and loses nothing."""
    for line in range(1, 1000, 3 * STEP):
        for again in (5, 20, 40):
            file = tmp_path / f"{line}-{again}.db"
            service.charged.clear()
            attempt(client, file, Interrupter(line, line + again), block=False)
            check(client, service, file)
