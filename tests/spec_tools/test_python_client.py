"""openapi-python-client generates a whole client from the document, and that client works with the emulator."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from enprompta import APIStatusError, Enprompta
from enprompta.emulator import Emulator
from tests.conformance.document import OPERATIONS, of
from tests.conformance.seeds import sow
from tests.conformance.table import TABLE
from tests.spec_tools.tools import DOCUMENT, HERE, python_tool, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.step("spec_tools")]


def recorded(emulator: Emulator) -> list[dict[str, Any]]:
    """Return every call of the table, and the token request, as data: operation, parameters by wire name, body."""
    calls: list[dict[str, Any]] = []

    def record(request: httpx.Request) -> httpx.Response:
        operation = of(request)
        path, _, _ = request.url.raw_path.decode("ascii").partition("?")
        matched = operation.pattern.fullmatch(path)
        parameters = {name: unquote(value) for name, value in (matched.groupdict() if matched else {}).items()}
        parameters |= dict(request.url.params)
        if "Idempotency-Key" in request.headers:  # a key once per call: the client sends its calls here first
            parameters["Idempotency-Key"] = f"generated {len(calls)}"
        body = json.loads(request.content) if request.content else None
        if body is None and "requestBody" in operation.raw and operation.raw["requestBody"]["required"]:
            body = {}
        calls.append({"operation": operation.id, "parameters": parameters, "body": body})
        return httpx.Response(418)

    own = emulator.clients.enterprise
    with httpx.Client(transport=httpx.MockTransport(record)) as http:
        for credentials in ({"api_key": "ep_test"}, {"client_id": own.client_id, "client_secret": own.client_secret}):
            client = Enprompta(**credentials, http_client=http, limiter=None, max_retries=0, base_url=emulator.url)
            for row in TABLE if "api_key" in credentials else TABLE[1:2]:
                for do in filter(None, (row.minimal, row.full)):
                    with suppress(APIStatusError):
                        do(client)
    return calls


def test_every_generated_operation_works(tmp_path: Path) -> None:
    """The client is generated without a warning; each call is answered, and the answer is read without loss."""
    (tmp_path / "config.yaml").write_text("package_name_override: generated_client\npost_hooks: []\n")
    project = tmp_path / "project"
    done = run(
        *(python_tool("openapi-python-client"), "generate", "--path", str(DOCUMENT), "--output-path", str(project)),
        *("--config", str(tmp_path / "config.yaml"), "--fail-on-warning"),
    )
    assert done.returncode == 0, done.stdout
    assert "arning" not in done.stdout
    with Emulator(rate_limits=False, webhook_backoff=()) as emulator:
        sow(emulator)
        calls = recorded(emulator)
        ran = subprocess.run(
            [
                *(python_tool("python"), "-I", str(HERE / "generated.py"), str(project), "generated_client"),
                *(emulator.url.removesuffix("/api/v1"), emulator.keys.enterprise),
            ],
            input=json.dumps(calls),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["problems"] == []
    assert result["modules"] == sorted(name.replace(".", "_") for name in OPERATIONS)
    assert {call["operation"] for call in calls} == set(OPERATIONS)
