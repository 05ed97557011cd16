"""The checks of `enprompta doctor` on tracing: spans are accepted, and redaction works."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from enprompta.cli.commands.finding import Finding
from enprompta.cli.words import explain
from enprompta.errors import EnpromptaError, PermissionDeniedError

if TYPE_CHECKING:
    from enprompta import Enprompta

_SECONDS = 10.0


def tracing_findings(client: Enprompta) -> list[Finding]:
    """Check that the service accepts spans, with an empty request, and that no canary passes the redaction."""
    try:
        from enprompta.tracing.exporter import INGEST_PATH  # noqa: PLC0415 (an extra)
    except ImportError:
        return [Finding("tracing", "ok", 'not installed; pip install "enprompta[tracing]" adds it')]
    return [_ingest(client, INGEST_PATH), _redaction()]


def _ingest(client: Enprompta, path: str) -> Finding:
    """Send a request without spans."""
    from enprompta._client.ingest_client import IngestClient  # noqa: PLC0415 (as the client)
    from enprompta.tracing.batches import HEADERS  # noqa: PLC0415 (an extra)

    sender = IngestClient(client)
    try:
        sender.post(path, gzip.compress(b""), HEADERS, seconds=_SECONDS)
    except PermissionDeniedError as error:
        return Finding("tracing", "warn", f"spans need the scope traces:write: {explain(error)}")
    except EnpromptaError as error:
        return Finding("tracing", "warn", f"spans cannot be sent: {explain(error)}")
    finally:
        sender.close()
    return Finding("tracing", "ok", "the service accepts spans")


def _redaction() -> Finding:
    """Report whether planted secrets are redacted."""
    from enprompta.tracing.redaction_proof import PLANTED, secrets_that_pass  # noqa: PLC0415 (an extra)

    passed = secrets_that_pass()
    if passed:
        return Finding("redaction", "fail", f"{len(passed)} of {len(PLANTED)} planted secrets were not redacted")
    return Finding("redaction", "ok", f"{len(PLANTED)} planted secrets are redacted before spans are sent")
