"""Sessions, the server's start and pages with rare data, without a browser."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import webbrowser
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import typer
import uvicorn
from nicegui import ui
from nicegui.client import Client
from nicegui.elements.mixins.text_element import TextElement

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta
from enprompta.cli import workbench_session
from enprompta.cli.commands import workbench as command
from enprompta.cli.errors import SetupError
from enprompta.emulator import ControlError, Emulator, EmulatorControl
from enprompta.exchanges import Exchange, ExchangeLog, TimelineEvent
from enprompta.models import Execution, WorkflowExecution, WorkflowStep
from enprompta.workbench import inspector, operations, sending, server
from enprompta.workbench import session as sessions
from enprompta.workbench.pages import faults, keys, requests
from enprompta.workbench.programs import Programs
from enprompta.workbench.prompts.history import open_execution
from enprompta.workbench.relay import Relay
from enprompta.workbench.security import Security
from enprompta.workbench.session import Session, begin, emulator_client
from enprompta.workbench.workflows import graph, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

pytestmark = pytest.mark.step("workbench")

ORIGIN = "http://127.0.0.1:9"


def live() -> Session:
    """Make a session on the live service, which is never called."""
    client = AsyncEnprompta(api_key="ep_live_x1234567", base_url="https://localhost:9/api/v1", max_retries=0)
    return Session(client, ExchangeLog())


@contextmanager
def shown(session: Session) -> Iterator[list[str]]:
    """Collect the texts of the elements that are added meanwhile, on a page of a session."""
    found: list[str] = []
    end = begin(session)
    with Client(ui.page("/nowhere")) as client:
        yield found
        found += [one.text for one in client.elements.values() if isinstance(one, TextElement)]
        client.delete()
    end()


class Control:
    """A control interface whose answers are given; it ends with a cancellation."""

    origin = ORIGIN

    def __init__(self, *answers: tuple[int, list[Exchange]] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    async def exchanges(self, after: int, *, wait: int) -> tuple[int, list[Exchange]]:
        """Return the next answer."""
        assert wait > 0
        self.asked.append(after)
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def clear_exchanges(self) -> None:
        """Note the call."""
        self.asked.append(-1)

    async def aclose(self) -> None:
        """Close nothing."""


def on_emulator(control: Any, *, follows: bool = False) -> Session:
    """Make a session on an emulator that is never called."""
    return Session(emulator_client(ORIGIN), ExchangeLog(), control=control, follows=follows)


def test_exchanges_are_followed_over_failures_and_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the same revision is asked for; a lower revision starts from 0, and nothing is lost."""
    monkeypatch.setattr(sessions, "_PAUSE", 0)
    one = [Exchange(0, float(number), "GET", f"/{number}") for number in range(3)]
    control = Control((7, [one[0]]), ControlError("stopped"), (2, []), (2, [one[1], one[2]]))
    session = on_emulator(control, follows=True)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(session.follow())
    assert control.asked == [0, 7, 7, 0, 2]
    assert sorted(found.path for found in session.log.search()) == ["/0", "/1", "/2"]
    asyncio.run(live().follow())  # returns at once


def test_accounts_of_a_session() -> None:
    """An emulator has four accounts to switch between, the live service has one."""

    async def main() -> None:
        async with EmulatorControl(ORIGIN, "a-token-for-tests") as control:
            session = on_emulator(control)
            before = session.client
            await session.use("root")
            assert (session.client is before, session.is_live) == (True, False)
            for account in session.accounts:
                await session.use(account)
                assert session.account == account
            assert session.client is not before
        session = live()
        await session.use("free")
        assert (session.accounts, session.account, session.is_live) == (["account"], "account", True)

    asyncio.run(main())


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


def test_pages_that_need_an_emulator_are_empty_on_a_live_account() -> None:
    """Keys and Faults add nothing but their heading."""
    for page in (keys, faults):
        with shown(live()) as texts, pytest.raises(StopIteration):
            page._show().send(None)  # ends without waiting
        assert "New fault" not in texts
        assert "API keys" not in texts


def test_the_log_is_cleared_on_both_sides() -> None:
    """Clear removes what the page shows, and what the emulator keeps."""
    control = Control()
    for session, expected in ((live(), []), (on_emulator(control), [-1])):
        session.log.add(Exchange(0, 0.0, "GET", "/"))
        end = begin(session)
        asyncio.run(requests._clear())
        end()
        assert (len(session.log.search()), control.asked) == (0, expected)


def test_hints_say_how_requests_appear() -> None:
    """A live account without a relay names the variable of the hook; others name a base URL too."""
    relayed = live()
    relayed.relay_url = "http://127.0.0.1:1/relay/api/v1"
    for session, has_url in ((live(), False), (relayed, True)):
        with shown(session) as texts:
            requests._show_hint(is_filtered=False)
        assert any("ENPROMPTA_BASE_URL" in text for text in texts) is has_url
        assert any("ENPROMPTA_WORKBENCH" in text for text in texts)


def test_requests_that_cannot_be_sent() -> None:
    """A path outside the API and a body that is not JSON are refused before anything is sent."""
    for draft, message in (
        (sending.Draft("GET", "//elsewhere"), "must begin with /api/"),
        (sending.Draft("POST", "/api/v1/prompts", body="{"), "not valid JSON"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            asyncio.run(sending.send(draft))
    draft = sending.Draft("POST", "/api/v1/prompts", query="a=1&b=", body="{")
    assert "Content-Type" in sending.as_curl(draft, "https://enprompta.com/api/v1")
    assert "Content-Type" not in sending.as_curl(
        sending.Draft("GET", "/api/v1/prompts"), "https://enprompta.com/api/v1"
    )
    program = sending.as_python(draft, "https://enprompta.com/api/v1")
    compile(program, "program", "exec")
    assert "params={'a': '1', 'b': ''}, json='{'" in program


def test_exchanges_with_rare_contents_are_shown() -> None:
    """A query, a cut body, and half a report of a program appear in the dialog, and the form to send opens."""
    session = live()
    cut = session.log.add(
        Exchange(0, 0.0, "POST", "/a", query="limit=1", status=200, response_body=b"no JSON", response_size=99)
    )
    with shown(session) as texts:
        inspector.open_exchange(cut)
        inspector.open_exchange(session.log.add(Exchange(0, 0.0, "GET", "/a", status=500)))
        sent = (TimelineEvent("request", 1.0, text="Attempt 1"),)
        inspector.open_exchange(session.log.add(Exchange(0, 1.0, "GET", "/a", status=204, ms=5.0, timeline=sent)))
        inspector.open_sender(sending.Draft("GET", "/api/v1/prompts"))
    assert {
        "limit=1",
        "no JSON",
        "Response body: the first 7 of 99 bytes",
        "Send a request",
        "InternalServerError",
    } <= set(texts)


def test_runs_without_details_are_shown() -> None:
    """A run without input, and a step without tokens, have no empty parts."""
    run = WorkflowExecution.model_validate(
        {"id": "wex_1", "status": "failed", "error": "stopped", "steps": [{"stepId": "a", "status": "failed"}]}
    )
    with shown(live()) as texts:
        runs._outcome(run)
    assert {"stopped", "a"} <= set(texts)
    assert "Input" not in texts


def test_an_execution_without_variables_has_no_heading_for_them() -> None:
    """The dialog shows only what the execution has."""
    with shown(live()) as texts:
        open_execution(Execution.model_validate({"id": "exe_1", "status": "completed"}))
    assert "exe_1" in texts
    assert "Variables" not in texts


def test_a_step_that_refers_to_no_step_has_no_edge() -> None:
    """A reference to a missing step draws nothing, and the step itself is drawn."""
    step = WorkflowStep.model_validate({"id": "b", "promptId": "pmt_1", "variables": {"text": "{{steps.gone.output}}"}})
    with shown(live()) as texts:
        graph.draw([step], {}, {})
    assert "b" in texts


def test_a_delivery_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry of a delivery is prepared after its first attempt, or after the last look at it."""
    monkeypatch.setattr(operations, "_POLL", 0)
    monkeypatch.setattr(operations, "_MAX_POLLS", 3)
    attempts: list[int] = []

    async def returns(value: Any) -> Any:
        return value

    def listed(*_: Any, **__: Any) -> Any:
        return returns(SimpleNamespace(data=[SimpleNamespace(attempts=attempts.pop(0))]))

    one = SimpleNamespace(id="whk_1")
    webhooks = SimpleNamespace(
        create=lambda **_: returns(one), test=lambda _: returns(SimpleNamespace(id="dlv_1")), list_deliveries=listed
    )
    client: Any = SimpleNamespace(webhooks=webhooks)
    for given, left in (([0, 1, 0], 1), ([0, 0, 0], 0)):
        attempts[:] = given
        ids = asyncio.run(operations._webhook(client, "deliveries.retry"))
        assert (ids, len(attempts)) == ({"id": "whk_1", "deliveryId": "dlv_1"}, left)


async def post_without_end(app: ASGIApp, path: str) -> list[Any]:
    """Send a request that disconnects in its body; return the messages of the response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1"), (b"content-length", b"5")],
    }
    await app(scope, receive, send)
    return sent


def test_a_program_that_disconnects_changes_nothing() -> None:
    """Half a report is not taken, and the relay logs half a request with the reason."""

    async def main() -> None:
        log = ExchangeLog()
        programs = Programs(log, None)
        sent = await post_without_end(programs, programs.report_path)
        assert (sent[0]["status"], log.search()) == (400, [])

        relay = Relay("https://localhost:9/api/v1", log)
        await relay._client.aclose()
        relay._client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
        assert await post_without_end(relay, "/relay/api/v1/prompts") == []
        assert [one.error for one in log.search()] == ["The program disconnected"]
        await relay.aclose()

    asyncio.run(main())


def test_a_damaged_cookie_header_does_not_hide_another() -> None:
    """Cookies of other programs on this machine may be anything; they neither admit a browser nor lock it out."""

    async def nothing(*_: Any) -> None:
        raise AssertionError

    security = Security(nothing, nothing, port=1, token="x")
    own = "=".join(security._cookie).encode()
    damaged = (b"cookie", b"a/b=c")
    assert not security._has_cookie({"headers": [damaged]})
    assert security._has_cookie({"headers": [damaged, (b"cookie", own)]})
