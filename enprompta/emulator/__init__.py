"""A local server that implements the Enprompta API, with FastAPI, uvicorn and SQLite.

    from enprompta.emulator import Emulator

    with Emulator() as emulator:
        emulator.url        # http://127.0.0.1:40123/api/v1
        emulator.keys.team  # ep_test_team

From a shell, run `python -m enprompta.emulator --port 8787 --db enprompta.db`.
"""

from __future__ import annotations

try:
    from enprompta.emulator.access.accounts import Keys
    from enprompta.emulator.api.app import openapi_document
    from enprompta.emulator.control.client import ControlError, EmulatorControl
    from enprompta.emulator.emulator import Emulator
    from enprompta.emulator.serving.clock import EmulatorClock
except ModuleNotFoundError as _missing:
    _package = (_missing.name or "").partition(".")[0]
    if _package not in {"fastapi", "starlette", "uvicorn", "yaml"}:
        raise
    _message = f'The emulator needs {_package}, which is not installed: pip install "enprompta[emulator]"'
    raise ImportError(_message, name=_package) from _missing

__all__ = ["ControlError", "Emulator", "EmulatorClock", "EmulatorControl", "Keys", "openapi_document"]
