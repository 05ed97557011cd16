"""Cost of tracing: of a span, of 1,000 spans a second, and of a service that does not take them.

Run it as a program: `python -m tests.benchmarks.bench_tracing`. Receivers run in other processes.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from enprompta import Enprompta
from enprompta.tracing import Redaction, Tracing
from enprompta.tracing.batches import Encoder
from enprompta.tracing.finishing import Finisher
from enprompta.tracing.spans_read import EndedSpan, read_span
from tests.benchmarks.measure import Figure
from tests.tracing.receiver import Receiver, black_hole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Tracer
    from typing_extensions import Self

ROUNDS, SPANS = 30, 400
RATE = 1000  # spans a second
ATTRIBUTES: dict[str, Any] = {
    "gen_ai.request.model": "gpt-4o", "input.value": "hello world " * 20, "output.value": "foo bar " * 30,
    "llm.token_count.prompt": 12, "llm.token_count.completion": 40, "openinference.span.kind": "LLM",
}  # fmt: skip
TROUBLES: dict[str, Any] = {
    "healthy": None, "down": "down", "slow (60 s)": 60.0, "401": 401, "403": 403, "429": 429, "500": 500,
    "black hole": "black hole",
}  # fmt: skip
KEY = "ep_test_123456"


def serve(pipe: Any, trouble: Any) -> None:
    """Run a receiver until the pipe closes."""
    receiver = Receiver(lambda _: time.sleep(trouble) if isinstance(trouble, float) else trouble)
    receiver.spans = Forgetful()
    pipe.send(receiver.base_url)
    pipe.poll(None)


class Forgetful(list[Any]):
    """Keeps nothing."""

    def __iadd__(self, _: Any) -> Self:  # type: ignore[override,misc]
        return self


@contextmanager
def receiver(trouble: Any = None) -> Iterator[str]:
    """The address of a receiver in another process, or of one that is down or never accepts a connection."""
    if trouble == "black hole":
        with black_hole() as url:
            yield url
        return
    if trouble == "down":
        with Receiver() as closed:
            pass
        yield closed.base_url
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, trouble), daemon=True)
    process.start()
    yield ours.recv()
    process.kill()
    process.join()


def each(tracer: Tracer) -> float:
    """Microseconds of this thread's processor time to start and end one span."""
    began = time.thread_time()
    for _ in range(SPANS):
        tracer.start_span("x").end()
    return (time.thread_time() - began) / SPANS * 1e6


def spans() -> None:
    """Compare a span with OpenTelemetry's own."""
    bare = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with receiver() as url, Enprompta(api_key=KEY, base_url=url) as client, Tracing(client, interval=5) as tracing:
        ours = tracing.provider.get_tracer("t")
        pairs: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            pairs.append((each(bare), each(ours)))
            tracing.flush()
    more = statistics.median(mine - theirs for theirs, mine in pairs)
    Figure("start and end a span, above OpenTelemetry's own", more, "us", 5).show()
    Figure("the same, as a ratio", statistics.median(mine / theirs for theirs, mine in pairs)).show()


def encoding(redact: Redaction | None) -> float:
    """Microseconds of processor time to prepare, encode and compress one span."""
    kept: list[EndedSpan] = []

    class Keep(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            kept.append(read_span(span))

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Keep())
    for _ in range(512):
        provider.get_tracer("t").start_span("x", attributes=ATTRIBUTES).end()
    finish = Finisher(redact, "account", is_captured=True).finish
    times: list[float] = []
    for _ in range(ROUNDS if redact is None else 5):
        began = time.process_time()
        encoder = Encoder(finish, lambda error: sys.exit(repr(error)))
        list(encoder.encode(kept, 0.0))
        list(encoder.close())
        times.append((time.process_time() - began) / 512 * 1e6)
    return statistics.median(times)


def paced(step: Callable[[], object], seconds: float) -> float:
    """Call a step 1,000 times a second; return the share of a core that the process takes, in percent."""
    used = cpu()
    began = time.perf_counter()
    for number in range(int(seconds * RATE)):
        step()
        pause = began + (number + 1) / RATE - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
    return (cpu() - used) / (time.perf_counter() - began) * 100


def cpu() -> float:
    """Processor time of this process, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def program(mode: str, url: str, seconds: float) -> None:
    """Print the share of a core of a program that records 1,000 spans a second."""
    if mode == "loop":
        sys.stdout.write(str(paced(lambda: None, seconds)))
        return
    if mode == "otel":
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
        sys.stdout.write(str(paced(lambda: tracer.start_span("x", attributes=ATTRIBUTES).end(), seconds)))
        return
    redact = Redaction() if mode == "redacted" else None
    with Enprompta(api_key=KEY, base_url=url) as client, Tracing(client, redact=redact) as tracing:
        tracer = tracing.provider.get_tracer("t")
        paced(lambda: tracer.start_span("x", attributes=ATTRIBUTES).end(), 1.5)
        sys.stdout.write(str(paced(lambda: tracer.start_span("x", attributes=ATTRIBUTES).end(), seconds)))


def rates(rounds: int = 3, seconds: float = 8.0) -> None:
    """Measure whole programs, in turns."""
    shares: dict[str, list[float]] = {"loop": [], "otel": [], "ours": [], "redacted": []}
    with receiver() as url:
        for _ in range(rounds):
            for mode, found in shares.items():
                command = [sys.executable, "-m", "tests.benchmarks.bench_tracing", mode, url, str(seconds)]
                found.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    loop, theirs, mine, redacted = (statistics.median(one) for one in shares.values())
    Figure("1,000 spans a second: created by OpenTelemetry, not sent", theirs - loop, "%").show()
    Figure("1,000 spans a second: created and sent", mine - loop, "%", 5).show()
    Figure("the same, with redaction", redacted - loop, "%").show()
    Figure("the loop that paces them", loop, "%").show()


def trouble(name: str, kind: Any) -> None:
    """Measure what a traced call pays while the service is in trouble, and what the tracer takes."""
    bare = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    warned: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = warned.append  # type: ignore[method-assign]
    logging.getLogger("enprompta").addHandler(handler)
    with receiver(kind) as url, Enprompta(api_key=KEY, base_url=url) as client:
        tracing = Tracing(client, max_queue=10_000, max_bytes=8_000_000)
        mine = tracing.provider.get_tracer("t")
        theirs: list[float] = []
        ours: list[float] = []
        turns = [(bare, theirs), (mine, ours)]

        def step() -> None:
            turns.reverse()  # the first one runs on cold caches
            for tracer, times in turns:
                began = time.perf_counter()
                tracer.start_span("x", attributes=ATTRIBUTES).end()
                times.append((time.perf_counter() - began) * 1e6)

        paced(step, 3)
        before = memory()
        for _ in range(100_000):
            mine.start_span("x", attributes=ATTRIBUTES).end()
        grown = memory() - before
        dropped, waiting = tracing.stats.dropped, tracing.stats.waiting
        began = time.perf_counter()
        tracing.shutdown()
        ended = time.perf_counter() - began
    logging.getLogger("enprompta").removeHandler(handler)
    ours.sort()
    theirs.sort()
    at = [statistics.median(ours) - statistics.median(theirs)]
    at += [ours[int(len(ours) * part)] - theirs[int(len(ours) * part)] for part in (0.99, 0.999)]
    sys.stdout.write(
        f"{name:<12} us more than OpenTelemetry: median {at[0]:5.1f}, 99 % {at[1]:6.1f}, 99.9 % {at[2]:7.1f}"
        f" (its own 99.9 %: {theirs[int(len(ours) * 0.999)]:.0f}); of 100,000 spans {waiting:,} wait,"
        f" {dropped:,} dropped, memory {grown:+.0f} MB; {len(warned)} warnings; shutdown {ended:.2f} s\n"
    )
    sys.stdout.flush()


def memory() -> float:
    """Resident memory, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    """Print the figures."""
    spans()
    Figure("prepare, encode and compress a span with six attributes", encoding(None), "us").show()
    Figure("the same, with redaction", encoding(Redaction()), "us").show()
    rates()
    for name, kind in TROUBLES.items():
        trouble(name, kind)


if __name__ == "__main__":
    if sys.argv[1:]:
        program(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    else:
        main()
