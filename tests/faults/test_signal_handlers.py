"""An exception of the caller's signal handler leaves a call unchanged at any point, and nothing is sent again."""

from __future__ import annotations

import gc
import signal
import socket
import ssl
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import tenacity

from enprompta import APITimeoutError, Enprompta
from enprompta._common import handler_errors
from enprompta._http.certificates import TrustedCertificates
from enprompta._http.senders.deadline import is_bound
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, Peer, answer, certificate, fine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Loaded here: Python's import system ignores an OSError, a handler's too.
assert tenacity
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")


class Stop(OSError):  # noqa: N818 (named for what it is)
    """Raised by a handler."""


ERRORS = [RuntimeError, TimeoutError, OSError, ValueError, Stop, ConnectionResetError, ssl.SSLError]
SOON = 0.05  # seconds


@pytest.fixture
def alarm() -> Iterator[Callable[[BaseException], None]]:
    """Raise an exception in a signal handler soon."""
    before = signal.getsignal(signal.SIGALRM)

    def set_for(error: BaseException) -> None:
        def handle(number: int, frame: object) -> None:
            signal.signal(signal.SIGALRM, before)  # as handlers do that are to run once
            raise error

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, SOON)

    yield set_for
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def silent(peer: Peer) -> None:
    """Read a request and never answer."""
    peer.read()
    peer.stall()


@pytest.mark.parametrize("deadline", [None, 5.0])
@pytest.mark.parametrize("kind", ERRORS)
def test_while_the_answer_is_awaited(
    kind: type[Exception], deadline: float | None, server: FaultServer, alarm: Callable[[BaseException], None]
) -> None:
    """The exception itself leaves the call without context; the POST is not repeated; the client still works."""
    error = kind("stop")

    async def scenario() -> None:
        async with Caller("sync", base_url=server.base_url) as caller:
            await caller.call("GET")  # what is loaded lazily is loaded
            server.play(silent)
            alarm(error)
            with pytest.raises(kind) as caught:
                await caller.call("POST", deadline=deadline)
            assert caught.value is error
            assert error.__cause__ is None
            assert error.__context__ is None
            assert len(server.received) == 1
            assert not is_bound()
            await caller.call("GET")

    run("sync", scenario)
    server.wait_for_connections()


def test_while_sending(server: FaultServer, alarm: Callable[[BaseException], None]) -> None:
    """The HTTP library would ignore it there and wait for a response."""

    def deaf(peer: Peer) -> None:
        peer.server.stopping.wait(1)

    server.play(deaf)
    error = Stop("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None) as client:
        alarm(error)
        with pytest.raises(Stop) as caught:
            client.prompts.create(title="x", content="x" * 30_000_000)
    assert caught.value is error


def test_in_a_tls_handshake(alarm: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed."""
    context = ssl.create_default_context(cafile=certificate("trusted"))
    monkeypatch.setattr("enprompta._http.route.trusted_certificates", lambda _: TrustedCertificates(lambda: context))
    error = TimeoutError("stop")
    with (
        FaultServer() as server,
        Enprompta(api_key="ep_test_x", base_url=server.base_url.replace("http", "https"), limiter=None) as client,
    ):
        server.play(then=lambda peer: peer.stall())
        alarm(error)
        with pytest.raises(TimeoutError) as caught:
            client.prompts.get("p1")
        server.wait_for_connections()
    assert caught.value is error


@pytest.mark.parametrize("where", ["retry", "connect", "lookup"])
def test_between_and_before_attempts(
    where: str, server: FaultServer, alarm: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the pause before a retry, while connecting, and during a name lookup."""
    error = Stop("stop")

    def wait(*_: Any, **__: Any) -> Any:
        time.sleep(5)

    server.play(then=lambda peer: (peer.read(), peer.send(answer(503, headers=[("Retry-After", "5")])))[-1])
    if where == "connect":
        monkeypatch.setattr(socket.socket, "connect_ex", wait)
    if where == "lookup":
        monkeypatch.setattr(socket, "getaddrinfo", wait)
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None) as client:
        alarm(error)
        with pytest.raises(Stop) as caught:
            client.prompts.get("p1")
    assert caught.value is error
    assert len(server.received) == (where == "retry")


def test_an_error_of_ours_from_a_handler(server: FaultServer, alarm: Callable[[BaseException], None]) -> None:
    """It is still the caller's, and not a reason to repeat the request."""
    error = APITimeoutError("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None) as client:
        client.prompts.get("p1")
        server.play(silent)
        alarm(error)
        with pytest.raises(APITimeoutError) as caught:
            client.prompts.get("p1")
    assert caught.value is error
    assert len(server.received) == 1


class Hook:
    """A hook in which a signal arrives."""

    def on_request(self, record: object) -> None:
        """Wait."""
        time.sleep(5)


def test_in_a_hook(server: FaultServer, alarm: Callable[[BaseException], None]) -> None:
    """Exceptions of a hook are logged; those of a signal handler are raised."""
    error = Stop("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None, hooks=[Hook()]) as client:
        alarm(error)
        with pytest.raises(Stop) as caught:
            client.prompts.get("p1")
    assert caught.value is error
    assert not server.received


LIBRARIES = (
    "httpx",
    "httpcore",
    "h11",
    "anyio",
    "ssl.py",
    "socket.py",
    "enprompta",
)  # not the event loop: it ends at once


# A socket has no owner yet for a few lines after it has connected; the garbage collector closes it then.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_wherever_it_fires(flavour: str, server: FaultServer) -> None:
    """At any line of a POST, the exception is raised and nothing is sent twice."""
    raised: list[Stop] = []
    places: list[str] = []
    left = 0

    def handle(*_: object) -> None:
        raised.append(Stop("stop"))
        raise raised[-1]

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal left
        if event == "line" and any(name in frame.f_code.co_filename for name in LIBRARIES):
            left -= 1
            if left == 0:
                sys.settrace(None)
                places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                signal.raise_signal(signal.SIGUSR1)
        return trace

    async def scenario(at: int) -> None:
        nonlocal left
        async with Caller(flavour, base_url=server.base_url) as caller:
            await caller.call("GET")  # what is loaded lazily is loaded
            server.play(fine)
            left = at
            sys.settrace(trace)
            try:
                await caller.call("POST")
            except Stop as caught:
                outcomes.append(caught is raised[-1])
            else:
                outcomes.append(left > 0)
            finally:
                sys.settrace(None)
            assert len(server.received) <= 1, places[-1]
            await caller.call("GET")

    outcomes: list[bool] = []
    before, tracer = signal.signal(signal.SIGUSR1, handle), sys.gettrace()
    try:
        for at in range(1, 2_000, 37):
            run(flavour, partial(scenario, at))
    finally:
        signal.signal(signal.SIGUSR1, before)
        sys.settrace(tracer)
    gc.collect()
    assert all(outcomes), [n for n, good in enumerate(outcomes) if not good]


class Group(Exception):  # noqa: N818 (named for what it is)
    """An exception group as in Python 3.11."""

    exceptions: tuple[BaseException, ...] = ()


class Handler:
    """A handler that is an object."""

    def __call__(self, number: int, frame: object) -> None:
        """Raise without keeping the frame."""
        del frame
        raise Stop

    def method(self, *_: object) -> None:
        """Raise."""
        raise Stop


@pytest.mark.parametrize("handler", [Handler(), Handler().method, partial(lambda *_: Handler()(1, None))])
def test_handlers_of_all_kinds(handler: Any) -> None:
    """Objects, methods and partials are recognized by their code."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Stop) as caught:
            signal.raise_signal(signal.SIGUSR1)
        assert handler_errors.is_from_handler(caught.value)
        wrapped = RuntimeError("wrapped")
        wrapped.__cause__ = Group()
        Group.exceptions = (ValueError(), caught.value)
        assert handler_errors.handler_error(wrapped) is caught.value
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(handler_errors.handler_error(wrapped)))
        thread.start()
        thread.join()
        assert found == [None]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_other_exceptions_are_not_of_a_handler() -> None:
    """A transport's exception with circular causes."""
    error, cause = OSError("refused"), OSError("refused")
    error.__cause__, cause.__cause__ = cause, error
    assert handler_errors.handler_error(error) is None
    with handler_errors.ignoring(OSError):
        raise error
