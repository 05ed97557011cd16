"""Closing a client: twice, during calls, or never, which warns once with the line that created it."""

from __future__ import annotations

import gc
import inspect
import os
import ssl
import threading
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from enprompta import APIConnectionError, AsyncEnprompta, ConfigurationError, Enprompta
from enprompta._http.route.certificates import TrustedCertificates
from tests.faults.flavours import Caller, run, settle
from tests.faults.server import FaultServer, Peer, certificate

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "ep_test_hunter2"
LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))


def close(client: Any) -> Any:
    """Close a client of either kind."""
    return settle(client.aclose()) if isinstance(client, AsyncEnprompta) else settle(client.close())


class TestTwice:
    def test_closing_again_does_nothing(self, flavour: str, server: FaultServer) -> None:
        """A client may be closed again, used or not, explicitly or by its block."""

        async def scenario() -> None:
            for used in (True, False):
                async with Caller(flavour, base_url=server.base_url) as caller:
                    if used:
                        await caller.call("GET")
                    await close(caller.client)
                    assert caller.client.is_closed
                    await close(caller.client)
                await close(caller.client)
                assert caller.client.is_closed

        run(flavour, scenario)
        server.wait_for_connections(0)

    def test_a_closed_client_says_so(self, flavour: str, server: FaultServer) -> None:
        """A call on it or a view of it is refused at once."""

        async def scenario() -> None:
            for used in (True, False):
                async with Caller(flavour, base_url=server.base_url) as caller:
                    view = caller.client.with_options(timeout=3)
                    if used:
                        await caller.call("GET")
                    await close(caller.client)
                    for client in (caller.client, view):
                        error: Any = await caller.outcome("GET", client)
                        assert isinstance(error, ConfigurationError)
                        assert "this client is closed; create a new one" in str(error)

        run(flavour, scenario)
        assert len(server.received) == 1


class TestInTheMidst:
    @pytest.mark.parametrize("tls", [None, "trusted"])
    def test_threads_that_wait_for_an_answer(self, tls: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waiting threads get an error of the package at any timeout, also over TLS; none hangs."""
        context = ssl.create_default_context(cafile=str(certificate("trusted")))
        monkeypatch.setattr(
            "enprompta._http.route.trusted_certificates", lambda _: TrustedCertificates(lambda: context)
        )
        outcomes: list[object] = []
        with FaultServer(tls=tls) as server:
            server.play(then=_read_and_stall)
            client = Enprompta(api_key=KEY, base_url=server.base_url, timeout=None, limiter=None)

            def call() -> None:
                try:
                    client.prompts.get("p1")
                except Exception as error:  # noqa: BLE001 (checked below)
                    outcomes.append(error)

            threads = [threading.Thread(target=call, daemon=True) for _ in range(5)]
            for thread in threads:
                thread.start()
            _until(lambda: len(server.received) == 5)
            client.close()
            for thread in threads:
                thread.join(10)
            assert not any(thread.is_alive() for thread in threads)
            server.wait_for_connections(0)
        assert len(outcomes) == 5
        assert all(isinstance(outcome, (APIConnectionError, ConfigurationError)) for outcome in outcomes), outcomes

    def test_a_thread_that_is_connecting(self, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its call ends, and its connection is closed."""
        from enprompta._http.senders.deadline_streams import DeadlineBackend

        connecting, go_on = threading.Event(), threading.Event()
        connect_tcp = DeadlineBackend.connect_tcp

        def slowly(self: Any, *args: Any, **kwargs: Any) -> Any:
            stream = connect_tcp(self, *args, **kwargs)
            connecting.set()
            assert go_on.wait(10)
            return stream

        monkeypatch.setattr(DeadlineBackend, "connect_tcp", slowly)
        outcomes: list[object] = []
        client = Enprompta(api_key=KEY, base_url=server.base_url, limiter=None)
        thread = threading.Thread(target=lambda: outcomes.append(client.prompts.get("p1").id))
        thread.start()
        assert connecting.wait(10)
        client.close()
        go_on.set()
        thread.join(10)
        assert outcomes == ["p1"]
        server.wait_for_connections(0)

    def test_calls_of_other_clients_continue(self, server: FaultServer) -> None:
        """Closing a client does not affect another one with the same key."""
        with Enprompta(api_key=KEY, base_url=server.base_url) as client:
            client.prompts.get("p1")
            with Enprompta(api_key=KEY, base_url=server.base_url) as other:
                other.prompts.get("p1")
            assert client.prompts.get("p1").id == "p1"


def _warnings_of(flavour: str, scenario: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """Run a scenario, collect garbage, and return the resulting warnings."""

    async def collected() -> None:
        await scenario()
        gc.collect()
        if flavour != "sync":
            await anyio.sleep(0.01)

    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(flavour, collected)
        gc.collect()
    return caught


class TestForgotten:
    def test_a_used_client_warns_once_where_it_was_made(self, flavour: str, server: FaultServer) -> None:
        """The warning shows the line that created the client and the cure; the connections are closed."""
        line = 0

        async def scenario() -> None:
            nonlocal line
            kind: Any = Enprompta if flavour == "sync" else AsyncEnprompta
            line, client = _here(), kind(api_key=KEY, base_url=server.base_url, limiter=None)
            await settle(client.prompts.get("p1"))
            await settle(client.prompts.get("p1"))

        (warning,) = _warnings_of(flavour, scenario)
        assert warning.category is ResourceWarning
        assert (warning.filename, warning.lineno) == (__file__, line)
        text = str(warning.message)
        assert f"client created at {__file__}:{line} was not closed" in text
        assert ("`close()`" if flavour == "sync" else "`aclose()`") in text
        assert KEY not in text
        server.wait_for_connections(0)

    @pytest.mark.parametrize("flavour", ["asyncio", "trio"])
    def test_an_unclosed_client_when_its_loop_ends(self, flavour: str, server: FaultServer) -> None:
        """Its connections are closed with the loop, with one warning of the package."""

        async def scenario() -> None:
            client = AsyncEnprompta(api_key=KEY, base_url=server.base_url, limiter=None)
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(client.prompts.get, "p1")

        gc.collect()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(flavour, scenario)
            gc.collect()
        assert [str(warning.message)[:10] for warning in caught] == ["the AsyncE"]
        server.wait_for_connections(0)

    def test_a_copy_warns_where_it_was_made(self, server: FaultServer) -> None:
        """An unpickled client points at the line that unpickled it."""
        import pickle

        line = 0

        async def scenario() -> None:
            nonlocal line
            pickled = pickle.dumps(Enprompta(api_key=KEY, base_url=server.base_url, limiter=None))
            line, client = _here(), pickle.loads(pickled)
            client.prompts.get("p1")

        (warning,) = _warnings_of("sync", scenario)
        assert (warning.filename, warning.lineno) == (__file__, line)

    def test_a_client_with_nothing_to_close_causes_no_warning(self, flavour: str, server: FaultServer) -> None:
        """An unused or closed client, a block and a refused call cause no warning."""

        async def scenario() -> None:
            kind: Any = Enprompta if flavour == "sync" else AsyncEnprompta
            options: Any = {"api_key": KEY, "base_url": server.base_url, "limiter": None}
            kind(**options)
            kind(**options).with_options(timeout=3)
            closed = kind(**options)
            await settle(closed.prompts.get("p1"))
            await close(closed)
            async with Caller(flavour, **options) as caller:
                await caller.call("GET")
            with pytest.raises(ConfigurationError):
                await settle(kind(**options).prompts.get(""))
            with pytest.raises(ConfigurationError):
                kind(api_key="")

        assert _warnings_of(flavour, scenario) == []

    def test_a_view_keeps_its_client(self, flavour: str, server: FaultServer) -> None:
        """A view, resource or page keeps its client in use; it warns when the last one is gone."""

        async def scenario() -> None:
            kind: Any = Enprompta if flavour == "sync" else AsyncEnprompta
            client = kind(api_key=KEY, base_url=server.base_url, limiter=None)
            await settle(client.prompts.get("p1"))
            held = [client.with_options(timeout=3), client.prompts, client.with_raw_response]
            del client
            gc.collect()
            while held:
                prompts = held[-1] if hasattr(held[-1], "get") else held[-1].prompts
                await settle(prompts.get("p1"))
                del prompts
                gc.collect()
                assert told == []
                held.pop()

        told: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            show, warnings.showwarning = warnings.showwarning, lambda *args, **_: told.append(args)
            try:
                run(flavour, scenario)
                gc.collect()
            finally:
                warnings.showwarning = show
        assert len(told) == 1

    def test_the_callers_http_client_is_the_callers_to_close(self, flavour: str, server: FaultServer) -> None:
        """A client with the caller's `http_client` has nothing to close."""

        async def scenario() -> None:
            http: Any = httpx.Client() if flavour == "sync" else httpx.AsyncClient()
            caller = Caller(flavour, base_url=server.base_url, http_client=http)
            await caller.call("GET")
            del caller
            gc.collect()
            assert not http.is_closed
            await settle(http.close() if flavour == "sync" else http.aclose())

        assert _warnings_of(flavour, scenario) == []

    def test_as_an_error_it_still_closes(self, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """If warnings are errors, the connections are closed too."""
        monkeypatch.setattr("sys.unraisablehook", lambda _: None)
        Enprompta(api_key=KEY, base_url=server.base_url, limiter=None).prompts.get("p1")
        gc.collect()
        server.wait_for_connections(0)


# Prints the bytes that are left of many clients. The first hundred make what is made once a process, and fill the list
# of accounts that are kept a while.
MANY = """
import gc, sys, tracemalloc
from enprompta import AsyncEnprompta, Enprompta

url, count = sys.argv[1], int(sys.argv[2])

def make(count):
    for number in range(count):
        key = f"ep_test_{count}_{number}"
        AsyncEnprompta(api_key=key, base_url=url)
        with Enprompta(api_key=key, base_url=url) as client:
            if number % 10 == 0:
                client.prompts.get("p1")
            client.with_options(timeout=3).close()
    gc.collect()

tracemalloc.start()
make(100)
before = tracemalloc.get_traced_memory()[0]
make(count)
print(tracemalloc.get_traced_memory()[0] - before)
"""


class TestMany:
    def test_clients_that_are_closed_leave_nothing(self, server: FaultServer, program: Callable[..., str]) -> None:
        """Five hundred clients of each kind, some of them used, leave almost nothing behind."""
        assert int(program(MANY, server.base_url, "500")) < 50_000
        server.wait_for_connections(0)

    @pytest.mark.slow
    def test_thousands_leave_less_than_a_hundred_bytes_each(
        self, server: FaultServer, program: Callable[..., str]
    ) -> None:
        """A thousand of each kind; five thousand in the long form, less than a megabyte."""
        count = 5_000 if LONG else 1_000
        assert int(program(MANY, server.base_url, str(count))) < 100 * count


def _here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def _until(done: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(1_000):
        if done():
            return
        tick.wait(0.01)
    raise AssertionError("it never came to that")


def _read_and_stall(peer: Peer) -> None:
    peer.read()
    peer.stall()
