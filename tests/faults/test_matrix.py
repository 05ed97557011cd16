"""The fault matrix: each fault once, twice and always; by each method; with each kind of client."""

from __future__ import annotations

import gzip
import os
import re
import socket
import zlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from enprompta._core.response import APIResponse
from enprompta._http.route.certificates import TrustedCertificates
from tests.faults.flavours import METHODS, Caller, Waits, descriptors, run
from tests.faults.server import ERROR, PROMPT, Fault, FaultServer, Peer, answer, at_connect, certificate, fine

if TYPE_CHECKING:
    from enprompta import EnpromptaError

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")


WAYS = ["httpcore", "httpx"] if os.environ.get("ENPROMPTA_LONG_TESTS") else ["httpcore"]


@pytest.fixture(params=WAYS, autouse=True)
def as_most_programs(request: pytest.FixtureRequest) -> None:
    """Own clients send without httpx; the long form sends through httpx's transport too."""
    if request.param == "httpcore":
        request.getfixturevalue("without_httpx")


ALWAYS = 99
TIMES = pytest.mark.parametrize("times", [1, 2, ALWAYS], ids=["once", "twice", "always"])
ATTEMPTS = 4  # the default of max_retries is 3


@dataclass(frozen=True)
class Case:
    """One fault and its expected result."""

    fault: Fault
    error: type[EnpromptaError] | None = APIConnectionError
    """The exact class; None when the call must not notice."""
    retried: bool = True
    text: str = ""
    """A pattern that the message must match."""
    wait: float | None = None
    """The wait that the server asks for; None when it is ours to choose."""
    spoils: bool = False
    """True if bytes are left over, so that the next call may need another connection."""
    delete: bool = True
    """True if the fault also applies to DELETE, which reads no body."""


def sends(data: bytes, *, then: str = "") -> Fault:
    """Read the request, send the bytes, then close, reset or continue."""

    def fault(peer: Peer) -> None:
        peer.read()
        peer.send(data)
        if then:
            getattr(peer, then)()

    return fault


def _reset_before(peer: Peer) -> None:
    peer.reset()


def _reset_after(peer: Peer) -> None:
    peer.read()
    peer.reset()


@at_connect
def _reset_at_connect(peer: Peer) -> None:
    peer.reset()


GZIPPED = gzip.compress(PROMPT)
_zipped = [("Content-Encoding", "gzip")]
_long = [("Content-Length", str(len(PROMPT) + 100))]
_short = [("Content-Length", str(len(PROMPT) - 10))]
_chunked = [("Transfer-Encoding", "chunked")]

CASES = {
    "reset at connect": Case(_reset_at_connect),
    "reset before the request was read": Case(_reset_before),
    "reset after the request was read": Case(_reset_after),
    "closed without an answer": Case(sends(b"", then="close"), text="sent an invalid response"),
    "half a status line": Case(sends(b"HTTP/1.1 20", then="close"), text="sent an invalid response"),
    "half a status line, then reset": Case(sends(b"HTTP/1.1 20", then="reset")),
    "half the headers": Case(sends(answer(200, PROMPT)[:30], then="close"), text="sent an invalid response"),
    "half a body": Case(sends(answer(200, PROMPT)[:-20], then="close"), text="sent an invalid response"),
    "half a body, then reset": Case(sends(answer(200, PROMPT)[:-20], then="reset")),
    "half a chunk": Case(sends(answer(200, b'40\r\n{"succ', _chunked), then="close"), text="sent an invalid response"),
    "no last chunk": Case(
        sends(answer(200, b"4\r\ntrue\r\n", _chunked), then="close"), text="sent an invalid response"
    ),
    "a chunk of no length": Case(sends(answer(200, b"zz\r\n", _chunked)), text="sent an invalid response"),
    "half an error": Case(sends(answer(404, ERROR)[:-9], then="close"), text="sent an invalid response"),
    "length too long": Case(sends(answer(200, PROMPT, _long), then="close"), text="sent an invalid response"),
    "length too short": Case(
        sends(answer(200, PROMPT, _short)), APIResponseError, retried=False, spoils=True, delete=False, text="not whole"
    ),
    "two lengths": Case(sends(answer(200, PROMPT, [*_long, *_short])), text="sent an invalid response"),
    "a length that is none": Case(
        sends(answer(200, PROMPT, [("Content-Length", "-1")])), text="sent an invalid response"
    ),
    "gzip that is none": Case(sends(answer(200, PROMPT, _zipped)), text="sent an invalid response"),
    "gzip with a wrong sum": Case(
        sends(answer(200, GZIPPED[:-8] + bytes(8), _zipped)), text="sent an invalid response"
    ),
    "half of the gzip": Case(sends(answer(200, GZIPPED[:40], _zipped)), text="sent an invalid response.*incomplete"),
    "half of the second gzip member": Case(
        sends(answer(200, gzip.compress(b"{") + GZIPPED[:-9], _zipped)), text="sent an invalid response.*incomplete"
    ),
    "gzip of an error with a wrong sum": Case(
        sends(answer(404, gzip.compress(ERROR)[:-8] + bytes(8), _zipped)), text="sent an invalid response.*damaged"
    ),
    "gzip within gzip": Case(
        sends(answer(200, gzip.compress(GZIPPED), [("Content-Encoding", "gzip, gzip")])),
        APIResponseError,
        retried=False,
        delete=False,
        text=r"encoded 2 times \(gzip, gzip\)",
    ),
    "an encoding that was not asked for": Case(
        sends(answer(200, b"\x0b\x02\x80", [("Content-Encoding", "br")])),
        APIResponseError,
        retried=False,
        delete=False,
        text="in the encoding 'br': the client reads gzip and deflate",
    ),
    "an error in an encoding that was not asked for": Case(
        sends(answer(404, b"\x0b\x02\x80", [("Content-Encoding", "br")])),
        NotFoundError,
        retried=False,
        text="returned 404 Not Found with a body in the encoding 'br'.*which was not read",
    ),
    "no HTTP at all": Case(sends(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n"), text="sent an invalid response"),
    "headers without an end": Case(
        sends(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000), text="sent an invalid response"
    ),
    "a header that is none": Case(sends(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), text="sent an invalid response"),
    "an early answer, then closed": Case(sends(answer(100), then="close"), text="sent an invalid response"),
    "early answers, then the answer": Case(sends(answer(102) + answer(103) + answer(200, PROMPT)), None),
    "HTTP/1.0, then closed": Case(
        sends(answer(200, PROMPT, [("Connection", "close")], version="1.0"), then="close"), None
    ),
    "HTTP/1.0 of no length": Case(sends(b"HTTP/1.0 200 OK\r\n\r\n" + PROMPT, then="close"), None),
    "half of HTTP/1.0 of no length": Case(
        sends(b"HTTP/1.0 200 OK\r\n\r\n" + PROMPT[:-9], then="close"), APIResponseError, retried=False, delete=False
    ),
    "chunked": Case(sends(answer(200, b"%x\r\n%b\r\n0\r\n\r\n" % (len(PROMPT), PROMPT), _chunked)), None),
    "gzip": Case(sends(answer(200, GZIPPED, _zipped)), None),
    "x-gzip": Case(sends(answer(200, GZIPPED, [("Content-Encoding", "X-GZIP")])), None),
    "gzip in members": Case(
        sends(answer(200, b"".join(map(gzip.compress, (PROMPT[:9], b"", PROMPT[9:]))), _zipped)), None
    ),
    "gzip, then padding": Case(sends(answer(200, GZIPPED + bytes(512), _zipped)), None),
    "deflate": Case(sends(answer(200, zlib.compress(PROMPT), [("Content-Encoding", "deflate")])), None),
    "deflate without a header": Case(
        sends(answer(200, zlib.compress(PROMPT)[2:-4], [("Content-Encoding", "identity, deflate")])), None
    ),
    "204 with a body": Case(
        sends(answer(204, b"{}")), APIResponseError, retried=False, spoils=True, delete=False, text="an empty body"
    ),
    "204 with a body and its length": Case(
        sends(answer(204, b"{}", [("Content-Length", "2")])), APIResponseError, retried=False, delete=False
    ),
    "205": Case(sends(answer(205)), APIResponseError, retried=False, delete=False, text="an empty body"),
    "200 and nothing": Case(sends(answer(200)), APIResponseError, retried=False, delete=False, text="an empty body"),
    "200 and HTML": Case(
        sends(answer(200, b"<html>Welcome")), APIResponseError, retried=False, delete=False, text="HTML or XML"
    ),
    "200 and another shape": Case(
        sends(answer(200, b'{"data": []}')), APIResponseError, retried=False, delete=False, text="another shape"
    ),
    "101, which was not requested": Case(
        sends(answer(101, headers=[("Upgrade", "websocket")]), then="close"), text="sent an invalid response"
    ),
    "asked to wait, in seconds": Case(sends(answer(503, ERROR, [("Retry-After", "7")])), InternalServerError, wait=7.0),
    "asked to wait, by a date": Case(
        sends(
            answer(
                429,
                ERROR,
                [("Date", "Wed, 17 Jan 2024 12:00:00 GMT"), ("Retry-After", "Wed, 17 Jan 2024 12:01:00 GMT")],
            )
        ),
        RateLimitError,
        wait=60.0,
    ),
    "asked to wait, by the window's end": Case(
        sends(
            answer(
                429,
                ERROR,
                [
                    ("Date", "Wed, 17 Jan 2024 12:00:00 GMT"),
                    ("X-RateLimit-Limit", "50"),
                    ("X-RateLimit-Remaining", "0"),
                    ("X-RateLimit-Reset", "1705492830"),
                ],
            )
        ),
        RateLimitError,
        wait=30.0,
    ),
    "asked to wait for too long": Case(
        sends(answer(429, ERROR, [("Retry-After", "66")])),
        RateLimitError,
        retried=False,
        text=r"not retried, because the API asks to wait 66 s, more than max_wait \(65 s\)",
    ),
}

for _status in {*range(300, 309)} - {304}:
    CASES[f"{_status}"] = Case(
        sends(answer(_status, headers=[("Location", "https://elsewhere.invalid/"), ("Content-Length", "0")])),
        APIStatusError,
        retried=False,
        text=rf"returned {_status}.*redirects are not followed",
    )
CASES["304"] = Case(
    sends(answer(304)), APIStatusError, retried=False, text="returned 304 Not Modified: the request is unconditional"
)
CASES["302 with a cookie that cannot be sent back"] = Case(
    sends(answer(302, headers=[("Location", "/login"), ("Set-Cookie", "a=\xb0; Path=/"), ("Content-Length", "0")])),
    APIStatusError,
    retried=False,
    text="returned 302 Found: redirects are not followed",
)
CASES["302 to nowhere"] = Case(
    sends(answer(302, headers=[("Location", "https://a:b:c/"), ("Content-Length", "0")])),
    APIStatusError,
    retried=False,
    text="returned 302 Found: redirects are not followed",
)

CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientTokensError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
for _status in sorted({*(status.value for status in HTTPStatus), 420, 499, 509, 520, 529, 599}):
    if _status >= 400:
        CASES[f"{_status}"] = Case(
            sends(answer(_status, ERROR, [("X-Request-Id", "req_7")])),
            CLASSES.get(_status, InternalServerError if _status >= 500 else APIStatusError),
            retried=_status in {408, 429, 500, 502, 503, 504},
            text=rf"returned {_status}.*it went wrong.*OOPS.*req_7",
        )


def expected_attempts(case: Case, times: int) -> int:
    """Return the number of attempts of a call."""
    if case.error is None or not case.retried:
        return 1
    return min(times + 1, ATTEMPTS)


async def check(caller: Caller, method: str, case: Case, times: int, waits: Waits) -> Any:
    """Make a call against a fault, and compare the result with the case."""
    waits.clear()
    outcome = await caller.outcome(method)
    attempts = expected_attempts(case, times)
    if case.error is None or (case.retried and times < ATTEMPTS):
        assert isinstance(outcome, APIResponse), outcome
        assert outcome.status_code in {200, 204, 205}
    else:
        assert type(outcome) is case.error, outcome
        assert str(outcome).startswith(f"{method} /prompts")
        assert re.search(case.text, str(outcome)), outcome
        if attempts > 1:
            assert "gave up after 4 attempts" in str(outcome)
    assert [attempt.number for attempt in outcome.attempts] == list(range(1, attempts + 1))
    assert len(waits) == attempts - 1
    assert [attempt.wait for attempt in outcome.attempts] == [*waits, 0.0]
    for number, wait in enumerate(waits):
        assert wait == case.wait if case.wait is not None else 0 <= wait <= 0.5 * 2**number
    for attempt in outcome.attempts:
        assert (attempt.status_code is None) != (attempt.error is None)
        assert attempt.duration >= 0
    return outcome


def check_keys(method: str, server: FaultServer) -> None:
    """All attempts of a call share one idempotency key, which no other call has."""
    keys = [received.headers.get("idempotency-key") for received in server.received]
    if method in {"POST", "PUT"}:
        assert len(set(keys)) <= 1
        assert all(keys)
    else:
        assert not any(keys)


@TIMES
@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_mapped_retried_and_survived(
    flavour: str, name: str, times: int, server: FaultServer, waits: Waits
) -> None:
    """The right class after the right attempts and waits, one key, no leaks, and the next call works."""
    case = CASES[name]
    before = descriptors()

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for method in METHODS:
                faulty = case
                if method == "DELETE" and not case.delete:
                    faulty = replace(case, error=None)
                server.play(*[case.fault] * times)
                await check(caller, method, faulty, times, waits)
                assert server.attempts == expected_attempts(faulty, times)
                check_keys(method, server)
                server.play()
                response = await caller.call("GET")
                assert response.data.id == "p1"
                assert len(response.attempts) <= 1 + case.spoils
                server.wait_for_connections(at_most=1)

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before


@TIMES
def test_a_refused_connection(flavour: str, times: int, waits: Waits) -> None:
    """A refused connection is retried, and the error names the address."""
    before = descriptors()
    for method in METHODS:
        with FaultServer(listening=False) as server:
            waits.then = {times: server.listen}

            async def scenario(server: FaultServer = server, method: str = method) -> None:
                async with Caller(flavour, base_url=server.base_url) as caller:
                    outcome = await check(caller, method, Case(fine), times, waits)
                    assert server.attempts == (times < ATTEMPTS)
                    assert all("cannot connect to 127.0.0.1" in attempt.error for attempt in outcome.attempts[:times])
                    assert times < ATTEMPTS or outcome.unsent

            run(flavour, scenario)
            server.wait_for_connections()
    assert descriptors() == before


@TIMES
def test_a_name_that_is_not_found(
    flavour: str, times: int, waits: Waits, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown name is retried, because DNS may recover."""
    failures: list[Any] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        flags = kwargs.get("flags", args[4] if len(args) > 4 else 0)
        if host not in {"api.localhost", b"api.localhost"} or flags & socket.AI_NUMERICHOST:
            return real(host, *args, **kwargs)
        failures.append(host)
        if len(failures) <= times:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = descriptors()

    async def scenario() -> None:
        async with Caller(flavour, base_url=f"http://api.localhost:{server.port}/api/v1") as caller:
            for method in METHODS:
                failures.clear()
                await check(caller, method, Case(fine, text="cannot connect to api.localhost"), times, waits)
                assert len(failures) == min(times + 1, ATTEMPTS)
                server.play(fine, _reset_after)  # the connection, if there is one, does not serve the next method
                if times < ATTEMPTS:
                    await caller.call("GET")
                    with pytest.raises(APIConnectionError):
                        await caller.call("GET", max_retries=0)

    run(flavour, scenario)
    server.wait_for_connections()
    assert descriptors() == before


def test_a_name_that_no_one_has(flavour: str, waits: Waits) -> None:
    """The real resolver's failure for a reserved name (RFC 2606) is an `APIConnectionError` too."""

    async def scenario() -> None:
        async with Caller(flavour, base_url="https://nonexistent.invalid/api/v1") as caller:
            await check(caller, "GET", Case(fine, text="cannot connect to nonexistent.invalid"), ALWAYS, waits)

    run(flavour, scenario)


@at_connect
def _stranger(peer: Peer) -> None:
    peer.start_tls("stranger")
    peer.stall()


@at_connect
def _plain(peer: Peer) -> None:
    peer.send(answer(400, b"this is no TLS"))
    peer.close()


@at_connect
def _mute(peer: Peer) -> None:
    peer.close()


@at_connect
def _broken_off(peer: Peer) -> None:
    peer.arrived()  # the client's greeting
    peer.reset()


@TIMES
@pytest.mark.parametrize("fault", [_stranger, _plain, _mute, _broken_off], ids=lambda fault: fault.__name__)
def test_tls_that_fails(flavour: str, fault: Fault, times: int, waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrusted certificate, a plain-text answer and silence are retried, and never trusted."""
    import enprompta._http.route as home

    context = httpx.create_ssl_context()
    context.load_verify_locations(certificate("trusted"))
    monkeypatch.setattr(home, "trusted_certificates", lambda _: TrustedCertificates(lambda: context))
    before = descriptors()
    with FaultServer(tls="trusted") as server:

        async def scenario() -> None:
            for method in METHODS:
                async with Caller(flavour, base_url=server.base_url) as caller:
                    server.play(*[fault] * times)
                    await check(caller, method, Case(fault, text="127.0.0.1"), times, waits)
                    check_keys(method, server)
                    assert len(server.received) == (times < ATTEMPTS)

        run(flavour, scenario)
        server.wait_for_connections()
    assert descriptors() == before


def test_tls_is_not_spoken_to_a_plain_port(flavour: str, waits: Waits, server: FaultServer) -> None:
    """A client with an https address never falls back to clear text."""
    server.play(then=_plain)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url.replace("http:", "https:")) as caller:
            await check(caller, "GET", Case(_plain), ALWAYS, waits)

    run(flavour, scenario)
    assert not server.received


def test_a_certificate_of_a_stranger_is_refused_by_default(flavour: str, waits: Waits) -> None:
    """By default, a self-signed certificate ends in an error that names it."""
    with FaultServer(tls="trusted") as server:

        async def scenario() -> None:
            async with Caller(flavour, base_url=server.base_url) as caller:
                await check(caller, "GET", Case(fine, text=r"CERTIFICATE_VERIFY_FAILED|certificate"), ALWAYS, waits)

        run(flavour, scenario)
        assert not server.received


def test_an_idle_connection_that_was_closed_is_replaced_unnoticed(flavour: str, server: FaultServer) -> None:
    """A connection that the server closed while idle costs no attempt."""

    def last(peer: Peer) -> None:
        fine(peer)
        peer.close()

    server.play(then=last)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for method in METHODS * 2:
                assert len((await caller.call(method)).attempts) == 1
                server.wait_for_connections()

    run(flavour, scenario)
    assert server.connections == 8


def test_a_given_idempotency_key_is_sent_with_every_attempt(flavour: str, server: FaultServer, waits: Waits) -> None:
    """The given key is sent unchanged on each attempt."""
    server.play(*[_reset_after] * 3)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            await caller.call("POST", idempotency_key="order-17")

    run(flavour, scenario)
    assert [received.headers["idempotency-key"] for received in server.received] == ["order-17"] * 4
    assert len({received.body for received in server.received}) == 1
    assert len(waits) == 3


def test_without_retries_the_first_failure_is_the_error(flavour: str, server: FaultServer, waits: Waits) -> None:
    """`max_retries=0` sends once."""
    server.play(then=_reset_after)

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url, max_retries=0) as caller:
            for method in METHODS:
                outcome = await caller.outcome(method)
                assert len(outcome.attempts) == 1
                assert "gave up" not in str(outcome)

    run(flavour, scenario)
    assert server.attempts == 4
    assert not waits
