"""Access to the Workbench: only a browser on this machine that has opened the printed link."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from enprompta.exchanges import Exchange, TimelineEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.workbench.conftest import Workbench

pytestmark = pytest.mark.step("workbench")


@pytest.fixture
def visitor(running: Workbench) -> Iterator[httpx.Client]:
    """A client that has opened the link."""
    with httpx.Client(base_url=running.origin) as one:
        assert one.get(running.addresses.url).status_code == 200
        yield one


def ask(running: Workbench, *lines: str) -> str:
    """Send raw request lines, and return the first line of the response."""
    port = urlsplit(running.origin).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
        request = "\r\n".join(line.replace("PORT", str(port)) for line in (*lines, "Connection: close", "", ""))
        connection.sendall(request.encode("latin-1"))
        return connection.makefile("rb").readline().decode().strip()


def test_the_link_sets_a_cookie_and_the_token_is_not_kept_in_the_address(running: Workbench) -> None:
    """Only the right token sets the cookie, which scripts cannot read and other sites do not send."""
    token = parse_qs(urlsplit(running.addresses.url).query)["token"][0]
    assert len(token) >= 32
    for address in ("/", "/?token=", "/?token=wrong", f"/?token={token[:-1]}", f"/?token={token}x", "/?token=%FF"):
        refused = httpx.get(running.origin + address)
        assert refused.status_code == 401
        assert "set-cookie" not in refused.headers
        assert token not in refused.text
    entered = httpx.get(running.addresses.url)
    assert re.search(r"HttpOnly; SameSite=Strict; Path=/$", entered.headers["set-cookie"])
    assert token not in entered.headers["set-cookie"] + entered.text
    assert 'content="0;url=/"' in entered.text


@pytest.mark.parametrize(
    "path", ["/", "/requests", "/keys", "/_nicegui/3.18.0/static/nicegui.js", "/workbench-static/workbench.js", "/none"]
)
def test_nothing_is_served_without_the_cookie(running: Workbench, visitor: httpx.Client, path: str) -> None:
    """Pages and files need the cookie; wrong, foreign and broken cookies do not help."""
    assert httpx.get(running.origin + path).status_code == 401
    port = urlsplit(running.origin).port
    for cookie in (f"enprompta_workbench_{port}=wrong", f"other={next(iter(visitor.cookies.values()))}", '=;=,;\\"'):
        assert httpx.get(running.origin + path, headers={"Cookie": cookie}).status_code == 401
    assert visitor.get(path).status_code in {200, 404}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "evil.example:PORT",
        "127.0.0.1:PORT.evil.example",
        "0.0.0.0:PORT",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/relay/api/v1/prompts", "/report/x"])
def test_other_hosts_are_refused(running: Workbench, host: str, path: str) -> None:
    """A request that names another host is a 421, also for programs: names that resolve to this machine do not help."""
    assert " 421 " in ask(running, f"GET {path} HTTP/1.1", f"Host: {host}")
    assert ask(running, f"GET http://evil.example{path} HTTP/1.1", "Host: 127.0.0.1:PORT").split()[1] in {
        "421",
        "401",
        "404",
    }


def test_other_origins_are_refused(running: Workbench, visitor: httpx.Client) -> None:
    """Pages of other sites are refused although the browser would send the cookie."""
    for origin in (
        "http://evil.example",
        "null",
        "https://127.0.0.1:1",
        running.origin.replace("http", "https"),
        running.origin + "0",
    ):
        assert visitor.get("/", headers={"Origin": origin}).status_code == 403
    assert visitor.get("/", headers={"Origin": running.origin}).status_code == 200


def test_programs_addresses_are_not_for_pages(running: Workbench) -> None:
    """The relay and the reports refuse requests of web pages, of the Workbench's origin too."""
    for path in ("/relay/api/v1/prompts", urlsplit(running.addresses.report_url).path):
        for headers in (
            {"Origin": running.origin},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-origin"},
        ):
            assert httpx.post(running.origin + path, headers=headers).status_code == 403


def test_the_websocket_is_checked_too(running: Workbench, visitor: httpx.Client) -> None:
    """A websocket needs the cookie and the Workbench's origin; without one of them it is not opened."""
    cookie = "Cookie: " + "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    own = f"Origin: {running.origin}"

    def upgraded(*headers: str) -> str:
        port = urlsplit(running.origin).port
        with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
            lines = (
                "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
                f"Host: 127.0.0.1:{port}",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                *headers,
            )
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            return connection.makefile("rb").readline().decode().split()[1]

    assert upgraded(cookie, own) == "101"
    for headers in (
        (),
        (own,),
        (cookie,),
        (cookie, "Origin: http://evil.example"),
        (cookie, own, "Origin: http://evil.example"),
    ):
        assert upgraded(*headers) in {"403", "400"}


def test_pages_have_a_strict_policy(visitor: httpx.Client) -> None:
    """Every response forbids frames and foreign content; inline scripts run only with the page's own nonce."""
    first, second = visitor.get("/"), visitor.get("/")
    policies = [
        dict(part.strip().partition(" ")[::2] for part in one.headers["content-security-policy"].split(";"))
        for one in (first, second)
    ]
    nonces = [re.search(r"'nonce-([\w-]{16,})'", one["script-src"]) for one in policies]
    assert nonces[0]
    assert nonces[1]
    assert nonces[0][1] != nonces[1][1]
    assert "'unsafe-inline'" not in policies[0]["script-src"]
    assert (
        policies[0]["default-src"]
        == policies[0]["frame-ancestors"]
        == policies[0]["base-uri"]
        == policies[0]["form-action"]
        == "'none'"
    )
    scripts = re.findall(r"<script[^>]*>", first.text)
    assert scripts
    assert all(f'nonce="{nonces[0][1]}"' in one for one in scripts)
    for path in ("/", "/workbench-static/workbench.css", "/none"):
        headers = visitor.get(path).headers
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert headers["referrer-policy"] == "no-referrer"
    assert first.headers["cache-control"] == "no-store"


REPORTS: list[Any] = [
    b"",
    b"{",
    b"{}",
    b"[1]",
    b"[{}]",
    b'[{"exchange": 1}]',
    b'[{"exchange": {}}]',
    b'[{"exchange": {"id": 0, "at": 1, "method": "GET", "path": "/", "request_headers": [1]}}]',
    b'[{"call": "c", "attempt": 1, "event": {"kind": "other", "at": 1, "seconds": 1, "text": ""}}]',
    b'[{"call": "c", "attempt": "x", "event": {"kind": "wait", "at": 1, "seconds": 1, "text": ""}}]',
    b"[" * 100_000,
    b"\xff",
]


@pytest.mark.parametrize("body", REPORTS, ids=range(len(REPORTS)))
def test_broken_reports_are_refused(running: Workbench, body: bytes) -> None:
    """A report that no hook would send is a 400, and adds nothing."""
    before = running.session.log.revision
    answer = httpx.post(running.addresses.report_url, content=body)
    assert answer.status_code in {400, 204}
    assert answer.status_code == 400 or body == b"{}"
    assert running.session.log.revision == before


def test_reports_need_their_secret_address_and_have_a_limit(running: Workbench) -> None:
    """Another address is a 404; a report of 17 MB is a 413."""
    assert httpx.post(f"{running.origin}/report/guess", json=[]).status_code == 404
    assert httpx.post(running.addresses.report_url, content=b" " * 17_000_000).status_code == 413
    report = {
        "exchange": Exchange(
            5, 1.0, "GET", "/reported", source="relay", timeline=(TimelineEvent("wait", 1.0),)
        ).to_json()
    }
    assert httpx.post(running.addresses.report_url, json=[report]).status_code == 204
    stored = running.session.log.search(limit=1)[0]
    assert (stored.path, stored.source) == ("/reported", "program")
    assert json.dumps(stored.to_json())


def test_without_a_relay_its_address_says_so(running: Workbench) -> None:
    """A Workbench without --relay forwards nothing."""
    answer = httpx.get(f"{running.origin}/relay/api/v1/prompts")
    assert (answer.status_code, "--relay" in answer.text) == (404, True)


def test_the_account_is_switched_to_known_accounts_only(running: Workbench) -> None:
    """The session keeps its client when the name is unknown."""
    before = running.session.client
    asyncio.run(running.session.use("root"))
    assert running.session.client is before
