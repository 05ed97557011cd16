"""The command line of the emulator: `python -m enprompta.emulator`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from enprompta._common.hosts import is_loopback
from enprompta._common.streams import INTERRUPTED, complain, guarded, use_utf8
from enprompta._version import __version__
from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    Companion = Callable[[Emulator], AbstractContextManager[str]]

_DEFAULT_PORT = 8787
_PROGRAM = "python -m enprompta.emulator"


def main(arguments: Sequence[str] | None = None, *, program: str = _PROGRAM, companion: Companion | None = None) -> int:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, and return the exit status: 130 after Ctrl-C, 0 after SIGTERM.

    Args:
        arguments: Command-line arguments without the program name; None for `sys.argv[1:]`.
        program: Program name to show in the help.
        companion: Serves the Workbench beside the emulator if `--workbench` is given; its result is printed. None to
            leave out that option.
    """
    settings = vars(_parser(program, has_companion=companion is not None).parse_args(arguments))
    if not settings.pop("workbench", False):
        companion = None
    stop = threading.Event()
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop.set()

    with ExitStack() as handlers:
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers.callback(signal.signal, number, signal.signal(number, on_signal))
        status = _serve(settings, stop, companion)
    return INTERRUPTED if signal.SIGINT in received else status


def _serve(settings: dict[str, Any], stop: threading.Event, companion: Companion | None) -> int:
    try:
        emulator = Emulator(**settings).start()
    except ConfigurationError as error:
        complain(f"{error}\n")
        return 1
    try:
        if not is_loopback(settings["host"]):
            complain(f"Warning: {settings['host']} accepts other machines, and the keys below are public.\n")
        with companion(emulator) if companion is not None else nullcontext("") as more:
            sys.stdout.write(_banner(emulator, settings["db"], more))
            sys.stdout.flush()
            while not stop.wait(3600):  # on Windows, Ctrl-C does not interrupt a wait without a timeout
                pass
    finally:
        emulator.stop()
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that raises when standard output cannot be written; argparse ignores it."""

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 (argparse's own)
        """Print help, version, usage and errors: argparse prints everything through this method."""
        if file is sys.stdout:
            file.write(message)
        else:
            complain(message)


def _parser(program: str, *, has_companion: bool) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Serve the Enprompta API on this machine.",
        epilog="The upstream's API key is read from ENPROMPTA_EMULATOR_UPSTREAM_KEY.",
    )
    parser.add_argument("--version", action="version", version=f"enprompta {__version__}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=_DEFAULT_PORT, help="port to listen on, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument("--db", default=":memory:", metavar="FILE", help="SQLite file (default: in memory)")
    parser.add_argument(
        "--window", type=float, default=60.0, metavar="SECONDS", help="length of the per-minute window (default: 60)"
    )
    parser.add_argument(
        "--error-dialect",
        choices=("reference", "detailed"),
        default="reference",
        help="format of error responses (default: %(default)s)",
    )
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="OpenAI-compatible server to run prompts on (default: ENPROMPTA_EMULATOR_UPSTREAM, or echo the prompt)",
    )
    parser.add_argument(
        "--local-model",
        action="store_true",
        help="run prompts on a small model in this process (install it with enprompta[local-model])",
    )
    parser.add_argument(
        "--strict-models", action="store_true", help="reject unknown providers and models when prompts are echoed"
    )
    parser.add_argument(
        "--allow-host",
        dest="allowed_hosts",
        action="append",
        default=[],
        metavar="NAME",
        help="additional host name to answer for, such as a container's (repeatable)",
    )
    parser.add_argument(
        "--allow-remote-webhooks",
        action="store_true",
        help="deliver webhook events to other machines too (default: this machine only)",
    )
    if has_companion:
        parser.add_argument(
            "--workbench", action="store_true", help="start the Workbench too, a web page to see and debug all requests"
        )
    return parser


def _banner(emulator: Emulator, db: str, more: str) -> str:
    keys = emulator.keys
    model = "a local model" if emulator.local_model else emulator.upstream
    execution = f"prompts run on {model}" if model else "prompts are echoed"
    data = "data is kept in memory" if db == ":memory:" else f"data is kept in {db}"
    clients = (emulator.clients.pro, emulator.clients.team, emulator.clients.enterprise)
    credentials = "  ".join(f"{it.client_id}:{it.client_secret}" for it in clients)
    return (
        f"Enprompta emulator {__version__} at {emulator.url} ({execution}, {data})\n"
        f"  keys    {keys.pro}  {keys.team}  {keys.enterprise}  {keys.free} (no API access)\n"
        f"  clients {credentials}\n"
        f"  use it  export ENPROMPTA_BASE_URL={emulator.url} ENPROMPTA_API_KEY={keys.team}\n"
        f"  inspect ENPROMPTA_CONTROL_TOKEN={emulator.control_token} enprompta workbench --url {emulator.origin}\n"
        f"{more}"
        "Press Ctrl-C to stop.\n"
    )


if __name__ == "__main__":
    use_utf8()
    with guarded():
        sys.exit(main())
