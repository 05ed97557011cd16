"""Count lost and twice-charged rows of a run that is killed with SIGKILL at random moments and resumed.

Run it as a program: `python tests/batch/endurance.py [ROWS [KILLS [threads|asyncio|trio]]]`. Without arguments 100,000
rows and five kills in tasks. It prints the counts, and fails unless each row has one result and one charge and the run
took at most 150 MB.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enprompta import AsyncEnprompta, Enprompta
from enprompta.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enprompta.hooks import ResponseRecord

WINDOW, LIMIT = 3.0, 6_000  # the tier's limit per window, so that pacing is needed

EMULATOR = f"""
import sys
from enprompta.emulator import Emulator

with Emulator(db=sys.argv[1], window={WINDOW}, limits={{"enterprise": ({LIMIT}, 10**9)}}) as emulator:
    print(emulator.url, emulator.keys.enterprise, flush=True)
    sys.stdin.read()
"""


class Answers(Hooks):
    """Counts responses with a status that must not occur."""

    refused = 0

    def on_response(self, record: ResponseRecord) -> None:
        """Count."""
        self.refused += record.status_code == 429


def rows(number: int) -> Iterator[dict[str, str]]:
    """Generate rows."""
    for i in range(number):
        yield {"n": str(i)}


def say(text: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def peak() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def work(prompt: str, file: str, number: int, how: str) -> None:
    """Execute the rows, or those left, and print the counts."""
    answers, seen = Answers(), bytearray(number)
    restored = 0
    idle = 0.0

    def count(result: Any) -> None:
        nonlocal restored
        assert result.output == f"row {result.index}", result
        seen[result.index] += 1
        restored += result.restored

    def blocking() -> None:
        nonlocal idle
        with Enprompta(hooks=[answers]) as client:
            client.prompts.execute(prompt, variables={"n": "warm"}, idempotency_key="warm")
            idle = peak()
            run = client.prompts.execute_many(prompt, rows(number), checkpoint=file, concurrency=32)
            for result in run:
                count(result)

    async def awaiting() -> None:
        nonlocal idle
        async with AsyncEnprompta(hooks=[answers]) as client:
            await client.prompts.execute(prompt, variables={"n": "warm"}, idempotency_key="warm")
            idle = peak()
            run = client.prompts.execute_many(prompt, rows(number), checkpoint=file, concurrency=64)
            async for result in run:
                count(result)

    if how == "threads":
        blocking()
    else:
        import anyio

        anyio.run(awaiting, backend=how)
    counts = {"once": seen.count(1), "restored": restored, "429": answers.refused, "idle": idle, "peak": peak()}
    say(json.dumps(counts))


def charged(key: str, url: str) -> tuple[int, int]:
    """Return the credits used and the number of executions at the emulator."""
    with Enprompta(api_key=key, base_url=url) as client:
        usage = client.usage.get()
        assert usage.tokens is not None
        return usage.tokens.used or 0, usage.executions or 0


def endure(number: int, kills: int, how: str, folder: Path) -> dict[str, Any]:
    """Run the whole program, and return the counts."""
    arguments = [sys.executable, "-c", EMULATOR, str(folder / "emulator.db")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        url, key = emulator.stdout.readline().split()
        environment = {**os.environ, "ENPROMPTA_API_KEY": key, "ENPROMPTA_BASE_URL": url}
        with Enprompta(api_key=key, base_url=url) as client:
            prompt = client.prompts.create(title="Endurance", content="row {{n}}").id
        command = [sys.executable, __file__, "work", prompt, str(folder / "run.db"), str(number), how]
        killed_at: list[int] = []
        targets = sorted(random.sample(range(1, number), kills))
        started = time.monotonic()
        for target in targets:
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
                while run.poll() is None and charged(key, url)[0] < target:
                    time.sleep(random.uniform(0.01, 0.0001 * number**0.7 + 0.1))
                run.kill()
            killed_at.append(charged(key, url)[0] - 1)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        used, executions = charged(key, url)
        assert emulator.stdin is not None
        emulator.stdin.close()
    # One execution warmed up each process under one key.
    return {
        **counts,
        "killed_at": killed_at,
        "credits": used - 1,
        "executions": executions - 1,
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    """Run with the arguments of the command line."""
    if sys.argv[1:2] == ["work"]:
        prompt, file, number, how = sys.argv[2:]
        work(prompt, file, int(number), how)
        return
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    how = sys.argv[3] if len(sys.argv) > 3 else "asyncio"
    with tempfile.TemporaryDirectory() as folder:
        counts = endure(number, kills, how, Path(folder))
    say(json.dumps(counts))
    assert counts["once"] == counts["credits"] == counts["executions"] == number, counts
    assert counts["429"] == 0, counts
    assert counts["peak"] - counts["idle"] <= 150, counts


if __name__ == "__main__":
    main()
