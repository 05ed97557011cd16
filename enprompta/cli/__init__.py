"""The command line: `enprompta`, of the extra `enprompta[cli]`."""

from __future__ import annotations

import sys

from enprompta._common.streams import guarded, use_utf8

_MISSING = 'The command line needs more packages: pip install "enprompta[cli]"\n'


def main() -> int:
    """Run the command line of this process and return the exit status."""
    use_utf8()
    with guarded():
        try:
            from enprompta.cli.app import run  # noqa: PLC0415 (typer and rich are an extra)
        except ModuleNotFoundError as missing:
            if missing.name not in {"rich", "typer", "yaml"}:
                raise
            sys.stderr.write(_MISSING)
            return 1
        return run()
