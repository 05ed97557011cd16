"""The published client works against the emulator: what was seen on its wire is what the emulator understands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from enprompta.emulator import Emulator

PUBLISHED = "1.4.0"
PROGRAM = Path(__file__).parent / "published.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch the published wheel; nothing is installed."""
    directory = tmp_path_factory.mktemp("published")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--disable-pip-version-check",
        "-d",
        directory,
    ]
    fetched = subprocess.run([*command, f"enprompta=={PUBLISHED}"], capture_output=True, text=True, check=False)
    wheels = list(directory.glob(f"enprompta-{PUBLISHED}-*.whl"))
    if not wheels:
        pytest.skip(f"enprompta {PUBLISHED} cannot be downloaded: {fetched.stderr.strip()[-200:]}")
    return wheels[0]


@pytest.mark.slow
def test_published_client_works(wheel: Path) -> None:
    """Every method that it has on these resources does what it promises, by key and by OAuth2."""
    with Emulator(error_dialect="detailed", webhook_backoff=()) as emulator:
        _invite(emulator)
        own = emulator.clients.team
        ran = subprocess.run(
            [
                *(sys.executable, PROGRAM, wheel, emulator.url.removesuffix("/api/v1")),
                *(emulator.keys.team, own.client_id, own.client_secret),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["file"].startswith(str(wheel))
    assert set(told["methods"]) == set(told["called"])


def _invite(emulator: Emulator) -> None:
    """Make a team that the client can leave."""
    headers = {"Authorization": f"Bearer {emulator.keys.pro}"}
    with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as other:
        team = other.post("/teams", json={"name": "Guests"}).json()["data"]["id"]
        invited = other.post(f"/teams/{team}/members", json={"email": "team@example.com"})
        assert invited.status_code == 201
