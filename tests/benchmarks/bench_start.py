"""Measure import, client creation and memory, compared with httpx and pydantic.

`python -m tests.benchmarks.bench_start` prints ratios. Each program runs in a separate process, whose processor time is
what the operating system says it was; that of a bare Python is taken off.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.measure import Figure, in_turns, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 15
RESOURCES = ("executions", "prompts", "teams", "templates", "usage", "webhooks", "workflows")
PROGRAMS = {
    "bare": "pass",
    "reference": "import httpx; from pydantic import BaseModel",
    "ours": "from enprompta import AsyncEnprompta, Enprompta",
    "all resources": "\n".join(
        ["from enprompta import Enprompta", *(f"import enprompta.resources.{it}" for it in RESOURCES)]
    ),
}
RESIDENT = "\nprint(int(open('/proc/self/statm').read().split()[1]) * 4096)"
FIRST_TWO = """
import time
{setup}
times = []
for _ in range(2):
    began = time.thread_time()  # without the thread that loads certificates
    client = {make}
    times.append(time.thread_time() - began)
print(*times)
"""
MANY = """
import gc
from enprompta import Enprompta
def make(number):
    for _ in range(number):
        Enprompta(api_key="ep_x").close()
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4096
make(500)
before = make(500)
print(make(10_000) - before)
"""
# What a machine may set so that trusted certificates are read from another file, which takes another time.
UNSET = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def run(program: str) -> tuple[float, str]:
    """Run a program; give its processor seconds and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not at each start
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, told


def importing() -> Iterator[Figure]:
    """How long, and how much memory."""
    cases: dict[str, Callable[[], float]] = {
        name: lambda program=program: run(program)[0] for name, program in PROGRAMS.items()
    }
    figures = in_turns(cases, ROUNDS)
    bare = statistics.median(figures["bare"])
    net = {name: [one - bare for one in found] for name, found in figures.items()}
    yield Figure("import: of httpx and pydantic", ratio(net, "ours", "reference"), budget=1.15)
    yield Figure("import with every resource", ratio(net, "all resources", "reference"), budget=1.35)
    if not Path("/proc/self/statm").exists():
        return
    memory = {name: float(run(program + RESIDENT)[1]) for name, program in PROGRAMS.items()}
    reference = memory["reference"] - memory["bare"]
    yield Figure(
        "memory after import: of httpx and pydantic", (memory["ours"] - memory["bare"]) / reference, budget=1.2
    )
    yield Figure("memory with every resource", (memory["all resources"] - memory["bare"]) / reference)


def making() -> Iterator[Figure]:
    """Measure the cost of creating clients."""
    ours = {"setup": PROGRAMS["ours"], "make": 'Enprompta(api_key="ep_x")'}
    raw = {"setup": PROGRAMS["reference"], "make": "httpx.Client()"}
    found: dict[str, list[list[Any]]] = {"ours": [], "raw": []}
    for _ in range(ROUNDS):
        for name, how in (("ours", ours), ("raw", raw)):  # in turns, for a machine is not as fast at all times
            found[name].append([float(it) for it in run(FIRST_TWO.format(**how))[1].split()])
    first, second, first_raw = (
        statistics.median(times[number] for times in found[name]) * 1e3
        for name, number in (("ours", 0), ("ours", 1), ("raw", 0))
    )
    yield Figure("the first client", first, "ms", budget=2.0)
    yield Figure("  httpx.Client(), beside it", first_raw, "ms")
    yield Figure("each further client", second, "ms", budget=1.0)
    if Path("/proc/self/statm").exists():
        left = float(run(MANY)[1]) / 2**20
        yield Figure("10,000 clients made and closed leave", left, "MB", budget=1.0)


def main() -> None:
    """Print every figure."""
    for figures in (importing, making):
        for figure in figures():
            figure.show()


if __name__ == "__main__":
    main()
