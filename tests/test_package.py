"""The wheel contains only the package, and works in an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from enprompta import __version__
from enprompta.emulator import Emulator

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.step("package")]

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


# What a user gets who installs the core: its four dependencies, and what httpx and pydantic stand on.
CORE = {"httpx", "pydantic", "tenacity", "typing-extensions"}
BELOW = {"annotated-types", "anyio", "certifi", "exceptiongroup", "h11", "httpcore", "idna", "pydantic-core"} | {
    "sniffio",
    "typing-inspection",
}


def build(source: Path, out: Path, **environ: str) -> list[Path]:
    """Build a wheel and an sdist of a tree, as a release does: the wheel is made from the sdist."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"} | environ
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environ)
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel and the sdist, built from this checkout."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built: list[Path]) -> Path:
    """The wheel, built from this checkout."""
    return next(path for path in built if path.suffix == ".whl")


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    """The wheel has the package, its type marker and its licence; no tests, no examples."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "enprompta/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {"enprompta", f"enprompta-{__version__}.dist-info"}


def test_builds_are_the_same_byte_for_byte(built: list[Path], tmp_path: Path) -> None:
    """Rebuilding from the sdist in another place by another user produces the same files, so anyone can check."""
    sdist = next(path for path in built if path.suffix == ".gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "copy", filter="data")
    copy = tmp_path / "copy" / sdist.name.removesuffix(".tar.gz")
    for path in copy.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1e9, 1e9))
    again = build(copy, tmp_path / "dist", TZ="Pacific/Chatham", LC_ALL="C", PYTHONHASHSEED="7")
    assert [path.name for path in again] == [path.name for path in built]
    assert [sha256(path.read_bytes()).hexdigest() for path in again] == [
        sha256(path.read_bytes()).hexdigest() for path in built
    ]


def test_the_builds_are_what_an_index_takes(built: list[Path], wheel: Path) -> None:
    """The metadata and the README render as an index shows them, and the wheel has none of the usual mistakes."""
    pytest.importorskip("twine", reason="the extra `release` is not installed")
    for command in (["twine", "check", "--strict", *map(str, built)], ["check_wheel_contents", str(wheel)]):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def requirements(*extras: str) -> list[Requirement]:
    """List what the package asks for: of the core, and of the given extras."""
    asked = [Requirement(one) for one in metadata.requires("enprompta") or ()]
    wanted = ("", *extras)
    return [one for one in asked if one.marker is None or any(one.marker.evaluate({"extra": it}) for it in wanted)]


def test_the_core_depends_on_four_packages() -> None:
    """Without an extra, it asks for four packages and no more."""
    assert {one.name for one in requirements()} == CORE


def test_the_oldest_versions_that_are_tested_are_the_oldest_that_are_promised() -> None:
    """`tests/lowest.txt` has each dependency at the least version that the metadata allows, and none is left out."""
    lines = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    least = {
        one.name.lower(): next(part.version for part in one.specifier if part.operator == ">=")
        for one in requirements("aiohttp", "cli", "emulator", "otel", "redis")
    }
    assert {name: Version(pinned[name]) for name in least} == {name: Version(it) for name, it in least.items()}


def test_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """A new environment has the four dependencies and theirs; calls work, and the emulator says what it needs."""
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "-q", str(wheel)]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("no package index can be reached to install the dependencies from")
    assert installed.returncode == 0, installed.stderr
    listed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, text=True, check=True)
    names = {one["name"].lower().replace("_", "-") for one in json.loads(listed.stdout)}
    assert names >= CORE
    assert names - {"enprompta"} <= CORE | BELOW
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
