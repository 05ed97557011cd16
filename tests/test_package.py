"""What is built is what is meant: the wheel holds the package alone, and works in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from enprompta import __version__
from enprompta.emulator import Emulator

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from enprompta import Enprompta
with Enprompta() as client:
    prompt = client.prompts.create(title="Built", content="Hello {{name}}")
    print(client.prompts.execute(prompt.id, variables={"name": "wheel"}).output)
try:
    import enprompta.emulator
except ImportError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    """The wheel has the package, its type marker and its licence; no tests, no examples."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "enprompta/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"enprompta", f"enprompta-{__version__}.dist-info"}


def test_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """A fresh environment with the wheel alone makes calls, and says what to install for the emulator."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)]
    installed = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("no package index can be reached to install the dependencies from")
    assert installed.returncode == 0, installed.stderr
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with Emulator() as emulator:
        environment = {
            **os.environ,
            "ENPROMPTA_API_KEY": emulator.keys.pro,
            "ENPROMPTA_BASE_URL": emulator.url,
        }
        command = [str(python), "-W", "error", str(script)]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "Hello wheel"
    assert 'pip install "enprompta[emulator]"' in done.stdout
