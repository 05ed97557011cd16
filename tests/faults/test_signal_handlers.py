"""An exception of the caller's signal handler leaves a call unchanged at any point, and nothing is sent again."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import UserDict, UserString
from contextlib import asynccontextmanager
from email.utils import formatdate
from functools import partial
from importlib import import_module
from linecache import getline
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import httpx2
import pytest
import tenacity
import trio
from anyio._backends._asyncio import StreamProtocol

from enprompta import APITimeoutError, ConfigurationError, Enprompta
from enprompta._common import handler_errors
from enprompta._http import direct, settings
from enprompta._http.route.certificates import TrustedCertificates
from enprompta._http.senders import aiohttp_sender
from enprompta._http.senders.base import is_bound
from enprompta.limiters.local import LocalLimiter
from tests.faults.flavours import Caller, run, settle
from tests.faults.server import PROMPT, FaultServer, Peer, answer, certificate, fine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
    from types import FrameType

# Loaded here: Python's import system ignores an OSError, a handler's too, and an import that is interrupted stays half.
assert tenacity
assert aiohttp_sender
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")


Alarm: TypeAlias = "Callable[..., None]"


class Stop(OSError):  # noqa: N818 (named for what it is)
    """Raised by a handler."""


ERRORS = [RuntimeError, TimeoutError, OSError, ValueError, Stop, ConnectionResetError, ssl.SSLError]
SOON = 0.05  # seconds
BACKENDS = [
    ("sync", "httpx"), ("sync", "own httpx"), ("sync", "own httpx2"),
    ("asyncio", "httpx"), ("asyncio", "aiohttp"), ("asyncio", "own httpx"), ("asyncio", "own httpx2"),
]  # fmt: skip


@asynccontextmanager
async def caller_of(flavour: str, backend: str, **options: Any) -> AsyncGenerator[Caller]:
    """Make a client of a flavour on a backend, which has made one call: what is loaded lazily is loaded."""
    library: Any = {"own httpx": httpx, "own httpx2": httpx2}.get(backend)
    own = None if library is None else library.Client() if flavour == "sync" else library.AsyncClient()
    client = backend if backend in {"aiohttp", "httpx2"} else own
    try:
        async with Caller(flavour, http_client=client, **options) as caller:
            await caller.call("GET")
            yield caller
    finally:
        if own is not None:
            await settle(own.close() if flavour == "sync" else own.aclose())


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """Raise an exception in a signal handler soon, or after some seconds."""
    before = signal.getsignal(signal.SIGALRM)

    def set_for(error: BaseException, after: float = SOON) -> None:
        def handle(number: int, frame: object) -> None:
            signal.signal(signal.SIGALRM, before)  # as handlers do that are to run once
            raise error

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, after)

    yield set_for
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def silent(peer: Peer) -> None:
    """Read a request and answer never."""
    peer.read()
    peer.stall()


@pytest.mark.parametrize("deadline", [None, 5.0])
@pytest.mark.parametrize("kind", ERRORS)
def test_while_the_answer_is_awaited(
    kind: type[Exception], deadline: float | None, server: FaultServer, alarm: Alarm
) -> None:
    """The very exception leaves the call, with no context; the POST is not sent again; the client still works."""
    error = kind("stop")

    async def scenario() -> None:
        async with caller_of("sync", "httpx", base_url=server.base_url) as caller:
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


def unavailable(peer: Peer) -> None:
    """Answer 503 and ask for a pause."""
    peer.read()
    peer.send(answer(503, headers=[("Retry-After", "5")]))


@pytest.mark.parametrize("fault", [silent, unavailable])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [TimeoutError, Stop])
def test_on_every_backend(
    backend: tuple[str, str], kind: type[Exception], fault: Any,
    server: FaultServer, alarm: Alarm,
) -> None:  # fmt: skip
    """While an answer is awaited, and in the pause before a retry; asyncio cancels its tasks and raises it."""
    error = kind("stop")
    flavour = backend[0]

    async def scenario() -> None:
        async with caller_of(*backend, base_url=server.base_url) as caller:
            server.play(then=fault)
            alarm(error)
            await caller.call("POST")

    with pytest.raises(kind) as caught:
        run(flavour, scenario)
    assert caught.value is error
    assert error.__context__ is None
    assert len(server.received) == 1


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_in_a_wait_for_the_rate_limit(flavour: str, server: FaultServer, alarm: Alarm) -> None:
    """Nothing is sent, and the place in the queue is free for the next call."""
    error = Stop("stop")
    limiter = LocalLimiter()
    headers = [
        ("Date", formatdate(usegmt=True)),
        ("X-RateLimit-Limit", "60"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", str(int(time.time()) + 4)),
    ]

    def used_up(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, PROMPT, headers))

    async def scenario() -> None:
        server.play(used_up)
        async with caller_of(
            flavour, "httpx", base_url=server.base_url, limiter=limiter, api_key="ep_test_x"
        ) as caller:
            server.play(then=fine)
            alarm(error)
            await caller.call("POST")

    async def after() -> None:
        async with Caller(flavour, base_url=server.base_url, limiter=limiter, api_key="ep_test_x") as caller:
            caller.client.reset_rate_limit()
            await caller.call("POST")

    with pytest.raises(Stop) as caught:
        run(flavour, scenario)
    assert caught.value is error
    assert not server.received
    run(flavour, after)


@pytest.mark.parametrize(("flavour", "backend"), [("sync", "httpx"), ("asyncio", "httpx"), ("asyncio", "aiohttp")])
def test_in_a_token_request(flavour: str, backend: str, server: FaultServer, alarm: Alarm) -> None:
    """The call that fetches the token raises it; the next call fetches one."""
    error = Stop("stop")
    token = b'{"access_token":"t","token_type":"bearer","expires_in":3600}'

    def grants(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, token))

    async def scenario(caller: Caller) -> None:
        server.play(silent)
        alarm(error, 0.3)
        await caller.call("POST")

    async def after(caller: Caller) -> None:
        server.play(grants)
        await caller.call("GET")

    http_client = "aiohttp" if backend == "aiohttp" else None
    caller = Caller(flavour, base_url=server.base_url, http_client=http_client, client_id="id", client_secret="secret")
    with pytest.raises(Stop) as caught:
        run(flavour, partial(scenario, caller))
    assert caught.value is error
    assert [one.path for one in server.received] == ["/api/v1/oauth/token"]
    run(flavour, partial(after, caller))
    run(flavour, partial(caller.__aexit__, None))


ON_TRIO = """
import signal, sys, trio
from enprompta import AsyncEnprompta

def handle(*_):
    raise TimeoutError("stop")

async def main():
    client = AsyncEnprompta(api_key="ep_test_x", base_url=sys.argv[1], limiter=None)
    await client.prompts.get("p1")
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    await client.prompts.create(title="x", content="y")

trio.run(main)
"""


def test_on_trio(server: FaultServer) -> None:
    """Trio does not survive it where its own loop waits; the exception ends the program, and the POST was sent once."""
    server.play(fine, then=silent)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_TRIO, server.base_url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "TimeoutError: stop" in done.stderr
    assert "enprompta" not in done.stderr.rpartition("TimeoutError: stop")[2]
    assert [one.method for one in server.received] == ["GET", "POST"]


def test_while_sending(server: FaultServer, alarm: Alarm) -> None:
    """The HTTP library would ignore it there, and wait for an answer."""

    def deaf(peer: Peer) -> None:
        peer.server.stopping.wait(1)

    server.play(deaf)
    error = Stop("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None) as client:
        alarm(error)
        with pytest.raises(Stop) as caught:
            client.prompts.create(title="x", content="x" * 30_000_000)
    assert caught.value is error


def test_in_a_tls_handshake(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
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
    where: str, server: FaultServer, alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the pause before a retry, while connecting, while a host is looked up."""
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


def test_a_handler_that_raises_a_public_error(server: FaultServer, alarm: Alarm) -> None:
    """It is the caller's all the same, and no reason to send the request again."""
    error = APITimeoutError("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None) as client:
        client.prompts.get("p1")
        server.play(silent)
        alarm(error)
        with pytest.raises(APITimeoutError) as caught:
            client.prompts.get("p1")
    assert caught.value is error
    assert len(server.received) == 1


class Text(UserString):
    """A text during whose reading a signal arrives."""

    def __getattribute__(self, name: str) -> object:
        signal.raise_signal(signal.SIGUSR1)
        return super().__getattribute__(name)


class Values(UserDict[str, object]):
    """Values during whose reading a signal arrives."""

    def items(self) -> Any:
        """Return the values."""
        signal.raise_signal(signal.SIGUSR1)
        return super().items()


class Seconds(float):
    """A number during whose comparison a signal arrives."""

    def __eq__(self, other: object) -> bool:
        signal.raise_signal(signal.SIGUSR1)
        return super().__eq__(other)

    __hash__ = float.__hash__


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("place", ["title", "variables", "a variable", "timeout"])
@pytest.mark.usefixtures("in_handler")
def test_in_code_of_the_callers_objects(place: str, flavour: str, server: FaultServer) -> None:
    """It is no failure of that code."""

    def make(prompts: Any) -> Any:
        if place == "title":
            return prompts.create(title=Text("x"), content="y")
        if place == "timeout":
            return prompts.get("p1", timeout=Seconds(1.0))
        return prompts.execute("p1", variables=Values(x="y") if place == "variables" else {"x": Text("y")})

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            with pytest.raises(Stop):
                await settle(make(caller.client.prompts))

    run(flavour, scenario)
    assert not server.received


class Wrong(ValueError):  # noqa: N818 (named for what it is)
    """Raised by a handler, where code expects another ValueError."""


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize(
    "place", ["httpx._urlparse.encode_host", "enprompta._http.direct._match",
              "enprompta._core.body._encode", "enprompta._http.settings.urlsplit",
              "enprompta._common.hosts.socket.inet_pton"],
)  # fmt: skip
def test_a_value_error_before_sending(
    place: str, flavour: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a URL, address or body that cannot be sent."""
    cause = KeyError("cause")
    if place.startswith("httpx"):
        monkeypatch.setattr(direct, "loaded_httpx", lambda: httpx)

    def handle(*_: object) -> None:
        raise Wrong("stop") from cause

    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGUSR1)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            with monkeypatch.context() as patch:
                patch.setattr(place, interrupted)
                settings._checked_url.cache_clear()
                with pytest.raises(Wrong, match=r"^stop$") as caught:
                    await caller.call("POST", deadline=5.0)
            assert caught.value.__cause__ is cause

    kept = signal.signal(signal.SIGUSR1, handle)
    try:
        run(flavour, scenario)
    finally:
        signal.signal(signal.SIGUSR1, kept)
    assert not server.received


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_an_exception_that_the_caller_handles(
    flavour: str, server: FaultServer, in_handler: Callable[[], None]
) -> None:
    """An error of a call made in an `except` block for a handler's exception is the call's own."""

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            try:
                in_handler()
            except Stop:
                with pytest.raises(ConfigurationError):
                    await caller.call("POST", deadline=-1)

    run(flavour, scenario)


def test_when_trio_fails_to_close_the_connection(
    server: FaultServer, in_handler: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trio raises its own error while it handles that of the handler, which alone leaves the call."""

    async def interrupted(*_: object, **__: object) -> bytes:
        in_handler()
        return b""

    async def failing(stream: trio.SocketStream) -> None:
        stream.socket.close()
        raise trio.ClosedResourceError

    async def scenario() -> None:
        async with caller_of("trio", "httpx", base_url=server.base_url) as caller:
            with monkeypatch.context() as patch:
                patch.setattr(trio.SocketStream, "receive_some", interrupted)
                patch.setattr(trio.SocketStream, "aclose", failing)
                with pytest.raises(Stop):
                    await caller.call("POST")

    run("trio", scenario)
    server.wait_for_connections()
    assert [one.method for one in server.received] == ["GET", "POST"]


class Hook:
    """A hook in which a signal arrives."""

    def on_request(self, record: object) -> None:
        """Wait."""
        time.sleep(5)


def test_in_a_hook(server: FaultServer, alarm: Alarm) -> None:
    """A hook's own exceptions are logged; those of a handler are not the hook's."""
    error = Stop("stop")
    with Enprompta(api_key="ep_test_x", base_url=server.base_url, limiter=None, hooks=[Hook()]) as client:
        alarm(error)
        with pytest.raises(Stop) as caught:
            client.prompts.get("p1")
    assert caught.value is error
    assert not server.received


LIBRARIES = (
    "httpx",
    "aiohttp",
    "httpcore",
    "h11",
    "anyio",
    "ssl.py",
    "socket.py",
    "enprompta",
)  # not the event loop: it ends at once


def releases_a_lock(frame: FrameType) -> bool:
    """True where a tracer is called before a `with` releases a lock: Python runs no signal handler there."""
    return getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def drive(flavour: str, backend: str, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario; with aiohttp, the event loop may report an exception in one of aiohttp's tasks."""
    if backend == "aiohttp":
        asyncio.run(scenario())
    else:
        run(flavour, scenario)


# A socket has no owner yet for a few lines after it has connected; the garbage collector closes it then.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("flavour", "backend"), BACKENDS)
def test_wherever_it_fires(flavour: str, backend: str, server: FaultServer) -> None:
    """A handler that fires at one line of a POST after another raises through it; nothing is sent twice."""
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
            if left <= 0 and not releases_a_lock(frame):
                left = 0
                sys.settrace(None)
                places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                signal.raise_signal(signal.SIGUSR1)
        return trace

    async def scenario(at: int) -> None:
        nonlocal left
        async with caller_of(flavour, backend, base_url=server.base_url) as caller:
            server.play(fine)
            left = at
            sys.settrace(trace)
            try:
                await caller.call("POST")
            except Stop as caught:
                outcomes.append(caught is raised[-1])
            else:
                # aiohttp logs what is raised in its own callbacks; anyio ignores an OSError while it reads the
                # addresses of a socket. Both complete the call.
                is_in_anyio = bool(places) and "/anyio/" in places[-1]
                outcomes.append(left > 0 or backend == "aiohttp" or is_in_anyio)
            finally:
                sys.settrace(None)
            assert len(server.received) <= 1, places[-1]
            await caller.call("GET", deadline=5.0)

    outcomes: list[bool] = []
    before, tracer = signal.signal(signal.SIGUSR1, handle), sys.gettrace()
    try:
        for at in range(1, 2_000, 37):
            drive(flavour, backend, partial(scenario, at))
    finally:
        signal.signal(signal.SIGUSR1, before)
        sys.settrace(tracer)
    raised.clear()  # their frames hold coroutines without an `await`, which warn now and in no later test
    gc.collect()
    assert all(outcomes), [n for n, good in enumerate(outcomes) if not good]


@pytest.fixture
def in_handler() -> Iterator[Callable[[], None]]:
    """Raise `Stop` in a signal handler, wherever it is called."""

    def handle(*_: object) -> None:
        raise Stop("stop")

    before = signal.signal(signal.SIGUSR1, handle)
    yield lambda: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_within_aiohttp(server: FaultServer, in_handler: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The library forgets the waiting call before the exception reaches this package."""

    async def scenario() -> None:
        async with caller_of("asyncio", "aiohttp", base_url=server.base_url) as caller:
            monkeypatch.setattr("aiohttp.streams.set_result", lambda *_: in_handler())
            await caller.call("POST", timeout=5.0)

    server.play(fine, then=fine)
    with pytest.raises(Stop):
        asyncio.run(scenario())
    assert [one.method for one in server.received] == ["GET", "POST"]


@pytest.mark.parametrize("backend", ["httpx", "aiohttp", "own httpx", "own httpx2"])
@pytest.mark.parametrize("deadline", [None, 0.5])
def test_in_a_callback_of_asyncio(
    backend: str, deadline: float | None, server: FaultServer, in_handler: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The bytes that a callback has received are lost, so no response comes; the call ends with the exception."""
    logged: list[object] = []
    armed: list[bool] = []
    transports: Any = asyncio.selector_events._SelectorSocketTransport  # pyright: ignore[reportAttributeAccessIssue]
    receive = transports._read_ready__data_received

    def losing(transport: Any) -> None:
        if armed:
            armed.clear()
            transport._sock.recv(65_536)
            in_handler()
        receive(transport)

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["exception"]))
        async with caller_of("asyncio", backend, base_url=server.base_url) as caller:
            armed.append(True)
            with pytest.raises(Stop) as caught:
                await caller.call("POST", timeout=0.5, deadline=deadline)
            assert logged == [caught.value]
            assert caught.value.__context__ is None
            await caller.call("GET")

    monkeypatch.setattr(transports, "_read_ready__data_received", losing)
    server.play(then=fine)
    asyncio.run(scenario())
    assert [one.method for one in server.received] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("backend", ["httpx", "httpx2", "own httpx", "own httpx2"])
def test_before_asyncio_wakes_the_reader(
    backend: str, server: FaultServer, in_handler: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asyncio closes the connection, and logs nothing if the exception is an OSError; the call is not sent again."""
    armed: list[bool] = []
    receive = StreamProtocol.data_received

    def interrupted(self: StreamProtocol, data: bytes) -> None:
        if armed:
            armed.clear()
            self.read_event._value = True  # as `Event.set` does before it wakes the waiting tasks
            in_handler()
        receive(self, data)

    async def scenario() -> None:
        async with caller_of("asyncio", backend, base_url=server.base_url) as caller:
            armed.append(True)
            with pytest.raises(Stop):
                await caller.call("POST", timeout=0.5)
            await caller.call("GET")

    monkeypatch.setattr(StreamProtocol, "data_received", interrupted)
    server.play(then=fine)
    asyncio.run(scenario())
    assert [one.method for one in server.received] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("core", ["httpcore", "httpcore2"])
@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_while_a_callers_pool_holds_a_lock(
    flavour: str, core: str, server: FaultServer, in_handler: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection whose lock stays held is closed, and the caller's client still works."""
    name = "Lock.__enter__" if flavour == "sync" else "AsyncLock.__aenter__"
    kind, _, method = name.partition(".")
    lock = getattr(import_module(f"{core}._synchronization"), kind)
    enter = getattr(lock, method)
    armed: list[bool] = []

    def interrupted() -> None:
        if armed:
            armed.clear()
            in_handler()

    def locked(self: Any) -> Any:
        enter(self)
        interrupted()
        return self

    async def alocked(self: Any) -> Any:
        await enter(self)
        interrupted()
        return self

    async def scenario() -> None:
        async with caller_of(
            flavour, "own httpx" if core == "httpcore" else "own httpx2", base_url=server.base_url
        ) as caller:
            armed.append(True)
            with pytest.raises(Stop):
                await caller.call("POST")
            assert not armed
            await caller.call("GET", deadline=5.0)

    monkeypatch.setattr(lock, method, locked if flavour == "sync" else alocked)
    server.play(then=fine)
    run(flavour, scenario)
    assert [one.method for one in server.received] == ["GET", "GET"]
    server.wait_for_connections()


def test_the_exception_handler_of_a_loop_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The loop's own handler gets every report, and only exceptions of signal handlers in callbacks are kept."""
    logged: list[object] = []

    def fails() -> None:
        raise IndexError

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        default = handler_errors.callback_errors(loop)
        loop.call_soon(fails)
        await asyncio.sleep(0.01)
        assert "IndexError" in caplog.text
        assert default is handler_errors.callback_errors(loop)
        loop.set_exception_handler(lambda _, context: logged.append(context["exception"]))
        errors = handler_errors.callback_errors(loop)
        assert errors is not None
        assert errors is not default
        loop.call_soon(fails)
        await asyncio.sleep(0.01)
        assert errors.last is None
        assert await asyncio.to_thread(handler_errors.callback_errors, loop) is None

    asyncio.run(scenario())
    assert [type(one) for one in logged] == [IndexError]


class Group(Exception):  # noqa: N818 (named for what it is)
    """Exceptions in a group, as Python 3.11 has them."""

    exceptions: tuple[BaseException, ...] = ()


class Handler:
    """A handler that is an object."""

    def __call__(self, number: int, frame: object) -> None:
        """Raise, with the frame forgotten."""
        del frame
        raise Stop

    def method(self, *_: object) -> None:
        """Raise."""
        raise Stop


@pytest.mark.parametrize("handler", [Handler(), Handler().method, partial(lambda *_: Handler()(1, None))])
def test_handlers_of_all_kinds(handler: Any) -> None:
    """An object, a method, a partial: each is known by its code."""
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


@pytest.mark.parametrize("module", [signal, None], ids=["imported", "missing"])
def test_other_exceptions_are_not_of_a_handler(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport's own, with causes in a circle; also in a program without the module `signal`, as during shutdown."""
    monkeypatch.setitem(sys.modules, "signal", module)
    error, cause = OSError("refused"), OSError("refused")
    error.__cause__, cause.__cause__ = cause, error
    assert handler_errors.handler_error(error) is None
    with handler_errors.ignoring(OSError):
        raise error
