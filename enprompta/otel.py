"""Traces and metrics with OpenTelemetry: `Enprompta(hooks=[OpenTelemetryHooks()])`, extra `enprompta[otel]`.

Each call is one span, a child of the span that is current where the call is made, with an event for each attempt. Each
attempt is recorded in a histogram. Names follow OpenTelemetry's semantic conventions for HTTP clients (stable) and for
generative AI (in development), so that backends recognize them:

    span                http.request.method  server.address  server.port  url.full  url.template
    `POST /prompts/     http.response.status_code  http.request.resend_count  error.type
     {id}/execute`      http.response.header.x-request-id
    event `attempt`     enprompta.attempt.number  http.response.status_code  error.type
    of an execution     gen_ai.operation.name  gen_ai.provider.name  gen_ai.request.model
                        gen_ai.request.temperature  .max_tokens  .top_p  .stop_sequences
                        gen_ai.response.id  gen_ai.response.model
                        enprompta.prompt.id  enprompta.execution.tokens  enprompta.execution.cost
    event of a rollout  feature_flag.evaluation on the current span: feature_flag.key  .result.variant  .context.id
    (`Split`)           enprompta.prompt.version  enprompta.prompt.is_fallback
    metrics             http.client.request.duration  enprompta.client.budget.wait.duration  (both in seconds)

`url.template` is the path below the base URL, as the API's reference writes it. `error.type` is a status, the class of
what was raised (`APITimeoutError`, `APIConnectionError`), `cancelled`, or `execution_failed` when the API answered that
the model's provider failed.
The configured propagators send the trace context with each request (W3C Trace Context by default). Content is never
recorded: no prompts, variables, outputs or URL queries, which may contain a user's search text.
`OTEL_SEMCONV_STABILITY_OPT_IN` may hold `http/dup` and `gen_ai/dup`, to record older attribute names as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from enprompta._common import semantic_conventions as names
from enprompta._common.narrowing import is_dict
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

    from enprompta.hooks import CallEndRecord, CallRecord, RequestRecord, ResponseRecord, WaitRecord
    from enprompta.rollouts import Exposure

__all__ = ["OpenTelemetryHooks"]

# Seconds; the conventions' boundaries for HTTP requests, extended for slow models.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_WAITS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)
_PORTS = {"https": 443, "http": 80}

# The fixed words in the API's paths. Every other segment is an id, which keeps the number of templates small.
_WORDS = frozenset(
    {
        "analytics", "api", "billing", "cancel", "deliveries", "execute", "executions", "fork", "health",
        "history", "ingest", "invoices", "leave", "members", "oauth", "otlp", "prompts", "retry", "rotate-secret",
        "sdk", "spans", "stats", "teams", "templates", "test", "token", "traces", "usage", "v1", "webhooks",
        "workflows",
    }
)  # fmt: skip
_PROVIDERS = {"google": "gcp.gen_ai"}  # providers with another name in the conventions
_OPTIONS = {
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "maxTokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "topP": names.GEN_AI_REQUEST_TOP_P,
    "stopSequences": names.GEN_AI_REQUEST_STOP_SEQUENCES,
}
_RESULTS = {
    "id": names.GEN_AI_RESPONSE_ID,
    "model": names.GEN_AI_RESPONSE_MODEL,
    "tokens": names.EXECUTION_TOKENS,
    "cost": names.EXECUTION_COST,
}
_FIRST_ERROR = 400  # 4xx and 5xx
_NOT_BY_STATUS = frozenset({"APITimeoutError", "cancelled"})  # ended between two attempts


@dataclass(slots=True, eq=False)
class _OpenCall:
    """A call in progress."""

    span: trace.Span
    template: str
    last: ResponseRecord | None = None


class OpenTelemetryHooks(Hooks):
    """Records calls as spans and metrics, and propagates the trace context; several clients can share one object.

    Use it instead of an instrumentation of httpx, because each would record every request.

    Args:
        tracer_provider: The provider for spans; None uses the global one.
        meter_provider: The provider for metrics; None uses the global one.
    """

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None
    ) -> None:
        self._providers = tracer_provider, meter_provider
        self._tracer = trace.get_tracer("enprompta", __version__, tracer_provider, names.SCHEMA_URL)
        meter = metrics.get_meter("enprompta", __version__, meter_provider, names.SCHEMA_URL)
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
        self._old_names = names.old_names()
        self._open: dict[int, _OpenCall] = {}  # by call; each call has one thread or task

    def on_call_start(self, record: CallRecord, /) -> None:
        """Start the span of a call."""
        template = _template(record.path)
        attributes = _common(record, template)
        attributes[names.URL_FULL] = record.url.partition("?")[0]
        if _executes(record.method, template):
            attributes.update(self._execution_attributes(record))
        span = self._tracer.start_span(
            f"{record.method} {template}",
            kind=trace.SpanKind.CLIENT,
            attributes=names.with_old_names(attributes, self._old_names),
        )
        self._open[record.call_id] = _OpenCall(span, template)

    def on_request(self, record: RequestRecord, /) -> Mapping[str, str]:
        """Return the headers that propagate the span of the call."""
        headers: dict[str, str] = {}
        if (call := self._open.get(record.call_id)) is not None:
            propagate.inject(headers, trace.set_span_in_context(call.span))
        return headers

    def on_response(self, record: ResponseRecord, /) -> None:
        """Record the outcome and the duration of an attempt."""
        request = record.request
        outcome: dict[str, AttributeValue] = {}
        if record.status_code is not None:
            outcome[names.HTTP_RESPONSE_STATUS_CODE] = record.status_code
        if (error := _error_type(record)) is not None:
            outcome[names.ERROR_TYPE] = error
        self._durations.record(record.duration, {**_common(request, _template(request.path)), **outcome})
        if (call := self._open.get(request.call_id)) is not None:  # None if the process was forked during the call
            call.last = record
            call.span.add_event("attempt", {names.ATTEMPT_NUMBER: request.attempt, **outcome})

    def on_call_end(self, record: CallEndRecord, /) -> None:
        """End the span of a call."""
        if (call := self._open.pop(record.call.call_id, None)) is None:
            return
        try:
            if call.span.is_recording():
                self._finish(call, record)
        finally:
            call.span.end()

    def on_wait(self, record: WaitRecord, /) -> None:
        """Record a wait for the rate limit."""
        attributes = {names.HTTP_REQUEST_METHOD: record.method, names.URL_TEMPLATE: _template(record.path)}
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

    def _execution_attributes(self, record: CallRecord) -> dict[str, AttributeValue]:
        """Return the attributes of an execution that are known at its start."""
        return {names.PROMPT_ID: unquote(record.path.split("/")[2]), **_of_execution(record.body)}

    def _result_attributes(self, result: Mapping[str, Any]) -> dict[str, AttributeValue]:
        """Return the attributes of an execution's result."""
        found = {name: result[key] for key, name in _RESULTS.items() if _is_plain(result.get(key))}
        if isinstance(provider := result.get("provider"), str):
            found[names.GEN_AI_PROVIDER_NAME] = _PROVIDERS.get(provider, provider)
        return found

    def _finish(self, call: _OpenCall, record: CallEndRecord) -> None:
        """Record the result of a call on its span."""
        last, attributes = call.last, dict[str, Any]()
        if len(record.attempts) > 1:
            attributes[names.HTTP_REQUEST_RESEND_COUNT] = len(record.attempts) - 1
        if last is not None and last.status_code is not None:
            attributes[names.HTTP_RESPONSE_STATUS_CODE] = last.status_code
        if last is not None and last.request_id is not None:
            attributes[names.HTTP_RESPONSE_HEADER_REQUEST_ID] = [last.request_id]
        error = _call_error(record, last)
        if last is not None and record.error_type is None and _executes(record.call.method, call.template):
            body = _fields(last.body)
            result = _fields(body.get("data")) or body  # with or without the envelope
            attributes.update(self._result_attributes(result))
            if result.get("status") == "failed":  # the model's provider failed, not the API
                error = "execution_failed"
        if error is not None:
            attributes[names.ERROR_TYPE] = error
            # The conventions require no description for HTTP statuses.
            description = record.error if error == record.error_type else None
            call.span.set_status(trace.StatusCode.ERROR, description)
        call.span.set_attributes(names.with_old_names(attributes, self._old_names))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the providers; global providers are looked up again when unpickling."""
        return OpenTelemetryHooks, self._providers


def _error_type(record: ResponseRecord) -> str | None:
    """Classify a failure by exception class or status; the conventions do not count redirects as errors."""
    if record.status_code is None:
        return record.error_type
    return str(record.status_code) if record.status_code >= _FIRST_ERROR else None


def _call_error(record: CallEndRecord, last: ResponseRecord | None) -> str | None:
    """Classify the failure of a call: by the status of its last attempt if that is the reason."""
    if record.error_type is None or last is None or last.status_code is None:
        return record.error_type
    return record.error_type if record.error_type in _NOT_BY_STATUS else _error_type(last)


def _template(path: str) -> str:
    """Replace ids in a path with `{id}`, to limit the number of distinct values."""
    return "/".join(part if part in _WORDS or not part else "{id}" for part in path.split("/"))


def _executes(method: str, template: str) -> bool:
    return method == "POST" and template == "/prompts/{id}/execute"


def _common(record: CallRecord | RequestRecord, template: str) -> dict[str, AttributeValue]:
    """Return the attributes that spans and metrics share; they have few distinct values."""
    url = urlsplit(record.url)
    return {
        names.HTTP_REQUEST_METHOD: record.method,
        names.SERVER_ADDRESS: url.hostname or "",
        names.SERVER_PORT: url.port or _PORTS[url.scheme],
        names.URL_TEMPLATE: template,
    }


def _of_execution(body: bytes) -> dict[str, AttributeValue]:
    """Return the attributes of the model and its settings, without any content."""
    request = _fields(body)
    options = _fields(request.get("options"))
    provider = request.get("provider")
    attributes: dict[str, AttributeValue] = {
        names.GEN_AI_OPERATION_NAME: "text_completion",
        # Only the response names the provider if the account's default is used.
        names.GEN_AI_PROVIDER_NAME: _PROVIDERS.get(provider, provider) if isinstance(provider, str) else "enprompta",
    }
    if isinstance(model := request.get("model"), str):
        attributes[names.GEN_AI_REQUEST_MODEL] = model
    attributes.update((name, options[key]) for key, name in _OPTIONS.items() if key in options)
    return attributes


def _fields(source: object) -> dict[str, Any]:
    """Return a JSON object's fields, from bytes or a parsed value; empty for anything else."""
    if isinstance(source, bytes):
        try:
            source = json.loads(source)
        except (ValueError, RecursionError):
            return {}
    return source if is_dict(source) else {}


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float))
