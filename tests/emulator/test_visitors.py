"""Web pages cannot use the emulator, neither by DNS rebinding nor across origins."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from enprompta.emulator import Emulator
from enprompta.emulator.access.trusted_hosts import Authority, parse_authority
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "Authorization: Bearer ep_test_team"
Ask = Callable[..., httpx.Response] if TYPE_CHECKING else None


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Send a request exactly as written; `PORT` is replaced by the emulator's port."""
    with Emulator(rate_limits=False) as emulator:
        port = str(urlsplit(emulator.url).port)

        def send(*lines: str) -> httpx.Response:
            return raw(int(port), *(line.replace("PORT", port) for line in lines))

        yield send


def raw(port: int, first: str, *headers: str) -> httpx.Response:
    """Send lines to a local port and return the response."""
    head = "\r\n".join([first, *headers, "Connection: close", "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head.encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    return httpx.Response(int(status.split()[1]), headers=pairs, content=body.encode("latin-1"))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:PORT", "localhost", "localhost:PORT", "LocalHost:1", "localhost.", "localhost.:80"),
        *("127.8.9.10:PORT", "[::1]", "[::1]:PORT", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:PORT", "localhost:"),
    ],
)
def test_loopback_names_are_answered_for(ask: Ask, host: str) -> None:
    """Every spelling of this machine's names and addresses is accepted, with any port."""
    assert ask("GET /api/v1/prompts HTTP/1.1", f"Host: {host}", KEY).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("attacker.example", "attacker.example:PORT", "localhost.attacker.example", "127.0.0.1.attacker.example"),
        *("attacker.example.", "notlocalhost", "localhost..", "localhost:99999", "localhost:x", "localhost:-1"),
        *("me@localhost", "localhost@attacker.example", "localhost#attacker.example", "localhost/attacker.example"),
        *("192.0.2.1", "0.0.0.0", "[::]", "[::ffff:192.0.2.1]", "[2001:db8::1]", "[::1", "::1", "[fe80::1%eth0]"),
        *("2130706433", "0x7f000001", "127.1", "0177.0.0.1", "", "localhost, attacker.example", "local\xadhost"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/prompts", "/api/v1/health", "/workbench", "/nothing"])
def test_other_names_are_refused(ask: Ask, host: str, path: str) -> None:
    """A request for another host gets a 421 with the cure, so DNS rebinding fails."""
    refused = ask(f"GET {path} HTTP/1.1", f"Host: {host}", KEY)
    assert refused.status_code == 421
    assert "--allow-host" in refused.json()["error"]["message"]
    assert "x-ratelimit-limit" not in refused.headers


def test_the_host_is_checked_in_every_place_that_names_one(ask: Ask) -> None:
    """A missing, repeated or foreign host is refused; proxy headers are ignored."""
    assert ask("GET /api/v1/health HTTP/1.0").status_code == 421
    assert ask("GET /api/v1/health HTTP/1.1").status_code == 400
    assert ask("GET /api/v1/health HTTP/1.1", "Host: localhost", "Host: attacker.example").status_code == 400
    assert ask("GET http://attacker.example/api/v1/health HTTP/1.1", "Host: localhost").status_code == 421
    assert ask("GET http://localhost/api/v1/health HTTP/1.1", "Host: attacker.example").status_code == 421
    assert ask("GET HTTP://localhost:PORT/api/v1/health?detailed=true HTTP/1.1", "Host: localhost").status_code == 200
    assert ask("GET http://localhost HTTP/1.1", "Host: localhost").status_code == 200
    assert ask("GET //attacker.example/api/v1/health HTTP/1.1", "Host: localhost").status_code == 404
    for header in ("X-Forwarded-Host: localhost", "Forwarded: host=localhost", "X-Original-Host: localhost"):
        assert ask("GET /api/v1/health HTTP/1.1", "Host: attacker.example", header).status_code == 421
    page = ask("GET / HTTP/1.1", "Host: localhost:1", "X-Forwarded-Host: attacker.example").text
    assert "--url http://localhost:1<" in page


@pytest.mark.parametrize(
    "host_headers",
    [
        ("Host: localhost:PORT", "Origin: http://localhost:PORT"),
        ("Host: LOCALHOST:PORT", "Origin: http://localhost:PORT"),
        ("Host: localhost", "Origin: http://localhost:80"),
        ("Host: localhost", "Origin: https://localhost"),
        ("Host: [::1]:PORT", "Origin: http://[::1]:PORT", "Sec-Fetch-Site: same-origin"),
        ("Host: localhost:PORT", "Sec-Fetch-Site: same-origin"),
        ("Host: localhost:PORT", "Sec-Fetch-Site: none"),
        ("Host: localhost:PORT", "Referer: https://attacker.example/"),
    ],
)
def test_pages_of_the_emulator_and_programs_are_accepted(ask: Ask, host_headers: tuple[str, ...]) -> None:
    """The emulator's pages, an address bar and programs without an `Origin` are accepted."""
    assert ask("GET /api/v1/prompts HTTP/1.1", *host_headers, KEY).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        *[
            (f"Origin: {origin}",)
            for origin in (
                *("https://attacker.example", "null", "", "http://localhost:1", "http://127.0.0.1:PORT", "localhost"),
                *("http://localhost.attacker.example:PORT", "http://localhost:PORT.attacker.example", "file://"),
                *("http://localhost", "https://localhost", "http://localhost:PORT/", "chrome-extension://abc"),
                *("http://x@localhost:PORT", "http://localhost:PORT, http://attacker.example"),
            )
        ],
        ("Origin: http://localhost:PORT", "Origin: https://attacker.example"),
        ("Origin: https://attacker.example", "Sec-Fetch-Site: same-origin"),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_pages_of_other_origins_are_refused(ask: Ask, method: str, headers: tuple[str, ...]) -> None:
    """A page of another origin gets a 403 for any method and key, without any effect."""
    refused = ask(f"{method} /api/v1/prompts/none HTTP/1.1", "Host: localhost:PORT", KEY, *headers)
    assert refused.status_code == 403
    assert "another origin" in refused.json()["error"]["message"]
    assert not [name for name in refused.headers if name.startswith("access-control-")]


def test_a_preflight_allows_nothing(ask: Ask) -> None:
    """A preflight request of another origin is refused."""
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
    refused = ask("OPTIONS /api/v1/prompts HTTP/1.1", "Host: localhost", "Origin: https://attacker.example", *asked)
    assert refused.status_code == 403
    assert not [name for name in refused.headers if name.startswith("access-control-")]


def test_a_link_may_lead_to_the_workbench(ask: Ask) -> None:
    """Following a link from another site opens the page, as a top-level document only, and no other path."""
    host, link = "Host: localhost:PORT", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    assert ask("GET /workbench HTTP/1.1", host, *link, "Sec-Fetch-Dest: document").status_code == 200
    assert ask("GET /workbench HTTP/1.1", host, *link, "Sec-Fetch-Dest: iframe").status_code == 403
    assert ask("GET /workbench HTTP/1.1", host, link[0], "Sec-Fetch-Mode: no-cors").status_code == 403
    assert ask("GET /control HTTP/1.1", host, *link, "Sec-Fetch-Dest: document").status_code == 403
    assert ask("GET /api/v1/health HTTP/1.1", host, *link, "Sec-Fetch-Dest: document").status_code == 403


def test_a_refused_visitor_costs_nothing() -> None:
    """A page cannot use up the request budget, spend credits or trigger an injected fault."""
    with Emulator(limits={"team": (2, 2)}) as emulator:
        port = urlsplit(emulator.url).port or 0
        emulator.faults.add("/prompts", status=503, times=1)
        for _ in range(5):
            assert raw(port, "GET /api/v1/prompts HTTP/1.1", "Host: a.example", KEY).status_code == 421
            foreign = "Origin: https://a.example"
            assert raw(port, "GET /api/v1/prompts HTTP/1.1", "Host: localhost", foreign, KEY).status_code == 403
        assert raw(port, "GET /api/v1/prompts HTTP/1.1", "Host: localhost", KEY).status_code == 503
        assert raw(port, "GET /api/v1/prompts HTTP/1.1", "Host: localhost", KEY).status_code == 200


@pytest.mark.parametrize(
    ("settings", "answered", "refused"),
    [
        ({"allowed_hosts": ["Emulator"]}, ["emulator:80", "EMULATOR.", "localhost"], ["emulators", "192.0.2.1"]),
        ({"allowed_hosts": ["192.0.2.7", "::2"]}, ["192.0.2.7:1", "[::2]:1"], ["192.0.2.8", "[::3]"]),
        ({"host": "0.0.0.0"}, ["0.0.0.0:1", "192.0.2.1", "[2001:db8::1]:1", "localhost"], ["a.example"]),
        ({"host": "localhost"}, ["localhost", "127.0.0.1"], ["a.example", "192.0.2.1"]),
    ],
)
def test_hosts_can_be_added(settings: dict[str, object], answered: list[str], refused: list[str]) -> None:
    """`allowed_hosts` and `host` add names; listening everywhere accepts every address."""
    with Emulator(**settings) as emulator:  # type: ignore[arg-type]
        port = urlsplit(emulator.url).port or 0
        for status, hosts in ((200, answered), (421, refused)):
            for host in hosts:
                assert raw(port, "GET /api/v1/health HTTP/1.1", f"Host: {host}").status_code == status, host


@pytest.mark.parametrize("name", ["", "a:1", "http://a", "a b", "*.a/", "[::1"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """An invalid allowed host is an error when the emulator is created."""
    with pytest.raises(ConfigurationError, match="not a host name"):
        Emulator(allowed_hosts=[name])


def test_the_interface_is_not_part_of_the_host() -> None:
    """A link-local listen address may name its interface, which no client sends."""
    Emulator(host="fe80::1%eth0")
    assert parse_authority("[fe80::1]") == Authority("fe80::1", None)
