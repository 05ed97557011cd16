"""Own clients send without httpx, as httpx would, until the program imports it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import ConfigurationError, Enprompta
from enprompta._http import direct
from enprompta._http.senders.base import errors_of, own_errors
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, Peer, answer

PARTS = ("a", "A", "1", "-", ".", "/", "..", "/.", "//", "%20", "%2F", "%zz", "%", "~", "+", "_", "?", "&", "=", "xn--")
URLS = st.tuples(
    st.sampled_from(["https://", "http://", "ftp://"]),
    st.sampled_from(["h", "h.example", "127.0.0.1", "a-b.c", "[::1]", "H", "xn--p1ai", "-"]),
    st.sampled_from(["", ":80", ":443", ":8080", ":65535", ":65536", ":0", ":07"]),
    st.lists(st.sampled_from([*PARTS, "é", " ", "#", ":", "@", "'"])).map("".join),
).map("".join)


@given(URLS)
def test_a_plain_url_is_sent_as_httpx_sends_it(url: str) -> None:
    """A URL that is sent without httpx has the same parts in httpx."""
    if direct.is_plain(url):
        mine, its = direct.URL(url), httpx.URL(url)
        for name in ("raw_scheme", "raw_host", "port", "raw_path", "netloc"):
            assert getattr(mine, name) == getattr(its, name)
        assert str(mine) == str(its)


def test_usual_urls_are_plain() -> None:
    """Encoded ids and queries need no httpx; what httpx would rewrite or refuse does."""
    for url in (
        "https://enprompta.com/api/v1", "https://enprompta.com/api/v1/prompts/a%2Fb?limit=20&search=a+b",
        "http://127.0.0.1:8000/api/v1/prompts", "http://localhost", "https://h?a=1",
    ):  # fmt: skip
        assert direct.is_plain(url)
    for url in (
        "https://h:443/", "http://h:80/", "https://h:65536/", "https://H/", "https://h/a b", "https://h/./a", "https://h/%z1",
        "https://[::1]/", "https://xn--p1ai/", f"https://h/{'a' * 65_536}",
    ):  # fmt: skip
        assert not direct.is_plain(url)


TEXT = st.text(st.sampled_from("abcXY-"), min_size=1, max_size=3)
PAIRS = st.lists(st.tuples(TEXT.map(str.encode), st.sampled_from([b"", b"1", b"a, b", "é".encode(), b"\xe9"])))


@given(PAIRS, TEXT, TEXT)
def test_headers_are_read_and_changed_as_those_of_httpx(
    pairs: list[tuple[bytes, bytes]], name: str, value: str
) -> None:
    """Names in any case, repeated headers, and values in any of three encodings."""
    mine, its = direct.Headers(pairs), httpx.Headers(pairs)
    for change in (lambda _: None, lambda it: it.update({name: value}), lambda it: it.pop(name.upper(), None)):
        change(mine), change(its)
        its = httpx.Headers(its.raw)  # which would keep the encoding of a header that is gone
        assert dict(mine) == dict(its)
        assert dict(mine.items()) == dict(its.items())
        assert sorted(mine.multi_items()) == sorted(its.multi_items())
        assert sorted(mine.raw) == sorted(its.raw)
        assert (name.upper() in mine, mine.get(name)) == (name.upper() in its, its.get(name))
        assert len(mine) == len(its.keys())
    assert 1 not in mine
    with pytest.raises(KeyError):
        del mine[f"{name}-other"]
    for twin in (pickle.loads(pickle.dumps(mine)), copy.copy(mine), direct.Headers(mine)):
        assert twin.raw == mine.raw
        assert twin == mine
    assert mine == httpx.Headers(mine.raw)
    if its.encoding == "ascii":  # httpx does not compare text of another encoding
        others: list[Any] = [dict(mine), {one.upper(): its[one] for one in its}, {name: value}, {}]
        assert [mine == one for one in others] == [its == one for one in others]
    assert mine not in (None, {5: 1}, {b"a": "1"}, {"a": []}, [])


def test_no_repr_shows_a_credential() -> None:
    """Crash reporters show variables."""
    headers = direct.Headers({"Authorization": "Bearer secret", "X-A": "1"})
    request = direct.Request(
        "get", direct.URL("https://h/a"), headers=headers, stream=direct.ByteStream(b""), extensions={}
    )
    assert repr(headers) == repr(httpx.Headers(headers)) == "Headers({'authorization': '[secure]', 'x-a': '1'})"
    twice = direct.Headers([("X-A", "1"), ("x-a", "2")])
    assert repr(twice) == repr(httpx.Headers(twice.raw)) == "Headers([('x-a', '1'), ('x-a', '2')])"
    assert repr(request) == "<Request('GET', 'https://h/a')>"


def test_httpx_is_used_once_it_is_imported_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while another thread imports it; an unusual URL imports it."""
    half = ModuleType("httpx")
    half.__spec__ = SimpleNamespace(_initializing=True)  # type: ignore[assignment]
    for loaded in (None, half):
        monkeypatch.setitem(sys.modules, "httpx", loaded)  # type: ignore[arg-type]
        assert direct.library_for_url("https://h/a") is direct
    monkeypatch.setitem(sys.modules, "httpx", httpx)
    assert direct.library_for_url("https://h/a") is httpx
    monkeypatch.setattr(direct, "loaded_httpx", lambda: None)
    assert direct.library_for_url("https://h/é") is httpx
    assert direct.library_for_url("https://h/é", direct) is httpx
    assert direct.library_for_url("https://h/a", direct) is direct
    assert direct.library_for_url("https://h/é", ModuleType("httpx2")).__name__ == "httpx2"


def test_the_errors_of_both_ways_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program may import httpx between a request and its failure."""
    assert {*errors_of(httpx), *errors_of(direct)} <= {*own_errors(None)}
    monkeypatch.setattr(direct, "loaded_httpx", lambda: None)
    assert own_errors(None) == (*errors_of(direct), *errors_of(direct))
    assert httpx.HTTPError in own_errors("aiohttp")


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_calls_continue_on_their_connection_when_httpx_is_imported(
    flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that patches httpx's transport sees every call after its import, on the connection that is open."""
    seen: list[str] = []
    agents: list[str] = []
    peers: set[int] = set()
    is_sync = flavour == "sync"
    kind: Any = httpx.HTTPTransport if is_sync else httpx.AsyncHTTPTransport
    name = "handle_request" if is_sync else "handle_async_request"
    handle = getattr(kind, name)

    def tool(self: Any, request: httpx.Request) -> Any:
        seen.append(request.method)
        return handle(self, request)

    def fine(peer: Peer) -> None:
        peers.add(id(peer))
        agents.append(peer.read().headers["user-agent"])
        peer.send(answer(200, b'{"data": {"id": "p1", "title": "", "content": ""}}'))

    async def scenario() -> None:
        async with Caller(flavour, base_url=server.base_url) as caller:
            for loaded in (None, httpx, None):
                monkeypatch.setattr(direct, "loaded_httpx", lambda loaded=loaded: loaded)
                await caller.call("GET")
                await caller.call("POST")

    monkeypatch.setattr(kind, name, tool)
    with FaultServer() as server:
        server.play(then=fine)
        run(flavour, scenario)
    assert seen == ["GET", "POST"]
    assert len(peers) == 1
    assert [one.rpartition(" ")[2] for one in agents] == [
        *2 * ["httpcore"], *2 * [f"httpx/{httpx.__version__}"], *2 * ["httpcore"],
    ]  # fmt: skip


PROGRAM = """
import sys
from enprompta import Enprompta
with Enprompta(api_key="ep_x", base_url=sys.argv[1]) as client:
    assert client.prompts.get("p1").id == "p1"
assert "httpx" not in sys.modules
assert "urllib.request" not in sys.modules
"""


def test_a_program_without_httpx_does_not_import_it() -> None:
    """The first answer needs neither httpx nor its chain of imports."""
    with FaultServer() as server:
        command = [sys.executable, "-c", PROGRAM, server.base_url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unusual_path_is_sent_by_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is escaped as with httpx, and one that is too long is refused with a reason."""
    from enprompta import Call

    monkeypatch.setattr(direct, "loaded_httpx", lambda: None)
    paths: list[str] = []

    def note(peer: Peer) -> None:
        paths.append(peer.read().path)
        peer.send(answer(200, b'{"data": null}'))

    with FaultServer() as server, Enprompta(api_key="ep_x", base_url=server.base_url) as client:
        server.play(then=note)
        client.run(Call("GET", "/a b/é", type(None)))
        with pytest.raises(ConfigurationError, match=r"no request can be sent to 'http.*: URL too long"):
            client.run(Call("GET", f"/{'a' * 65_536}", type(None)))
        with pytest.raises(
            ConfigurationError, match=r"no request can be sent to 'http.*\\ud83c': .* surrogates"
        ) as caught:
            client.run(Call("GET", "/\ud83c", type(None)))
        str(caught.value).encode()
        with pytest.raises(ConfigurationError, match=r"must not contain #, which ends a URL: write '/a#b' with %23"):
            client.run(Call("GET", "/a#b", type(None), params={"c": 1}))
        client.run(Call("GET", "/a?b=1", type(None), params={"c": 2}))
    assert [one.rpartition("/v1/")[2] for one in paths] == ["a%20b/%C3%A9", "a?b=1&c=2"]
