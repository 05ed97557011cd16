"""Sessions, the server's start and pages with rare data, without a browser."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from nicegui import ui
from nicegui.client import Client
from nicegui.elements.mixins.text_element import TextElement

from enprompta import ConfigurationError
from enprompta.emulator import ControlError, EmulatorControl
from enprompta.exchanges import Exchange, ExchangeLog, TimelineEvent
from enprompta.models import Execution, Workflow, WorkflowExecution, WorkflowStep
from enprompta.workbench import inspector, operations, sending
from enprompta.workbench import session as sessions
from enprompta.workbench.live import Region
from enprompta.workbench.pages import faults, keys, requests, workflows
from enprompta.workbench.prompts.runner import open_execution
from enprompta.workbench.relay import Relay
from enprompta.workbench.security import Security
from enprompta.workbench.server import Programs
from enprompta.workbench.session import Session, begin, emulator_client
from tests.workbench.visits import live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

pytestmark = pytest.mark.step("workbench")

ORIGIN = "http://127.0.0.1:9"


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
        workflows._outcome(run)
    assert {"stopped", "a"} <= set(texts)
    assert "Input" not in texts


def test_the_button_that_cancels_a_run_stays_while_the_run_changes() -> None:
    """A click on it is not lost while the run changes; it goes when the run has ended, and another run has another."""
    workflow = Workflow.model_validate({"id": "wfl_1", "name": "a", "steps": [{"id": "a", "promptId": "pmt_1"}]})
    states = [("wfe_1", "pending"), ("wfe_1", "running"), ("wfe_1", "completed"), ("wfe_2", "running")]
    buttons: list[int | None] = []
    with shown(live()):
        page = workflows.Runs(workflow, {})
        for run_id, status in states:
            page._show(WorkflowExecution.model_validate({"id": run_id, "status": status, "steps": []}))
            buttons.append(next((one.id for one in page._cancel_place.descendants()), None))
    pending, running, completed, other = buttons
    assert pending == running
    assert completed is None
    assert other not in {None, running}


def test_a_refresh_shows_nothing_older_than_its_call() -> None:
    """One that a later refresh overtakes ends with that, so what its caller reports is on the page."""
    shown_data: list[str] = []

    async def main() -> None:
        loads: list[asyncio.Future[str]] = [asyncio.Future(), asyncio.Future()]
        waiting = iter(loads)

        async def load() -> str:
            return await next(waiting)

        with Client(ui.page("/nowhere")) as client:
            region = Region(load, shown_data.append)
            refreshes = [asyncio.ensure_future(region.refresh()) for _ in loads]
            await asyncio.sleep(0)
            loads[0].set_result("old")
            await asyncio.sleep(0.01)
            assert not refreshes[0].done()
            loads[1].set_result("new")
            await asyncio.gather(*refreshes)
            client.delete()

    asyncio.run(main())
    assert shown_data == ["new"]


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
        workflows.draw([step], {}, {})
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
