"""`python -m enprompta.emulator`: serve until Ctrl-C."""

from __future__ import annotations

import argparse
import ipaddress
import signal
import sys
import threading
from typing import TYPE_CHECKING

from enprompta._version import __version__
from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_DEFAULT_PORT = 8787
_PROGRAM = "python -m enprompta.emulator"


def main(arguments: Sequence[str] | None = None, *, program: str = _PROGRAM) -> int:
    """Serve until Ctrl-C, or until asked to terminate, and give the exit status.

    Args:
        arguments: The command line without the program; None for the process's own.
        program: What the program is called in its help.
    """
    options = _parser(program).parse_args(arguments)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        emulator = Emulator(
            db=options.db,
            host=options.host,
            port=options.port,
            window=options.window,
            error_dialect=options.error_dialect,
            upstream=options.upstream,
            local_model=options.local_model,
            strict_models=options.strict_models,
            allowed_hosts=options.allow_host,
            allow_remote_webhooks=options.allow_remote_webhooks,
        ).start()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        if not _is_loopback(options.host):
            sys.stderr.write(f"Warning: {options.host} lets other machines in, and the keys below are no secret.\n")
        sys.stdout.write(_banner(emulator, options))
        sys.stdout.flush()
        while not stop.wait(3600):  # a wait without an end would not see Ctrl-C on Windows
            pass
    finally:
        emulator.stop()
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Serve the Enprompta API on this machine.",
        epilog="An upstream's key is taken from ENPROMPTA_EMULATOR_UPSTREAM_KEY.",
    )
    parser.add_argument("--version", action="version", version=f"enprompta {__version__}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--db", default=":memory:", metavar="FILE", help="SQLite file (default: kept in memory)")
    parser.add_argument(
        "--window", type=float, default=60.0, metavar="SECONDS", help="length of a rate limit's minute (default: 60)"
    )
    parser.add_argument(
        "--error-dialect",
        choices=("reference", "detailed"),
        default="reference",
        help="form of the errors (default: %(default)s)",
    )
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="OpenAI-compatible server to run prompts on (default: ENPROMPTA_EMULATOR_UPSTREAM, else an echo)",
    )
    parser.add_argument(
        "--local-model",
        action="store_true",
        help="run prompts on a small model in this process (the extra enprompta[local-model] installs it)",
    )
    parser.add_argument(
        "--strict-models",
        action="store_true",
        help="refuse providers and models that are not known, where prompts are echoed",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name that clients reach it by, such as a container's (repeatable)",
    )
    parser.add_argument(
        "--allow-remote-webhooks",
        action="store_true",
        help="deliver events to other machines too (default: to this machine only)",
    )
    return parser


def _banner(emulator: Emulator, options: argparse.Namespace) -> str:
    keys = emulator.keys
    model = "a local model" if emulator.local_model else emulator.upstream
    answers = f"prompts run on {model}" if model else "prompts are echoed"
    data = "data is kept in memory" if options.db == ":memory:" else f"data is kept in {options.db}"
    return (
        f"Enprompta emulator {__version__} at {emulator.url} ({answers}, {data})\n"
        f"  keys    {keys.pro}  {keys.team}  {keys.enterprise}  {keys.free} (no API access)\n"
        f"  clients {_clients(emulator)}\n"
        f"  use it  export ENPROMPTA_BASE_URL={emulator.url} ENPROMPTA_API_KEY={keys.team}\n"
        "Ctrl-C stops it.\n"
    )


def _clients(emulator: Emulator) -> str:
    clients = emulator.clients
    return "  ".join(f"{it.client_id}:{it.client_secret}" for it in (clients.pro, clients.team, clients.enterprise))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
