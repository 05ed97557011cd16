"""For any bytes from a server, a call returns its result or raises an error of the package.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 10,000 answers and more.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enprompta import EnpromptaError
from enprompta.limiters import LocalLimiter
from tests.faults.flavours import FLAVOURS, METHODS, Caller, run
from tests.faults.server import PROMPT, FaultServer, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

LONG = bool(os.environ.get("ENPROMPTA_LONG_TESTS"))
EXAMPLES = 3_500 if LONG else 100  # for each kind of client

NAMES = [
    b"Content-Type", b"Content-Encoding", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Date",
    b"Retry-After", b"X-RateLimit-Limit", b"X-RateLimit-Remaining", b"X-RateLimit-Reset", b"X-Request-Id",
    b"Location", b"Set-Cookie", b"Upgrade", b"Link", b"WWW-Authenticate", b"Idempotent-Replayed",
]  # fmt: skip
VALUES = [
    b"", b"0", b"1", b"-1", b"1.5", b"9" * 40, b"9" * 400, b"nan", b"inf", b"1e999", b"0x10", "٣".encode(), b"null",
    b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"identity", b"chunked", b"close", b"keep-alive", b"websocket",
    b"application/json", b"text/html; charset=utf-16", b"text/plain; charset=\xff", b"application/json; charset=nope",
    b"Wed, 17 Jan 2024 12:00:00 GMT", b"Wed, 99 Foo 99999 99:99:99 GMT", b"Thu, 01 Jan 1970 00:00:00 -0000",
    b"Fri, 31 Dec 9999 23:59:59 +2359", b"Mon, 01 Jan 0001 00:00:00 +2359", b"2024-01-17T12:00:00Z",
    b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00+23:59", b"253402300800", b"1705492830",
    b"https://[", b"https://a:b:c/", b"//", b"http://\xff/", b"/login", b"javascript:alert(1)", b"https://xn--/",
    b"a=b; Max-Age=x; Domain=..; Expires=never", b"=;=;=", b"a=\xff; Path=/", b"token=1; Path=/; Secure",
]  # fmt: skip
FIELDS = st.sampled_from(
    ["success", "data", "error", "code", "type", "message", "details", "field", "request_id", "documentation_url",
     "error_description", "id", "title", "content", "tags", "variables", "version", "createdAt", "pagination"]
)  # fmt: skip
ODD = st.sampled_from(
    [10**30, 10**400, -(10**30), 1e308, float("nan"), float("inf"), "\ud800", "\0", "9" * 30, "2024-13-45", True, ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(max_size=8), inner, max_size=5),
    max_leaves=15,
)


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


statuses = (
    st.integers(100, 999).map(lambda status: b"%d" % status)
    | st.sampled_from([b"200", b"200", b"204", b"304", b"400", b"401", b"429", b"500", b"503"])
    | st.sampled_from([b"", b"0", b"99", b"1000", b"-200", b"2e2", b"OK", b"20\x00", "\uff12\uff10\uff10".encode()])
)
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"http/1.1", b"ICY", b""])
tokens = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
header = st.tuples(
    st.sampled_from(NAMES) | tokens | st.binary(max_size=8), st.sampled_from(VALUES) | st.binary(max_size=30)
)
bodies = (
    JSON.map(_encoded)
    | st.just(PROMPT)
    | st.binary(max_size=200)
    | JSON.map(_encoded).map(gzip.compress)
    | st.lists(st.binary(max_size=30), max_size=4).map(_chunks)
    | st.sampled_from([b"[" * 20_000, b'{"error":{"details":' * 500, b'{"data":' * 900 + b"1" + b"}" * 900])
    | st.sampled_from([b"9" * 5_000, b'{"error":{"code":' + b"9" * 4_000 + b"}}", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0"])
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A response that is broken at random, usually in one place only."""
    if draw(st.integers(0, 20)) == 0:
        return draw(st.binary(max_size=300))
    body = draw(bodies)
    headers = draw(st.lists(header, max_size=5))
    framing = draw(st.sampled_from(["length", "length", "length", "chunked", "none", "wrong"]))
    if framing == "length":
        headers.append((b"Content-Length", b"%d" % len(body)))
    elif framing == "wrong":
        headers.append((b"Content-Length", b"%d" % max(0, len(body) + draw(st.integers(-20, 20)))))
    elif framing == "chunked":
        headers.append((b"Transfer-Encoding", b"chunked"))
        body = _chunks([body]) if draw(st.booleans()) else body
    head = b" ".join([draw(versions), draw(statuses), draw(st.sampled_from([b"OK", b"", b"\xff", b"a" * 300]))])
    whole = b"\r\n".join([head, *(b"%b: %b" % pair for pair in headers), b"", body])
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 8)) == 0 else whole


class Fuzzed:
    """A server that sends the given bytes and closes."""

    def __init__(self, server: FaultServer) -> None:
        self.data = b""
        self.base_url = server.base_url
        server.play(then=self)

    def __call__(self, peer: Peer) -> None:
        """Answer a request."""
        peer.read()
        peer.send(self.data)
        peer.close()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Fuzzed]:
    """Run the server."""
    with FaultServer() as server:
        yield Fuzzed(server)
        server.wait_for_connections()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_response_returns_a_result_or_raises_a_public_error(flavour: str, fuzzed: Fuzzed) -> None:
    """Random status lines, headers, chunks and bodies: no foreign exception, and every error pickles."""

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=not LONG, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=answers(), method=st.sampled_from(METHODS))
    def check(data: bytes, method: str) -> None:
        fuzzed.data = data

        async def scenario() -> None:
            options: Any = {"limiter": LocalLimiter(), "max_retries": 0, "timeout": 10.0}
            async with Caller(flavour, base_url=fuzzed.base_url, **options) as caller:
                outcome = await caller.outcome(method)
                _ = caller.client.rate_limit
            if isinstance(outcome, EnpromptaError):
                assert str(outcome)
                assert type(pickle.loads(pickle.dumps(outcome))) is type(outcome)
            else:
                assert 200 <= outcome.status_code < 300
                _ = outcome.rate_limit

        run(flavour, scenario)

    check()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_token_response_returns_a_result_or_raises_a_public_error(flavour: str, fuzzed: Fuzzed) -> None:
    """The same from a token endpoint."""

    @settings(
        max_examples=EXAMPLES // 4, deadline=None, derandomize=not LONG, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=answers())
    def check(data: bytes) -> None:
        fuzzed.data = data

        async def scenario() -> None:
            options: Any = {"client_id": "app", "client_secret": "hunter2-hunter2", "max_retries": 0, "timeout": 10.0}
            async with Caller(flavour, base_url=fuzzed.base_url, **options) as caller:
                outcome = await caller.outcome("GET")
            assert isinstance(outcome, EnpromptaError)
            assert "hunter2" not in repr(outcome)

        run(flavour, scenario)

    check()
