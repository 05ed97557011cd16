"""Prism, a mock server and a validating proxy, understands the document as the client and the emulator do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from enprompta import Enprompta
from enprompta.emulator import Emulator
from tests.conformance.document import OPERATIONS, of, problems_of_response
from tests.conformance.seeds import PLAIN_PROMPT, sow
from tests.conformance.table import EXTRAS, TABLE, WORKFLOW
from tests.spec_tools.tools import prism

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.step("spec_tools")]


def client_of(url: str, http: httpx.Client, **credentials: str) -> Enprompta:
    """Make a client that sends every request once, to Prism."""
    return Enprompta(base_url=f"{url}/api/v1", http_client=http, limiter=None, max_retries=0, **credentials)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_mock_answers_every_call_as_documented(tmp_path: Path, mode: str) -> None:
    """Every call of the client gets a valid answer from the mock server, from examples and from random data."""
    seen: list[httpx.Response] = []
    problems: list[str] = []

    def watch(response: httpx.Response) -> None:
        response.read()
        seen.append(response)
        if not response.is_success:
            problems.append(f"{of(response.request).id}: {response.status_code} {response.text[:300]}")
        problems.extend(problems_of_response(response))

    flags = ["--dynamic", "--seed", "enprompta"] if mode == "dynamic" else []
    with (
        prism(tmp_path / "log", "mock", *flags) as url,
        httpx.Client(event_hooks={"response": [watch]}, trust_env=False) as http,
    ):
        client = client_of(url, http, client_id="i", client_secret="s")
        for row in TABLE:
            for do in filter(None, (row.minimal, row.full)):
                do(client)
    assert problems == []
    assert {of(response.request).id for response in seen} == set(OPERATIONS)


def test_proxy_finds_no_violation(tmp_path: Path) -> None:
    """Every public method goes through the validating proxy to the emulator and back with no violation."""
    seen: list[httpx.Response] = []
    violations: list[str] = []

    def watch(response: httpx.Response) -> None:
        response.read()
        seen.append(response)
        if "sl-violations" in response.headers:
            violations.append(f"{of(response.request).id}: {response.headers['sl-violations']}")

    with Emulator(rate_limits=False, webhook_backoff=()) as emulator:
        sow(emulator)
        own = emulator.clients.enterprise
        with (
            prism(tmp_path / "log", "proxy", emulator.url.removesuffix("/api/v1")) as url,
            httpx.Client(event_hooks={"response": [watch]}, trust_env=False) as http,
        ):
            client = client_of(url, http, client_id=own.client_id, client_secret=own.client_secret)
            for name in EXTRAS.keys() - {"workflows.wait"}:  # the execution of that row never ends
                EXTRAS[name](client)
            EXTRAS["webhooks.enable"](client)
            execution = client.workflows.execute(WORKFLOW, input={"topic": "tea"})
            client.workflows.wait(WORKFLOW, execution.id)
            assert len(list(client.prompts.list(limit=2))) > 2  # more than one page
            assert all(result.ok for result in client.prompts.execute_many(PLAIN_PROMPT, [{}, {}]))
            client.prompts.preload(["launch-announcement"])
            for row in TABLE:
                for do in filter(None, (row.minimal, row.full)):
                    do(client)
            # The proxy can fail: what the document forbids is a violation.
            bad = http.post(
                f"{url}/api/v1/prompts", json={"title": 1}, headers={"Authorization": f"Bearer {emulator.keys.pro}"}
            )
    assert {of(response.request).id for response in seen} == set(OPERATIONS)
    assert "sl-violations" in bad.headers
    assert len(violations) == 1, violations
