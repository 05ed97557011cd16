"""Traces and metrics with OpenTelemetry: `Enprompta(hooks=[OpenTelemetryHooks()])`, extra `enprompta[otel]`.

Each attempt of a call is a separate span, a child of the span that is current where the call is made, recorded in
two histograms. Names follow OpenTelemetry's semantic conventions for HTTP clients (stable) and for generative AI (in
development, as of 1.37), so that backends recognize them:

    span                http.request.method  server.address  server.port  url.full  url.template
    `POST /prompts/     http.response.status_code  http.request.resend_count  error.type
     {id}/execute`      http.response.header.x-request-id
    of an execution     gen_ai.operation.name  gen_ai.provider.name  gen_ai.request.model
                        gen_ai.request.temperature  .max_tokens  .top_p  .stop_sequences
                        gen_ai.response.id  gen_ai.response.model  enprompta.execution.tokens  enprompta.execution.cost
    event of a rollout  feature_flag.evaluation on the current span: feature_flag.key  .result.variant  .context.id
    (`Split`)           enprompta.prompt.version  enprompta.prompt.is_fallback
    metrics             http.client.request.duration  enprompta.client.budget.wait.duration  (both in seconds)

`url.template` is the path below the base URL, as the API's reference writes it. `error.type` is a status, the class of
what was raised (`APITimeoutError`, `APIConnectionError`), `cancelled`, or `execution_failed` when the API answered that
the model's provider failed.
The configured propagators send the trace context with each request (W3C Trace Context by default). Content is never
recorded: no prompts, variables, outputs or URL queries, which may contain a user's search text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from enprompta._version import __version__
from enprompta.hooks import Hooks

try:
    from opentelemetry import metrics, propagate, trace
except ModuleNotFoundError as _gone:
    if _gone.name not in {"opentelemetry", "opentelemetry.metrics", "opentelemetry.propagate", "opentelemetry.trace"}:
        raise
    _message = 'enprompta.otel needs opentelemetry-api, which is not installed: pip install "enprompta[otel]"'
    raise ImportError(_message, name=_gone.name) from _gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    from enprompta.hooks import RequestRecord, ResponseRecord, WaitRecord
    from enprompta.rollouts import Exposure

__all__ = ["OpenTelemetryHooks"]

_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
# Seconds; the conventions' boundaries for HTTP requests, extended for slow models.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_WAITS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)
_PORTS = {"https": 443, "http": 80}

# The fixed words in the API's paths. Every other segment is an id, which keeps the number of templates small.
_WORDS = frozenset(
    {
        "api", "billing", "cancel", "deliveries", "execute", "executions", "fork", "health", "history", "invoices",
        "leave", "members", "oauth", "prompts", "retry", "rotate-secret", "sdk", "stats", "teams", "templates", "test",
        "token", "usage", "webhooks", "workflows",
    }
)  # fmt: skip
_PROVIDERS = {"google": "gcp.gen_ai"}  # providers with another name in the conventions
_OPTIONS = {
    "temperature": "gen_ai.request.temperature",
    "maxTokens": "gen_ai.request.max_tokens",
    "topP": "gen_ai.request.top_p",
    "stopSequences": "gen_ai.request.stop_sequences",
}
_RESULTS = {
    "id": "gen_ai.response.id",
    "model": "gen_ai.response.model",
    "tokens": "enprompta.execution.tokens",
    "cost": "enprompta.execution.cost",
}


class OpenTelemetryHooks(Hooks):
    """Records calls as spans and metrics, and propagates the trace context; several clients can share one object.

    Use it instead of an instrumentation of httpx, because each would record every request.

    Args:
        tracer_provider: The provider for spans; None uses the global one.
        meter_provider: The provider for metrics; None uses the global one.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._providers = tracer_provider, meter_provider
        self._tracer = trace.get_tracer("enprompta", __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter("enprompta", __version__, meter_provider, _SCHEMA)
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._waits = meter.create_histogram(
            "enprompta.client.budget.wait.duration",
            unit="s",
            description="Time that requests waited for the request budget.",
            explicit_bucket_boundaries_advisory=_WAITS,
        )
        self._open: dict[tuple[int, int], trace.Span] = {}  # by call and attempt; each has one thread or task

    def on_request(self, record: RequestRecord, /) -> Mapping[str, str]:
        """Start the span of an attempt, and return the headers that propagate it."""
        template = _template(record.path)
        attributes = _common(record, template)
        attributes["url.full"] = record.url.partition("?")[0]
        if record.attempt > 1:
            attributes["http.request.resend_count"] = record.attempt - 1
        if _executes(record.method, template):
            attributes.update(_of_execution(record.body))
        span = self._tracer.start_span(f"{record.method} {template}", kind=trace.SpanKind.CLIENT, attributes=attributes)
        self._open[record.call_id, record.attempt] = span
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        return headers

    def on_response(self, record: ResponseRecord, /) -> None:
        """End the span of an attempt and record its duration."""
        request = record.request
        template = _template(request.path)
        measured = _common(request, template)
        if record.status_code is not None:
            measured["http.response.status_code"] = record.status_code
        if (error := _error_type(record)) is not None:
            measured["error.type"] = error
        self._durations.record(record.duration, measured)
        span = self._open.pop((request.call_id, request.attempt), None)
        if span is None:  # the process was forked during the call
            return
        try:
            if span.is_recording():
                _finish(span, record, template, error)
        finally:
            span.end()

    def on_wait(self, record: WaitRecord, /) -> None:
        """Record a wait for the rate limit."""
        attributes = {"http.request.method": record.method, "url.template": _template(record.path)}
        self._waits.record(record.waited, attributes)

    def on_exposure(self, record: Exposure, /) -> None:
        """Record a rollout on the current span, as the conventions describe feature flags."""
        attributes: dict[str, AttributeValue] = {
            "feature_flag.key": record.slug,
            "feature_flag.provider.name": "enprompta",
            "feature_flag.result.variant": record.label,
            "feature_flag.context.id": record.unit_hash,
            "enprompta.prompt.is_fallback": record.is_fallback,
        }
        if record.version is not None:
            attributes["enprompta.prompt.version"] = str(record.version)
        trace.get_current_span().add_event("feature_flag.evaluation", attributes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the providers; global providers are looked up again when unpickling."""
        return OpenTelemetryHooks, self._providers


def _finish(span: trace.Span, record: ResponseRecord, template: str, error: str | None) -> None:
    """Record the result of an attempt on its span."""
    if record.status_code is not None:
        span.set_attribute("http.response.status_code", record.status_code)
    if record.request_id is not None:
        span.set_attribute("http.response.header.x-request-id", [record.request_id])
    if error is None and _executes(record.request.method, template):
        body = _fields(record.body)
        result = _fields(body.get("data")) or body  # with or without the envelope
        span.set_attributes({name: result[key] for key, name in _RESULTS.items() if _is_plain(result.get(key))})
        if isinstance(provider := result.get("provider"), str):
            span.set_attribute("gen_ai.provider.name", _PROVIDERS.get(provider, provider))
        if result.get("status") == "failed":  # the model's provider failed, not the API
            error = "execution_failed"
    if error is not None:
        span.set_attribute("error.type", error)
        # The conventions require no description for HTTP statuses.
        span.set_status(trace.StatusCode.ERROR, record.error)


def _error_type(record: ResponseRecord) -> str | None:
    """Classify a failure by exception class or status; the conventions do not count redirects as errors."""
    if record.status_code is None:
        return record.error_type
    return str(record.status_code) if record.status_code >= 400 else None  # noqa: PLR2004 (4xx and 5xx)


def _template(path: str) -> str:
    """Replace ids in a path with `{id}`, to limit the number of distinct values."""
    return "/".join(part if part in _WORDS or not part else "{id}" for part in path.split("/"))


def _executes(method: str, template: str) -> bool:
    return method == "POST" and template == "/prompts/{id}/execute"


def _common(record: RequestRecord, template: str) -> dict[str, AttributeValue]:
    """Return the attributes that spans and metrics share; they have few distinct values."""
    url = urlsplit(record.url)
    return {
        "http.request.method": record.method,
        "server.address": url.hostname or "",
        "server.port": url.port or _PORTS[url.scheme],
        "url.template": template,
    }


def _of_execution(body: bytes) -> dict[str, AttributeValue]:
    """Return the attributes of the model and its settings, without any content."""
    request = _fields(body)
    options = _fields(request.get("options"))
    provider = request.get("provider")
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "text_completion",
        # Only the response names the provider if the account's default is used.
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) if isinstance(provider, str) else "enprompta",
    }
    if isinstance(model := request.get("model"), str):
        attributes["gen_ai.request.model"] = model
    attributes.update((name, options[key]) for key, name in _OPTIONS.items() if key in options)
    return attributes


def _fields(source: object) -> dict[str, Any]:
    """Return a JSON object's fields, from bytes or a parsed value; empty for anything else."""
    if isinstance(source, bytes):
        try:
            source = json.loads(source)
        except (ValueError, RecursionError):
            return {}
    return cast("dict[str, Any]", source) if isinstance(source, dict) else {}


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float))
