"""The server of the Workbench and the command that starts it, in the process of the test."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import webbrowser
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer
import uvicorn

from enprompta import ConfigurationError, Enprompta
from enprompta.cli import workbench_session
from enprompta.cli.commands import workbench as command
from enprompta.cli.profiles import SetupError
from enprompta.emulator import ControlError, Emulator
from enprompta.workbench import server
from tests.workbench.visits import live

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from enprompta.workbench.session import Session

pytestmark = pytest.mark.step("workbench")

ORIGIN = "http://127.0.0.1:9"


def test_the_relay_is_closed_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses are announced once the server answers, and connections are closed when it ends."""

    class Fake:
        should_exit = False

        def __init__(self, _: Any, *, handle_signals: bool, on_ready: Callable[[], object]) -> None:
            assert handle_signals
            self.on_ready = on_ready

        async def serve(self, sockets: list[Any]) -> None:
            self.on_ready()
            for one in sockets:
                one.close()

    monkeypatch.setattr(server, "_UvicornServer", Fake)
    session = live()
    server.Server(live(), port=0)._listener.close()  # the application is made once
    one = server.Server(session, port=0, relay=True)
    one.stop()  # before it is served: nothing to stop
    announced: list[server.Addresses] = []
    asyncio.run(one.serve(announced.append))
    assert announced == [one.addresses]
    assert one._relay is not None
    assert one._relay._client.is_closed
    one.stop()


def test_the_port_is_the_usual_one_or_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --port another is taken if the usual one is in use; a port that is asked for must be usable."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(server, "DEFAULT_PORT", port)
        with server._listen(None) as other:
            assert other.getsockname()[1] not in {0, port}
        with pytest.raises(ConfigurationError, match=f"cannot listen on port {port}"):
            server._listen(port)
    with server._listen(None) as usual:
        assert usual.getsockname()[1] == port


def test_signals_stop_a_server_of_the_main_thread() -> None:
    """A server that handles signals stops at the first, and passes it on when it has ended."""
    one = server._UvicornServer(uvicorn.Config("x:y"), handle_signals=True, on_ready=lambda: None)

    def interrupted() -> None:
        with one.capture_signals():
            signal.raise_signal(signal.SIGINT)
            assert one.should_exit

    with pytest.raises(KeyboardInterrupt):
        interrupted()


@pytest.mark.parametrize("error", [None, webbrowser.Error("none"), OSError("none")])
def test_the_link_is_opened_in_the_background(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser is started on a thread, and a missing browser is no error."""
    opened: list[str] = []
    threads: list[threading.Thread] = []

    def show(url: str) -> None:
        opened.append(url)
        threads.append(threading.current_thread())
        if error is not None:
            raise error

    monkeypatch.setattr(webbrowser, "open", show)
    crashes: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    known = set(threading.enumerate())
    server.open_browser("http://127.0.0.1:1/?token=x")
    for thread in set(threading.enumerate()) - known:
        thread.join(60)
    assert (opened, crashes) == (["http://127.0.0.1:1/?token=x"], [])
    assert threads[0] is not threading.main_thread()


class FakeServer:
    """A server that announces its addresses and is then interrupted, or ends."""

    error: BaseException | None = None

    def __init__(self, session: Session, **_: Any) -> None:
        session.report_url = "http://127.0.0.1:1/report/x"

    async def serve(self, on_ready: Callable[[server.Addresses], object]) -> None:
        """Announce the addresses."""
        on_ready(server.Addresses("http://127.0.0.1:1/?token=x", "http://127.0.0.1:1/report/x", None))
        if self.error is not None:
            raise self.error


def test_the_command_opens_the_link(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The link is printed and opened unless --no-open is given; Ctrl-C exits with 130."""
    opened: list[str] = []
    monkeypatch.setattr(workbench_session, "Server", FakeServer)
    monkeypatch.setattr(workbench_session, "open_browser", opened.append)
    monkeypatch.setattr(workbench_session, "begin", lambda *_, **__: live())
    command.workbench()
    assert opened == ["http://127.0.0.1:1/?token=x"]
    printed = capsys.readouterr().out
    assert "export ENPROMPTA_WORKBENCH=http://127.0.0.1:1/report/x" in printed
    assert "ENPROMPTA_BASE_URL" not in printed
    monkeypatch.setattr(FakeServer, "error", KeyboardInterrupt())
    with pytest.raises(typer.Exit) as stopped:
        command.workbench(no_open=True)
    assert (stopped.value.exit_code, len(opened)) == (130, 1)


def test_the_token_is_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --token, a terminal is asked once, hidden; the error names what the emulator's address is."""
    asked: list[str] = []

    def prompt(text: str, *, hide_input: bool) -> str:
        assert hide_input
        asked.append(text)
        return answer

    monkeypatch.setattr(workbench_session.sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(workbench_session.typer, "prompt", prompt)
    answer = "a-token"
    with pytest.raises(ControlError, match="cannot be reached"):
        asyncio.run(workbench_session._joined(ORIGIN, None))
    answer = ""
    with pytest.raises(SetupError, match="control token is missing"):
        asyncio.run(workbench_session._joined(ORIGIN, None))
    assert len(asked) == 2


def test_an_emulator_is_started_and_joined() -> None:
    """A new emulator has sample data, and another Workbench joins it with the token in its address."""
    with ExitStack() as stack:
        emulator = asyncio.run(workbench_session._started(stack))
        with Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
            assert client.prompts.list().data
        session = asyncio.run(workbench_session._joined(f"{emulator.origin}/?token={emulator.control_token}", None))
        assert (session.base_url, session.is_live) == (emulator.url, False)
        asyncio.run(session.aclose())


def test_wrong_options_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options that exclude each other, a missing or wrong token, and missing credentials are named."""
    monkeypatch.setenv("ENPROMPTA_CONFIG_DIR", str(tmp_path))
    cases: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        ({"url": ORIGIN, "relay": True}, typer.BadParameter, "without --emulator and --relay"),
        ({"url": ORIGIN, "emulator": True}, typer.BadParameter, "without --emulator and --relay"),
        ({"emulator": True, "relay": True}, typer.BadParameter, "without --emulator"),
        ({"relay": True}, SetupError, "No credentials"),
        ({"url": ORIGIN}, SetupError, "ENPROMPTA_CONTROL_TOKEN"),
        ({"url": ORIGIN, "token": "x"}, ControlError, "cannot be reached"),
    )
    with Emulator() as emulator:
        wrong = {"url": emulator.origin, "token": "wrong-token-here"}
        for options, error, message in (*cases, (wrong, ControlError, "needs the control token")):
            with pytest.raises(error, match=message):
                command.workbench(**options)


def test_sessions_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a key the session is live; --emulator works on an emulator all the same; each prints what programs need."""
    monkeypatch.setenv("ENPROMPTA_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ENPROMPTA_API_KEY", "ep_live_x1234567")
    for is_emulator, relay_url in ((False, "http://127.0.0.1:1/relay/api/v1"), (True, None)):
        with ExitStack() as stack:
            session = workbench_session.begin(stack, url=None, token=None, emulator=is_emulator, relay=not is_emulator)
            workbench_session.show_addresses(session, server.Addresses("http://link", "http://report", relay_url))
            assert session.is_live is not is_emulator
            printed = capsys.readouterr().out
            base_url = relay_url or f"{session.base_url} ENPROMPTA_API_KEY=ep_test_team"
            assert f"export ENPROMPTA_BASE_URL={base_url}\n" in printed
            assert "export ENPROMPTA_WORKBENCH=http://report\n" in printed
            asyncio.run(session.aclose())


def test_only_packages_of_the_extra_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing package of the extra is named; an import that fails for another reason is not hidden."""
    missing = ModuleNotFoundError("No module named 'nicegui.ui'", name="nicegui.ui")
    chained = ImportError("install it")
    chained.__cause__ = missing
    for error in (missing, chained):
        with pytest.raises(typer.Exit) as stopped, command.needs_workbench():
            raise error
        assert stopped.value.exit_code == 1
        assert "needs nicegui, which is not installed" in " ".join(capsys.readouterr().err.split())
    for error in (ModuleNotFoundError("No module named 'other'", name="other"), ImportError("cannot import name")):
        with pytest.raises(type(error), match=str(error)), command.needs_workbench():
            raise error
