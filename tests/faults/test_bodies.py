"""Hostile, damaged and odd bodies, for every backend: the result, its time and its memory."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import threading
import time
import zlib
from contextlib import AsyncExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import APIConnectionError, APIResponseError, APITimeoutError, EnpromptaError, InternalServerError
from tests.faults.flavours import Caller, Waits, run, settle
from tests.faults.server import ERROR, PROMPT, Fault, FaultServer, Peer, answer
from tests.faults.test_backends import BACKENDS, Closing, caller_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

# httpcore leaves the generator of a body that broke off to the garbage collector, of which trio warns.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

WAYS = ("sync", "asyncio", "trio", *BACKENDS, "sync-httpx", "asyncio-httpx", "trio-httpx")
GZIP = [("Content-Encoding", "gzip")]
TWICE = [("Content-Encoding", "gzip, gzip")]
LIST_ITEM = b'{"id":"x","title":"t","content":"%s"},' % (b"c" * 100)
CUT_ITEM = b'{"id":"x","content":"%s"},' % (b"c" * 400)
ODD = rb'{"data":{"id":"p1","title":"party \ud83c","content":"c","version":NaN,"x":%s}}' % (b"[" * 300 + b"]" * 300)


@cache
def bomb(part: bytes, megabytes: int) -> bytes:
    """Compress this many megabytes of one repeated part, of which a single megabyte needs to be compressed."""
    block = part * (1_000_000 // len(part))
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed = (compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)) * megabytes
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(block, checksum)
    end = b"\x03\x00" + struct.pack("<II", checksum, megabytes * len(block) % 2**32)  # an empty last block, the trailer
    return b"\x1f\x8b\x08" + bytes(7) + compressed + end


def sends(data: bytes) -> Fault:
    """Send bytes as far as the client reads them."""

    def fault(peer: Peer) -> None:
        peer.read()
        with suppress(OSError):
            peer.send(data)

    return fault


async def outcome_over(way: str, server: FaultServer, call: Callable[[Any], Any], **options: Any) -> Any:
    """Make a call on one backend; return its result or error."""
    flavour, _, library = way.partition("-")
    async with AsyncExitStack() as stack:
        options["base_url"] = server.base_url
        if library == "httpx":
            http: Any = Closing(httpx.Client()) if flavour == "sync" else httpx.AsyncClient()
            options["http_client"] = await stack.enter_async_context(http)
        if library in {"", "httpx"}:
            caller = await stack.enter_async_context(Caller(flavour, **options))
        else:
            caller = await caller_over(way, stack, **options)
        try:
            return await settle(call(caller.client))
        except EnpromptaError as error:
            return error


def outcome(way: str, server: FaultServer, call: Callable[[Any], Any], **options: Any) -> Any:
    """Make a call on one backend in its event loop."""
    outcomes: list[Any] = []

    async def scenario() -> None:
        outcomes.append(await outcome_over(way, server, call, **options))

    run(way.partition("-")[0], scenario)
    return outcomes[0]


def get(client: Any) -> Any:
    """Get a prompt as a raw response."""
    return client.with_raw_response.prompts.get("p1")


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


class Peak(threading.Thread):
    """Records the peak memory of the process."""

    def __enter__(self) -> Self:
        self.before = self.most = resident()
        self.ended = threading.Event()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        """Sample every few milliseconds."""
        while not self.ended.wait(0.002):
            self.most = max(self.most, resident())


# A gigabyte that comes as 1 MB; 95 MB that come as 92 kB, and would be gigabytes of values; many problems; and more.
HOSTILE: dict[str, tuple[Callable[[], bytes], float]] = {
    "a gigabyte": (lambda: answer(200, bomb(bytes(1), 1_000), GZIP), 200e6),
    "gzip of gzip": (
        lambda: answer(200, gzip.compress(bomb(bytes(1), 300)), TWICE),
        10e6,
    ),
    "dense lists": (lambda: answer(200, bomb(b"[],", 95), GZIP), 200e6),
    "dense numbers": (lambda: answer(200, bomb(b"1,", 95), GZIP), 200e6),
    "a long text that ends early": (lambda: answer(200, bomb(b'"aaaaaaaaaaaaaaaaaaaaaaaa', 95), GZIP), 200e6),
    "more than the limit": (lambda: answer(200, b"x" * 110_000_000), 230e6),
    "wrong elements": (lambda: answer(200, b'{"data":[' + b"1," * 146_000 + b"1]}"), 20e6),
    "many wrong elements": (lambda: answer(200, b'{"data":[' + b"1," * 1_500_000 + b"1]}"), 20e6),
    "wrong numbers": (lambda: answer(200, b'{"data":[' + b"1.5," * 900_000 + b"1]}"), 7.2e6),
    "wrong objects": (lambda: answer(200, b'{"data":[' + b'{"a":1},' * 49_000 + b"1]}"), 1e6),
    "a late wrong item": (lambda: answer(200, b'{"data":[' + LIST_ITEM * 17_000 + b"{}]}"), 3e6),
    "a list that is cut": (
        lambda: answer(200, b'{"data":[' + CUT_ITEM * 40_000),
        40e6,
    ),
    "an error": (lambda: answer(500, bomb(b"x", 300), GZIP), 10e6),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory is taken")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("way", ["sync", "trio", "asyncio-aiohttp", "sync-httpx2", "asyncio-httpx"])
def test_a_hostile_body_costs_little(way: str, name: str, server: FaultServer) -> None:
    """One error by the deadline, in less memory than twice the body limit."""
    data, most = HOSTILE[name][0](), HOSTILE[name][1]
    outcome(way, server, get)  # loads what it needs
    server.play(then=sends(data))
    began = time.monotonic()
    with Peak() as peak:
        error = outcome(way, server, lambda client: client.prompts.list(), deadline=0.5, max_retries=0)
    took = time.monotonic() - began
    assert isinstance(error, (APIResponseError, APITimeoutError, InternalServerError)), error
    assert took < 2.0, took  # 0.7 on a machine that does nothing else
    assert peak.most - peak.before < most


@pytest.mark.parametrize("way", WAYS)
def test_the_limit_is_the_clients(way: str, server: FaultServer) -> None:
    """`max_response_bytes` bounds the decompressed body, per client, view or call; the error names it."""
    server.play(then=sends(answer(200, gzip.compress(PROMPT), GZIP)))
    assert outcome(way, server, get, max_response_bytes=len(PROMPT)).content == PROMPT
    calls: list[tuple[Callable[[Any], Any], dict[str, Any]]] = [
        (lambda client: client.prompts.get("p1"), {"max_response_bytes": len(PROMPT) - 1}),
        (lambda client: client.with_options(max_response_bytes=5).prompts.get("p1"), {}),
        (lambda client: client.prompts.get("p1", max_response_bytes=5), {}),
    ]
    for call, options in calls:
        error = outcome(way, server, call, **options)
        assert type(error) is APIResponseError
        assert "with a body of more than" in str(error)
        assert "the client's max_response_bytes" in str(error)
        assert PROMPT.startswith(error.body)
        assert len(error.attempts) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_malformed_response_is_read(way: str, server: FaultServer) -> None:
    """Half an emoji, NaN and deep nesting lose no other value; the raw bytes stay available."""
    server.play(then=sends(answer(200, b"\xef\xbb\xbf" + ODD)))
    response = outcome(way, server, get)
    assert response.data.title == "party \ufffd"
    assert response.content == b"\xef\xbb\xbf" + ODD
    assert response.content.decode("utf-8-sig").find(r"\ud83c") > 0
    repr(response).encode()
    assert "ud83c" not in repr(response)
    assert pickle.loads(pickle.dumps(response.data)) == response.data


@pytest.mark.parametrize("way", WAYS)
def test_a_malformed_error_is_read(way: str, server: FaultServer) -> None:
    """The error text prints on any stream, for any body; the error pickles."""
    body = rb'{"error":{"code":"X","message":"half \ud83c","details":[{"field":"\udf89","message":%s}]},"y":NaN}' % (
        b"[" * 300 + b"9" * 5_000 + b"]" * 300
    )
    server.play(then=sends(answer(400, body)))
    error = outcome(way, server, get)
    assert "half \ufffd [X]" in str(error)
    assert error.details[0].field == "\ufffd"
    for text in (str(error), repr(error), str(error.body), error.message):
        text.encode()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("flavour", ["sync", "trio"])
def test_a_malformed_token_response_is_read(flavour: str, server: FaultServer, waits: Waits) -> None:
    """A byte order mark before the token or half an emoji beside it does not lose it."""
    token = rb'{"access_token":"at_1","expires_in":NaN,"note":"\ud83c","x":%s}' % (b"[" * 400 + b"]" * 400)

    def reply(peer: Peer) -> None:
        asks = peer.read().path.endswith("/oauth/token")
        peer.send(answer(200, b"\xef\xbb\xbf" + token if asks else PROMPT))

    server.play(then=reply)
    response = outcome(flavour, server, get, client_id="app", client_secret="s" * 20)
    assert response.data.id == "p1"
    assert server.received[-1].headers["authorization"] == "Bearer at_1"


def test_a_malformed_row_does_not_lose_a_run(flavour: str, server: FaultServer) -> None:
    """All results of a bulk run arrive, also one cut inside an emoji."""
    body = rb'{"data":{"id":"e1","output":"paid \ud83c","cost":NaN,"tokens":3}}'
    server.play(then=sends(answer(200, body)))

    async def collect(results: Any) -> list[Any]:
        return [one async for one in results] if flavour != "sync" else list(results)

    def call(client: Any) -> Any:
        return collect(client.prompts.execute_many("p1", [{"n": 1}, {"n": 2}], provider="openai"))

    rows = outcome(flavour, server, call)
    assert [(row.output, row.error) for row in rows] == [("paid \ufffd", None)] * 2


def test_a_malformed_live_prompt_is_read(flavour: str, server: FaultServer) -> None:
    """A named version, a BOM and half an emoji do not trigger the fallback."""
    body = b"\xef\xbb\xbf" + rb'{"id":"l1","slug":"s","content":"hi \ud83c","version":{"number":"v3"}}'
    server.play(then=sends(answer(200, body)))
    live = outcome(flavour, server, lambda client: client.prompts.get_live("s"))
    assert (live.content, live.version.number, live.is_fallback) == ("hi \ufffd", "v3", False)


def requests_of(error: BaseException | None) -> list[Any]:
    """List the requests attached to an exception and its causes."""
    found: list[Any] = []
    seen: list[BaseException] = []
    rest = [error]
    while rest:
        one = rest.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        rest += one.__cause__, one.__context__
        for holder in (one, getattr(one, "response", None)):
            with suppress(AttributeError, RuntimeError):
                found.append(holder.request)
    return found


DAMAGED = answer(200, gzip.compress(PROMPT)[:-8] + bytes(8), GZIP)
UNSENT: dict[str, Fault] = {
    "damaged": sends(DAMAGED),
    "reset": lambda peer: (peer.read(), peer.reset()),  # type: ignore[dict-item,return-value]
    "half a body": lambda peer: (peer.read(), peer.send(answer(200, PROMPT)[:-9]), peer.close()),  # type: ignore[dict-item,return-value]
    "no HTTP": sends(b"SSH-2.0\r\n\r\n"),
    "silence": lambda peer: (peer.read(), peer.stall()),  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("name", UNSENT)
@pytest.mark.parametrize("way", WAYS)
def test_no_cause_carries_credentials(way: str, name: str, server: FaultServer) -> None:
    """Requests attached by libraries carry no key, and the error text is complete."""
    server.play(then=UNSENT[name])
    options = {"timeout": 0.2} if name == "silence" else {}
    error = outcome(way, server, lambda client: client.prompts.create(title="t", content="c"), max_retries=0, **options)
    assert isinstance(error, APIConnectionError)
    for request in requests_of(error):
        assert request.headers.get("authorization", "<secret>") == "<secret>"
        assert not hasattr(request, "_content") or request.content == b""
        assert "prompts" in str(request.url)
    pickle.dumps(error)


def test_what_a_callers_hook_raises_carries_no_credentials(server: FaultServer) -> None:
    """`raise_for_status` in a hook of the caller's client raises an error with a redacted request."""
    server.play(then=sends(answer(500, ERROR)))
    with httpx.Client(event_hooks={"response": [httpx.Response.raise_for_status]}) as http:
        error = outcome("sync", server, get, http_client=http, max_retries=0)
    assert isinstance(error.__cause__, httpx.HTTPStatusError)
    assert len(requests_of(error)) == 2
    assert all(one.headers["authorization"] == "<secret>" for one in requests_of(error))


@pytest.mark.parametrize("way", ["sync-httpx", "trio-httpx"])
def test_a_body_that_the_callers_hook_has_read(way: str, server: FaultServer) -> None:
    """A client whose hooks read the body works."""
    server.play(then=sends(answer(200, gzip.compress(PROMPT), GZIP)))
    seen: list[bytes] = []

    def look(response: httpx.Response) -> None:
        seen.append(response.read())

    async def alook(response: httpx.Response) -> None:
        seen.append(await response.aread())

    flavour = way.partition("-")[0]
    is_sync = flavour == "sync"
    http: Any = httpx.Client(event_hooks={"response": [look]}) if is_sync else httpx.AsyncClient(
        event_hooks={"response": [alook]}
    )  # fmt: skip

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            given = await stack.enter_async_context(Closing(http) if is_sync else http)
            caller = await stack.enter_async_context(Caller(flavour, base_url=server.base_url, http_client=given))
            assert (await caller.call("GET")).content == PROMPT

    run(flavour, scenario)
    assert seen == [PROMPT]


def test_a_condition_that_was_sent_explains_a_304(flavour: str, server: FaultServer) -> None:
    """A caller who sends an ETag gets an error saying that the object is unchanged."""
    server.play(then=sends(answer(304)))
    headers = {"If-None-Match": '"1"'}
    error = outcome(flavour, server, lambda client: client.prompts.get("p1", headers=headers))
    assert "returned 304 Not Modified: the object still matches the If-None-Match" in str(error)


def test_json_of_this_test_is_what_it_says() -> None:
    """A strict parser refuses the odd response, so the tests above are meaningful."""
    from pydantic_core import from_json

    with pytest.raises(ValueError, match="hex escape"):
        from_json(ODD)
    with pytest.raises(ValueError, match="BOM"):
        json.loads("\ufeff{}")
