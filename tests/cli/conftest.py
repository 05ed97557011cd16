"""An emulator, and the command line run against it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from enprompta import Enprompta
from enprompta.cli.app import app
from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from enprompta.emulator.faults import Faults

    Run: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """An emulator without limits."""
    with Emulator(rate_limits=False) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def no_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ignore the profiles of the developer who runs the tests."""
    monkeypatch.setenv("ENPROMPTA_CONFIG_DIR", str(tmp_path / "no-profiles"))


@pytest.fixture(scope="module")
def client(service: Emulator) -> Iterator[Enprompta]:
    """A client of the emulator."""
    with Enprompta(api_key=service.keys.enterprise, base_url=service.url, limiter=None) as client:
        yield client


@pytest.fixture
def faults(service: Emulator) -> Iterator[Faults]:
    """Responses that replace those of the service; cleared after the test."""
    yield service.faults
    service.faults.clear()


@pytest.fixture
def environment(service: Emulator) -> dict[str, str]:
    """The environment of a shell."""
    return {"ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url, "COLUMNS": "100"}


@pytest.fixture
def run(service: Emulator, environment: dict[str, str]) -> Run:
    """Run a command in this process; its output contains no key and no color."""

    def invoke(*arguments: object, status: int = 0, stdin: str | None = None, **variables: str) -> Result:
        result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env={**environment, **variables})
        assert result.exit_code == status, result.output
        assert service.keys.enterprise not in result.output
        assert "\x1b" not in result.output
        assert "Traceback" not in result.output
        return result

    return invoke


def objects(result: Result) -> list[dict[str, Any]]:
    """Parse the output of `--json`."""
    return [json.loads(line) for line in result.stdout.splitlines()]
