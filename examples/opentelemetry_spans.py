"""Record calls as OpenTelemetry spans, including retries and model settings.

This uses an emulator of the API on this machine. In production, configure a global provider with the exporter of your
backend (`opentelemetry-exporter-otlp`), and omit `tracer_provider`.
"""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.otel import OpenTelemetryHooks


class Lines(SpanExporter):
    """Prints one line per span and one per attempt."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Print some attributes of each span, and the status of each of its attempts."""
        for span in spans:
            said = span.attributes or {}
            shown = {name: said[name] for name in sorted(said) if name.startswith(("gen_ai.", "enprompta.", "error"))}
            print(f"{span.name:32} {said.get('http.response.status_code', '')}  {shown}")
            for event in span.events:
                print(f"  {event.name:30} {(event.attributes or {}).get('http.response.status_code', '')}")
        return SpanExportResult.SUCCESS


def main() -> None:
    """Execute a prompt that needs two attempts, within a span of the application."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Lines()))
    tracer = provider.get_tracer("my.application")

    with Emulator() as emulator:
        hooks = OpenTelemetryHooks(tracer_provider=provider)
        with Enprompta(api_key=emulator.keys.pro, base_url=emulator.url, hooks=[hooks]) as client:
            prompt = client.prompts.create(title="Tea", content="Write about {{topic}}.")
            emulator.faults.add("/prompts/*/execute", status=503, times=1, headers={"Retry-After": "0"})
            with tracer.start_as_current_span("answer a customer"):
                client.prompts.execute(prompt.id, variables={"topic": "tea"}, model="small", temperature=0.2)
    provider.shutdown()


if __name__ == "__main__":
    main()
