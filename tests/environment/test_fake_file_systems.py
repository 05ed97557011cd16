"""A test may replace the file system with pyfakefs before it uses a client or the emulator."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from enprompta._common.data import read_data
from enprompta.testing import preloading
from enprompta.testing.plugin import pytest_runtest_setup
from enprompta.webhooks import construct_event

if TYPE_CHECKING:
    from pathlib import Path

SUITE = """
import asyncio

{imports}

def test_calls(fs, enprompta_client):
    prompt = enprompta_client.prompts.create(title="A", content="{{{{x}}}}")
    assert enprompta_client.prompts.execute(prompt.id, variables={{"x": "1"}}).id

def test_async_calls(fs, async_enprompta_client):
    async def call():
        await async_enprompta_client.prompts.create(title="A", content="Hello")
        assert len((await async_enprompta_client.prompts.list()).data) == 1

    asyncio.run(call())

def test_on_the_real_file_system(enprompta_client):
    assert not enprompta_client.workflows.list().data

def test_deliveries(fs, webhook_delivery):
    assert webhook_delivery().body

def test_the_applications_own_client(fs):
    import enprompta

    with enprompta.Enprompta(api_key="ep_x", base_url="http://127.0.0.1:9", max_retries=0) as client:
        try:
            client.prompts.list()
        except enprompta.APIConnectionError:
            pass

def test_and_once_more(fs, enprompta_client):
    enprompta_client.prompts.get(enprompta_client.prompts.create(title="A", content="Hello").id)

def test_nothing_of_ours(fs):
    assert not fs.exists("/made")
"""


@pytest.mark.step("plugin")
@pytest.mark.parametrize("imports", ["", "from enprompta import Enprompta"], ids=["lazy", "imported"])
def test_a_suite_with_fake_file_systems(imports: str, tmp_path: Path) -> None:
    """The fixtures and clients of the application work on a fake file system and between two of them."""
    (tmp_path / "test_suite.py").write_text(SUITE.format(imports=imports))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-W",
        "error",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_the_document_on_a_fake_file_system(fs: Any, enprompta_emulator: Any) -> None:
    """The OpenAPI document comes from the real file system."""
    from enprompta.emulator import openapi_document

    assert openapi_document()["paths"]
    assert not fs.exists(__file__)


def test_a_delivery_on_a_fake_file_system(fs: Any, webhook_delivery: Any) -> None:
    """A forged delivery is read as on the real file system."""
    delivery = webhook_delivery()
    assert construct_event(delivery.body, delivery.headers, "whsec_for_tests_only").id


def test_data_of_a_package_in_a_zip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package imported from a zip file finds its data."""
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("packed_for_a_test/__init__.py", "")
        file.writestr("packed_for_a_test/words.txt", "packed")
    monkeypatch.syspath_prepend(archive)
    assert read_data("packed_for_a_test", "words.txt") == b"packed"
    with pytest.raises(OSError, match=r"none\.txt"):
        read_data("packed_for_a_test", "none.txt")


@pytest.mark.parametrize("is_loaded", [True, False])
def test_what_is_loaded_before_a_fake_file_system(is_loaded: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fixtures, modules are preloaded only if the application has loaded a client."""
    loaded: list[str] = []
    monkeypatch.setattr(preloading, "preload_client", lambda: loaded.append("client"))
    monkeypatch.setattr(preloading, "preload_emulator", lambda: loaded.append("emulator"))
    if not is_loaded:
        monkeypatch.delitem(sys.modules, "enprompta._client", raising=False)
    for names in ((), ("fs",), ("fs", "webhook_delivery")):
        item: Any = SimpleNamespace(fixturenames=names)
        pytest_runtest_setup(item)
    assert loaded == (["client", "emulator"] if is_loaded else ["emulator"])
