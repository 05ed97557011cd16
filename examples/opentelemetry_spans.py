"""See calls as spans of OpenTelemetry, retries and model settings included.

This runs on an emulator of the API on this machine. In earnest, set a provider up once with the exporter of your
backend (`opentelemetry-exporter-otlp`), and leave `tracer_provider` out.
"""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.otel import OpenTelemetryHooks


class Lines(SpanExporter):
    """Prints a span a line."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Print some of what each span says."""
        for span in spans:
            said = span.attributes or {}
            shown = {name: said[name] for name in sorted(said) if name.startswith(("gen_ai.", "enprompta.", "error"))}
            print(f"{span.name:32} {said.get('http.response.status_code', '')}  {shown}")
        return SpanExportResult.SUCCESS


def main() -> None:
    """Make an execution that needs two tries, within a span of the application's own."""
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
