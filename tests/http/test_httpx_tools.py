"""Tools that patch httpx's transport class see the calls of the package's own clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import AsyncEnprompta, Enprompta

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("pytest_httpx", reason="pytest-httpx is not installed")
otel_httpx = pytest.importorskip(
    "opentelemetry.instrumentation.httpx", reason="opentelemetry-instrumentation-httpx is not installed"
)

KEY = "ep_test_0123456789abcdef0123456789abcdef"
REFUSED = "http://127.0.0.1:9/v1"
"""A real request would fail: nothing listens on this port."""
PROMPT = {"id": "prompt_1", "title": "Greeting", "content": "Hello", "version": 1}


def get_sync() -> str:
    """Get one prompt with the blocking client."""
    with Enprompta(api_key=KEY, base_url=REFUSED, max_retries=0) as client:
        return client.prompts.get("prompt_1").title


def get_async() -> str:
    """Get one prompt with the async client."""

    async def get() -> str:
        async with AsyncEnprompta(api_key=KEY, base_url=REFUSED, max_retries=0) as client:
            return (await client.prompts.get("prompt_1")).title

    return asyncio.run(get())


BOTH = pytest.mark.parametrize("get", [get_sync, get_async])


@BOTH
def test_pytest_httpx_answers_calls(get: Callable[[], str], httpx_mock: Any) -> None:
    """A call in a test with the fixture of pytest-httpx gets its response, and nothing is sent."""
    httpx_mock.add_response(url=f"{REFUSED}/prompts/prompt_1", json=PROMPT)
    assert get() == "Greeting"
    assert httpx_mock.get_request().headers["authorization"] == f"Bearer {KEY}"


@BOTH
def test_opentelemetry_sees_requests(get: Callable[[], str], httpx_mock: Any) -> None:
    """OpenTelemetry's instrumentation of httpx makes one span per request."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    httpx_mock.add_response(json=PROMPT)
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentor = otel_httpx.HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        get()
    finally:
        instrumentor.uninstrument()
    assert [span.name for span in spans.get_finished_spans()] == ["GET"]
