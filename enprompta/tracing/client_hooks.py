"""The spans of a client's own calls, with the contents of executions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import NoOpMeterProvider

from enprompta._common import semantic_conventions as names
from enprompta.otel import OpenTelemetryHooks
from enprompta.tracing.contents import write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from enprompta.hooks import CallRecord


class ClientHooks(OpenTelemetryHooks):
    """Records a client's calls as spans of a tracer; executions with variables and output, if they are captured."""

    def __init__(self, provider: TracerProvider, *, is_captured: bool) -> None:
        super().__init__(provider, NoOpMeterProvider())
        self._is_captured = is_captured

    def _execution_attributes(self, record: CallRecord) -> dict[str, AttributeValue]:
        """Add the variables."""
        attributes = super()._execution_attributes(record)
        attributes[names.OPENINFERENCE_SPAN_KIND] = "LLM"
        if self._is_captured:
            try:
                variables: Any = json.loads(record.body).get("variables")
            except (ValueError, AttributeError):
                variables = None
            text, kind = write(variables or {})
            attributes |= {names.INPUT_VALUE: text, names.INPUT_MIME_TYPE: kind}
        return attributes

    def _result_attributes(self, result: Mapping[str, Any]) -> dict[str, AttributeValue]:
        """Add the output."""
        attributes = super()._result_attributes(result)
        output = result.get("output")
        if self._is_captured and output is not None:
            text, kind = write(output)
            attributes |= {names.OUTPUT_VALUE: text, names.OUTPUT_MIME_TYPE: kind}
        return attributes
