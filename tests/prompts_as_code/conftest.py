"""A directory, an emulator, and the command line between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from enprompta import Enprompta
from enprompta.cli.app import app
from enprompta.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    """An emulator without limits."""
    with Emulator(rate_limits=False) as emulator:
        yield emulator


@pytest.fixture
def client(service: Emulator) -> Iterator[Enprompta]:
    """A client of an account without prompts."""
    with Enprompta(api_key=service.keys.enterprise, base_url=service.url, limiter=None) as client:
        for prompt in list(client.prompts.list(limit=100)):
            client.prompts.delete(prompt.id)
        yield client


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The path of a directory that does not exist yet."""
    return tmp_path / "prompts"


@pytest.fixture
def run(service: Emulator, client: Enprompta) -> Callable[..., Result]:
    """Run a command in this process."""

    def invoke(*arguments: object, status: int = 0, **environment: Any) -> Result:
        variables = {"ENPROMPTA_API_KEY": service.keys.enterprise, "ENPROMPTA_BASE_URL": service.url, "COLUMNS": "200"}
        result = CliRunner().invoke(app, [str(one) for one in arguments], env={**variables, **environment})
        assert result.exit_code == status, result.output
        assert service.keys.enterprise not in result.output
        assert "\x1b" not in result.output
        return result

    return invoke
