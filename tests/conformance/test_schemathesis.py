"""The emulator does what its document says, whatever is sent to it: schemathesis, all its checks and the links.

The short profile runs with the tests, the long one, for a night, with `ENPROMPTA_LONG_TESTS=1`: 200 examples in place
of 6. `CONFORMANCE_EXAMPLES` and `CONFORMANCE_SEED` set others.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from enprompta.emulator import emulator as home
from tests.conformance.seeds import sow
from tests.openapi_file import PATH as DOCUMENT
from tests.openapi_file import document

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

ROOT = Path(__file__).parents[2]
PATHS: dict[str, Any] = document()["paths"]
EXAMPLES = os.environ.get("CONFORMANCE_EXAMPLES", "200" if os.environ.get("ENPROMPTA_LONG_TESTS") else "6")
SEED = os.environ.get("CONFORMANCE_SEED", "20240117")
MINUTES = 60


@pytest.mark.slow
@pytest.mark.step("conformance")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the schemathesis that this needs, 4.32, needs Python 3.11")
def test_emulator_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check holds for examples, boundaries, random requests and chains of them, and nothing is left untried."""
    answers: Counter[tuple[str, str, int]] = Counter()
    create_app = home.create_app
    refused = no_way_out(monkeypatch)

    def watched(services: Any) -> Any:
        app = create_app(services)

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            async def watching(message: Message) -> None:
                if message["type"] == "http.response.start":
                    answers[scope["method"], scope["path"], message["status"]] += 1
                await send(message)

            await app(scope, receive, watching)

        return call

    monkeypatch.setattr(home, "create_app", watched)
    with Emulator(rate_limits=False, webhook_backoff=()) as emulator:
        sow(emulator)
        answers.clear()
        ran = subprocess.run(
            command(emulator, tmp_path),
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.conformance.hooks", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=MINUTES * 60,
            check=False,
        )
    assert refused
    assert ran.returncode == 0, ran.stdout
    assert "object_level_authorization` will not run" not in ran.stdout
    assert set(operations()) == succeeded(answers)


def no_way_out(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Let nothing leave this machine, for the fuzzer makes up addresses for events; give those that were refused."""
    refused: list[object] = []
    look_up = socket.getaddrinfo

    async def refuse(*address: object, **options: object) -> None:
        refused.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **options: look_up("127.0.0.1", *rest, **options))
    monkeypatch.setattr(asyncio, "open_connection", refuse)
    return refused


def command(emulator: Emulator, directory: Path) -> list[str]:
    """Write the settings and give the command line: two accounts that must not see what is the other's."""
    keys = emulator.keys
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
        for name, key in (("enterprise", keys.enterprise), ("team", keys.team))
    ]
    (directory / "users.json").write_text(json.dumps({"auth": users}), encoding="utf-8")
    (directory / "schemathesis.toml").write_text(
        '[auth.wfc]\npath = "users.json"\nuser = "enterprise"\npeers = ["enterprise", "team"]\n', encoding="utf-8"
    )
    return [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", str(DOCUMENT)),
        *("--url", emulator.url.removesuffix("/api/v1"), "--checks", "all", "--continue-on-failure"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES),
        *("--request-timeout", "60"),  # each execution is delivered to hundreds of webhooks that the tests have created
        *("--seed", SEED, "--generation-database", "none", "--output-truncate", "false"),
    ]


def operations() -> dict[tuple[str, str], re.Pattern[str]]:
    """All operations of the document, and what their paths look like."""
    return {
        (method.upper(), path): re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        for path, item in PATHS.items()
        for method in item
    }


def succeeded(answers: Counter[tuple[str, str, int]]) -> set[tuple[str, str]]:
    """The operations that were answered with a success at least once."""
    known = sorted(operations().items(), key=lambda entry: "{" in entry[0][1])
    return {
        next(operation for operation, pattern in known if operation[0] == method and pattern.fullmatch(path))
        for method, path, status in answers
        if 200 <= status < 300
    }
