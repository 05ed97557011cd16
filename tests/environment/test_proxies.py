"""Proxies are read in one way for every HTTP library; unusable ones are refused before anything is sent."""

from __future__ import annotations

import logging
import ssl
import time
from base64 import b64encode
from typing import Any

import pytest

from enprompta import APIConnectionError, APITimeoutError, AsyncEnprompta, ConfigurationError, Enprompta
from enprompta._http.route import proxies
from enprompta._http.route.proxies import is_exempt, proxy_for
from tests.environment.proxy import Proxy
from tests.faults.flavours import Caller, run
from tests.faults.server import FaultServer, Peer, at_connect, certificate, serving_tls

FLAVOURS = ("sync", "asyncio", "trio", "asyncio-aiohttp", "sync-httpx2", "trio-httpx2")
PASSWORD = "hunter2/with@signs"
QUOTED = "hunter2%2Fwith%40signs"
API = "https://api.test/v1"


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each kind of client and HTTP library."""
    return request.param


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serve over TLS with a certificate that the environment trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("trusted")))
    with FaultServer(tls="trusted") as server:
        yield server


def call(flavour: str, base_url: str, times: int = 1, **options: Any) -> list[Any]:
    """Make calls, and return their responses or errors."""
    loop, _, library = flavour.partition("-")
    options |= {"http_client": library} if library else {}
    outcomes: list[Any] = []

    async def scenario() -> None:
        async with Caller(loop, base_url=base_url, **{"max_retries": 0, **options}) as caller:
            outcomes.extend([await caller.outcome("GET") for _ in range(times)])

    run(loop, scenario)
    return outcomes


class TestUse:
    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    @pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}", " http://127.0.0.1:{}/ "])
    def test_a_tunnel(
        self, flavour: str, variable: str, form: str, secure: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Calls go through one tunnel, whose proxy sees the address and no content."""
        with Proxy() as proxy:
            monkeypatch.setenv(variable, form.format(proxy.port))
            outcomes = call(flavour, secure.base_url, times=2)
        assert [one.status_code for one in outcomes] == [200, 200]
        assert [head.split(b"\r\n")[0] for head in proxy.asked] == [
            f"CONNECT 127.0.0.1:{secure.port} HTTP/1.1".encode()
        ]
        assert b"ep_test" not in proxy.asked[0]

    def test_credentials(self, flavour: str, secure: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """User name and password are unquoted and sent to the proxy only."""
        with Proxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://ann%C3%A9:{QUOTED}@127.0.0.1:{proxy.port}")
            assert call(flavour, secure.base_url)[0].status_code == 200
        sent = b64encode(f"anné:{PASSWORD}".encode())
        assert b"Basic " + sent in proxy.asked[0]
        assert "proxy-authorization" not in secure.received[0].headers

    def test_a_proxy_with_tls(self, flavour: str, secure: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """The certificates of the environment also apply to https:// proxies."""
        with Proxy(tls=serving_tls("trusted")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
            assert call(flavour, secure.base_url)[0].status_code == 200
        assert proxy.asked

    @pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
    @pytest.mark.parametrize("credentials", [None, f"ann:{PASSWORD}".encode()])
    @pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
    def test_socks(
        self,
        flavour: str,
        scheme: str,
        credentials: bytes | None,
        secure: FaultServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A SOCKS proxy is used with its credentials."""
        with Proxy(credentials=credentials) as proxy:
            userinfo = f"ann:{QUOTED}@" if credentials else ""
            monkeypatch.setenv("ALL_PROXY", f"{scheme}://{userinfo}127.0.0.1:{proxy.port}")
            assert call(flavour, secure.base_url)[0].status_code == 200
        assert proxy.asked == [f"127.0.0.1:{secure.port}".encode()]

    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
    def test_never_for_plain_http(
        self, flavour: str, variable: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A plain-http address is on this machine, and its key goes to no proxy."""
        with Proxy() as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            assert call(flavour, server.base_url)[0].status_code == 200
            monkeypatch.setenv(variable, "nonsense://")  # which is then not even read
            assert call(flavour, server.base_url.replace("127.0.0.1", "localhost"))[0].status_code == 200
        assert not proxy.asked

    @pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "other.test, 127.0.0.1:{},", "*", "[::1] 127.0.0.1"])
    def test_exempt_hosts(self, flavour: str, entry: str, secure: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A host in `NO_PROXY` is reached directly, also if the proxy is unusable."""
        monkeypatch.setenv("HTTPS_PROXY", "nonsense://")
        monkeypatch.setenv("NO_PROXY", entry.format(secure.port))
        assert call(flavour, secure.base_url)[0].status_code == 200


class TestRefusals:
    """The error names the proxy as the cause, without its credentials."""

    @staticmethod
    def refused(flavour: str, url: str, base_url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
        """Return the error text after checking everything shown and logged."""
        monkeypatch.setenv("HTTPS_PROXY", url)
        logged: list[str] = []
        handler = logging.Handler(logging.DEBUG)
        handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            (error,) = call(flavour, base_url, **options)
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        assert isinstance(error, APIConnectionError)
        assert error.unsent
        told = [str(error), repr(error), repr(error.__cause__), str(error.attempts)]
        told += [line for line in logged if "receive_response_headers" not in line]  # what the proxy itself said
        hidden = (PASSWORD, QUOTED, b64encode(f"ann:{PASSWORD}".encode()).decode())
        assert not [text for text in told for secret in hidden if secret in text]
        return str(error)

    @pytest.mark.parametrize(
        "answer",
        [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 407 hunter2/with@signs\r\n\r\n"],
        ids=["plain", "echoing"],
    )
    def test_of_the_credentials(
        self, flavour: str, answer: bytes, monkeypatch: pytest.MonkeyPatch, secure: FaultServer
    ) -> None:
        """A 407 names the variable for the credentials and is not retried."""
        with Proxy(answer) as proxy:
            url = f"http://ann:{QUOTED}@127.0.0.1:{proxy.port}"
            text = self.refused(flavour, url, secure.base_url, monkeypatch, max_retries=3)
            assert f"the proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY) refused to connect to" in text
            assert "407" in text
            assert "put the proxy's user name and password into HTTPS_PROXY" in text
            assert len(proxy.asked) == 1
        assert not secure.received

    def test_of_the_connection(self, flavour: str, monkeypatch: pytest.MonkeyPatch, secure: FaultServer) -> None:
        """The error shows the status of a proxy that cannot reach the service."""
        with Proxy(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as proxy:
            url = f"http://ann:{QUOTED}@127.0.0.1:{proxy.port}"
            text = self.refused(flavour, url, secure.base_url, monkeypatch)
        assert f"the proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY) refused to connect to 127.0.0.1:" in text
        assert text.partition("\n")[0].endswith("502 Bad Gateway") or "502 Bad Gateway" in text

    def test_to_be_connected_to(self, flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error names a proxy that does not listen."""
        with Proxy() as proxy:
            port = proxy.port
        text = self.refused(flavour, f"http://ann:{QUOTED}@127.0.0.1:{port}", API, monkeypatch)
        assert f"the proxy http://127.0.0.1:{port} (HTTPS_PROXY)" in text
        assert "api.test" in text

    @pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
    def test_by_socks(self, flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A SOCKS proxy refuses the connection or the credentials."""
        with Proxy(b"") as proxy:
            text = self.refused(flavour, f"socks5://127.0.0.1:{proxy.port}", API, monkeypatch)
            assert f"the proxy socks5://127.0.0.1:{proxy.port} (HTTPS_PROXY) refused to connect to api.test" in text
        with Proxy(credentials=b"bob:other") as proxy:
            url = f"socks5://ann:{QUOTED}@127.0.0.1:{proxy.port}"
            assert "(HTTPS_PROXY) refused" in self.refused(flavour, url, API, monkeypatch)

    @pytest.mark.parametrize("scheme", ["http", "socks5"])
    def test_a_silent_one_ends_the_call_in_time(
        self, flavour: str, scheme: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy that accepts the connection and never answers is abandoned after the timeout."""
        if scheme == "socks5" and flavour == "asyncio-aiohttp":
            pytest.skip("aiohttp has no SOCKS proxies")
        server.play(then=at_connect(Peer.stall))
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{server.port}")
        began = time.monotonic()
        (error,) = call(flavour, API, timeout=0.4)
        assert isinstance(error, APITimeoutError)
        assert time.monotonic() - began < 3

    def test_of_a_stranger_behind_it(self, flavour: str, secure: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """An untrusted certificate of the service is not the proxy's fault."""
        monkeypatch.delenv("SSL_CERT_FILE")
        with Proxy() as proxy:
            text = self.refused(flavour, f"http://127.0.0.1:{proxy.port}", secure.base_url, monkeypatch)
        assert f"cannot connect to 127.0.0.1:{secure.port} through the proxy http://127.0.0.1:{proxy.port}" in text


@pytest.mark.parametrize("kind", [Enprompta, AsyncEnprompta])
class TestConfiguration:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("ftp://proxy.test:21", "unknown kind ftp://.*socks5h://"),
            ("socks4://proxy.test", "unknown kind socks4://"),
            ("http://", "names no host"),
            ("http://:3128", "names no host"),
            ("http:/proxy.test", "lacks a part of its scheme"),
            ("http://proxy.test:0", "a port that does not exist"),
            ("http://proxy.test:65536", "a port that does not exist"),
            ("http://proxy.test:web", "a host and a port number"),
            (f"http://proxy.test:{'9' * 5_000}", "a host and a port number"),
            ("http://proxy test", "a host and a port number"),
            ("http://proxy..test", "a host and a port number"),
            ("http://.:3128", "a host and a port number"),
            (f"http://{'x' * 64}.test", "a host and a port number"),
            (f"http://{'x.' * 130}test", "a host and a port number"),
            ("0", "a host and a port number"),
            ("http://127.1:3128", "a host and a port number"),
            ("'http://proxy.test:3128'", "a host and a port number"),
            ("http://[::1:3128", "a host and a port number"),
            ("http://[proxy.test]:3128", "not an IPv6 address"),
            ("http://ann:hunter#2@proxy.test:3128", "write them as %2F, %3F and %23"),
            ("http://ann:hunter/2@proxy.test:3128", "write them as %2F, %3F and %23"),
            ("http://ann:hunter2", "a host and a port number|a port that does not exist"),
            (f"socks5://ann:hunter2{'x' * 256}@proxy.test", "more than 255 bytes"),
        ],
    )
    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
    def test_what_cannot_work(
        self, kind: Any, value: str, problem: str, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The constructor refuses an unusable proxy and names the variable and the cure."""
        monkeypatch.setenv(variable, value)
        monkeypatch.setenv("NO_PROXY", "fe80::/10, [::1], ::1/128, localhost:80,, 10.*")
        with pytest.raises(ConfigurationError, match=problem) as caught:
            kind(api_key="ep_x", base_url=API)
        text = str(caught.value)
        assert text.startswith(variable)
        assert "NO_PROXY" in text
        assert "hunter" not in text
        assert caught.value.__cause__ is None

    def test_socks_without_its_library(self, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without its package, the error names the extra to install."""
        monkeypatch.setattr("enprompta._http.route.find_spec", lambda _: None)
        monkeypatch.setenv("ALL_PROXY", "socks5://ann:hunter2@proxy.test:1080")
        with pytest.raises(ConfigurationError, match=r"^ALL_PROXY names a SOCKS proxy.*enprompta\[socks\]") as caught:
            kind(api_key="ep_x", base_url=API)
        assert "hunter2" not in str(caught.value)


def test_what_aiohttp_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """With aiohttp, SOCKS is refused, and https:// on a Python without TLS in TLS."""
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.test")
    with pytest.raises(ConfigurationError, match=r'^ALL_PROXY .*leave out http_client="aiohttp"'):
        AsyncEnprompta(api_key="ep_x", base_url=API, http_client="aiohttp")
    monkeypatch.setenv("ALL_PROXY", "https://proxy.test")
    monkeypatch.setattr("enprompta._http.route._TLS_WITHIN_TLS", False)
    with pytest.raises(ConfigurationError, match=r"from Python 3\.11 on"):
        AsyncEnprompta(api_key="ep_x", base_url=API, http_client="aiohttp")
    assert AsyncEnprompta(api_key="ep_x", base_url=API)


class TestReading:
    @pytest.mark.parametrize(
        ("no_proxy", "exempt"),
        [
            ("", False),
            ("*", True),
            ("other.test,*", True),
            ("api.test", True),
            ("API.Test", True),
            ("api.test.", True),
            ("test", True),
            (".test", True),
            ("*.test", True),
            (".api.test", True),
            ("pi.test", False),
            ("v1.api.test", False),
            ("api.test:443", True),
            ("api.test:8443", False),
            ("api.test:", True),
            (".test:443", True),
            ("*.test:8443", False),
            ("https://api.test", True),
            ("http://api.test", False),
            ("all://api.test/", True),
            ("a, ,,\tapi.test ,", True),
            ("other.test api.test", True),
            ("api.*", True),
            (".", False),
            (f"api.test:{'9' * 5_000},[api.test]:{'9' * 5_000}", False),
            ("127.0.0.1,::1,[::1],fe80::/10,10.0.0.0/8,300.1.1.1/99,[zz]:x,:443", False),
        ],
    )
    def test_names(self, no_proxy: str, exempt: object) -> None:
        """`NO_PROXY` in every common form; meaningless entries exempt nothing."""
        assert is_exempt("api.test", 443, no_proxy) is exempt

    @pytest.mark.parametrize(
        ("host", "no_proxy", "exempt"),
        [
            ("10.1.2.3", "10.1.2.3", True),
            ("10.1.2.3", "10.1.2.3:443", True),
            ("10.1.2.3", "10.1.2.3:80", False),
            ("10.1.2.3", "10.0.0.0/8", True),
            ("10.1.2.3", "10.9.9.9/8", True),
            ("10.1.2.3", "10.0.0.0/16", False),
            ("10.1.2.3", "10.*", True),
            ("10.1.2.3", "2.3", False),
            ("10.1.2.3", "fe80::/10", False),
            ("::1", "::1", True),
            ("::1", "[::1]", True),
            ("::1", "[::1]:443", True),
            ("::1", "[::1]:80", False),
            ("::1", "[::1]:", True),
            ("10.1.2.3", "10.1.2.3:", True),
            ("fe80::", "fe80::", True),
            ("::1", "::1/128", True),
            ("::1", "[::1]/128", True),
            ("0:0::1", "::1", True),
            ("fe80::1%eth0", "fe80::/10", True),
            ("fec0::1", "fe80::/10", False),
            ("::ffff:10.1.2.3", "10.0.0.0/8", True),
            ("::ffff:10.1.2.3", "::ffff:10.1.2.3", True),
            ("::ffff:10.1.2.3", "[::ffff:0a01:203]:443", True),
            ("10.1.2.3", "::ffff:10.0.0.0/104", True),
            ("11.1.2.3", "::ffff:10.0.0.0/104", False),
            ("10.1.2.3", "::/0", False),
            ("::1", "*", True),
            ("::1", "localhost", False),
        ],
    )
    def test_addresses(self, host: str, no_proxy: str, exempt: object) -> None:
        """IPv4 and IPv6 addresses and networks, with and without brackets and ports."""
        assert is_exempt(host, 443, no_proxy) is exempt

    @pytest.mark.parametrize(
        ("no_proxy", "exempt"),
        [
            ("xn--mnchen-3ya.test", True),
            ("XN--MNCHEN-3YA.test:443", True),
            ("münchen.test", True),
            ("MÜNCHEN.test.:443", True),
            ("*.mu\u0308nchen.test", True),
            (".münchen\u3002test", True),
            ("münchen.test:80", False),
            ("munchen.test,ünchen.test,-ü.test,*ünchen.test", False),
        ],
    )
    def test_internationalized_names(self, no_proxy: str, exempt: object) -> None:
        """Base URLs have the form `xn--…`; entries may have either form."""
        assert is_exempt("xn--mnchen-3ya.test", 443, no_proxy) is exempt

    def test_which_variable_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The https proxy precedes the one for all, lower case upper case; blank ones are ignored."""
        monkeypatch.setenv("ALL_PROXY", "all.test")
        assert str(proxy_for(API)) == "http://all.test:80 (ALL_PROXY)"
        monkeypatch.setenv("HTTPS_PROXY", " ")
        assert str(proxy_for(API)) == "http://all.test:80 (ALL_PROXY)"
        monkeypatch.setenv("HTTPS_PROXY", "https://upper.test")
        assert str(proxy_for(API)) == "https://upper.test:443 (HTTPS_PROXY)"
        monkeypatch.setenv("https_proxy", "http://ann:hunter2@[::1]:3128")
        found = proxy_for(API)
        assert str(found) == "http://[::1]:3128 (https_proxy)"
        assert "hunter2" not in repr(found)
        monkeypatch.setenv("no_proxy", "api.test")
        assert proxy_for(API) is None

    def test_settings_of_the_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On macOS and Windows, system settings apply if no variable is set."""
        monkeypatch.setattr(proxies, "getproxies", lambda: {"https": "http://system.test:3128"})
        monkeypatch.setattr(proxies, "proxy_bypass", lambda host: host == "exempt.test")
        assert str(proxy_for(API)) == "http://system.test:3128 (the proxy settings of this system)"
        assert proxy_for("https://exempt.test/v1") is None


def test_a_view_and_a_copy_keep_the_route(secure: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view uses the proxy of its client; the environment is read when a client is created."""
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with Enprompta(api_key="ep_x", base_url=secure.base_url, limiter=None) as client:
            monkeypatch.setenv("HTTPS_PROXY", "nonsense://")
            client.with_options(timeout=3).prompts.get("p1")
        assert proxy.asked


def test_a_tls_context_is_not_shared_with_plain_addresses() -> None:
    """A client of a plain-http address loads no certificates, which would dominate its creation."""
    from enprompta._http.route import route_to

    route = route_to("http://127.0.0.1:8000")
    assert route.proxy is None
    assert isinstance(route.tls, ssl.SSLContext)
    assert route.tls.cert_store_stats()["x509"] == 0


@pytest.mark.parametrize("kind", [Enprompta, AsyncEnprompta])
def test_a_proxy_that_is_not_utf_8_is_refused(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that is not UTF-8 in the proxy's variable is a configuration error that names the variable."""
    monkeypatch.setenv("HTTPS_PROXY", "http://\udcff:hunter2@127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is not UTF-8") as caught:
        kind(api_key="ep_x", base_url="https://127.0.0.1:9/api/v1")
    assert "hunter2" not in str(caught.value)
