"""Cost of a span: starting and ending it beside OpenTelemetry's own, preparing and encoding it, 1,000 a second.

Run it as a program: `python -m tests.benchmarks.bench_tracing`. Rounds of both providers are interleaved.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from enprompta import Enprompta
from enprompta.tracing import Tracing
from enprompta.tracing.batches import encode
from enprompta.tracing.finishing import Finisher
from tests.tracing.receiver import Receiver

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ROUNDS, SPANS = 30, 400
ATTRIBUTES: dict[str, Any] = {
    "gen_ai.request.model": "gpt-4o", "input.value": "hello world " * 20, "output.value": "foo bar " * 30,
    "llm.token_count.prompt": 12, "llm.token_count.completion": 40, "openinference.span.kind": "LLM",
}  # fmt: skip


def each(tracer: Tracer) -> float:
    """Microseconds to start and end one span."""
    began = time.perf_counter()
    for _ in range(SPANS):
        tracer.start_span("x").end()
    return (time.perf_counter() - began) / SPANS * 1e6


def encoding() -> float:
    """Microseconds of processor time to prepare, encode and compress one span."""
    kept: list[ReadableSpan] = []

    class Keep(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            kept.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Keep())
    for _ in range(512):
        provider.get_tracer("t").start_span("x", attributes=ATTRIBUTES).end()
    finish = Finisher(None, "account", is_captured=True).finish
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        list(encode(kept, finish, lambda: None))
        times.append((time.process_time() - began) / 512 * 1e6)
    return statistics.median(times)


def main() -> None:
    """Print the figures."""
    bare = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with (
        Receiver() as receiver,
        Enprompta(api_key="ep_test_123456", base_url=receiver.base_url) as client,
        Tracing(client, interval=5) as tracing,
    ):
        ours = tracing.provider.get_tracer("t")
        pairs: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            pairs.append((each(bare), each(ours)))
            tracing.flush()
    theirs, mine = (min(times) for times in zip(*pairs, strict=True))
    cost = encoding()
    sys.stdout.write(f"a span started and ended: {theirs:.1f} us by OpenTelemetry, {mine - theirs:+.1f} us\n")
    sys.stdout.write(f"prepared, encoded, compressed: {cost:.1f} us\n")
    sys.stdout.write(f"1,000 a second: {(mine + cost) / 10:.1f} % of a core\n")


if __name__ == "__main__":
    main()
