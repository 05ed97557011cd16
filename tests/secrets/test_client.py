"""Credentials show nowhere: not in errors, their causes and tracebacks, not in logs, reprs, records or warnings.

Everything that a program could print is gathered while calls fail in every way there is, at servers that send back
whatever they were sent; then it is searched for the credentials.
"""

from __future__ import annotations

import base64
import copy
import gc
import html
import json
import logging
import pickle
import time
import warnings
from typing import Any
from urllib.parse import quote

import httpx
import httpx2
import pytest

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta, EnpromptaError
from enprompta._common.redaction import Redactor, mask_for
from enprompta._core.call import Call
from enprompta._http import direct
from enprompta.errors import APIError
from tests.faults.flavours import Caller, Waits, run, settle
from tests.faults.server import FaultServer, Peer, answer, fine
from tests.secrets.printed import (
    CLIENT_SECRET,
    CREDENTIALS,
    KEY,
    SECRETS,
    TOKEN,
    Printed,
    Prying,
    echo,
    echoing,
    forms,
    with_token,
    wrong,
)


def in_other_error(found: list[str]) -> bytes:
    """Echo in every field of the other error formats, with escaped slashes."""
    text = " ".join(found)
    return json.dumps({"error": text, "error_description": text, "message": text, "request_id": text}).replace(
        "/", "\\/"
    ).encode()  # fmt: skip


def in_text(found: list[str]) -> bytes:
    """Echo in a page of a proxy."""
    return f"<html>Your request: Authorization: Bearer {' '.join(found)}</html>".encode()


def in_envelope(found: list[str]) -> bytes:
    """Echo in place of a prompt."""
    return json.dumps({"success": True, "data": {"id": {form: form for form in found}}}).encode()


def broken(peer: Peer) -> None:
    """Answer with an invalid header line and echoes."""
    peer.send(b"HTTP/1.1 200 OK\r\nAuthorization Bearer " + " ".join(echo(peer)).encode() + b"\r\n\r\n")


def bad_gzip(peer: Peer) -> None:
    """Answer with a body that contradicts its header, so that the HTTP library's error holds the request."""
    peer.read()
    peer.send(answer(200, b"no gzip", [("Content-Encoding", "gzip")]))


def no_http(peer: Peer) -> None:
    """Answer with the request, as an echo service does."""
    peer.send(f"Authorization: Bearer {' '.join(echo(peer))}\r\n\r\n".encode())
    peer.close()


STATUSES = [300, 302, 400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 503, 599]
WRITERS = [wrong, in_other_error, in_text, lambda _: b""]
FAULTS: list[Any] = [
    *[pytest.param(echoing(200, write), id=f"200 {write.__name__}") for write in (in_text, in_envelope, wrong)],
    pytest.param(broken, id="broken"),
    pytest.param(no_http, id="no http"),
    pytest.param(bad_gzip, id="bad gzip"),
    pytest.param(Peer.reset, id="reset"),
    pytest.param(Peer.close, id="closed"),
]


async def pry(flavour: str, printed: Printed, server: FaultServer, credentials: dict[str, Any], **options: Any) -> None:
    """Call in several ways and print everything."""
    options = {"base_url": server.base_url, "hooks": [Prying(printed)], "max_retries": 1, **credentials, **options}
    async with Caller(flavour, **options) as caller:
        client = caller.client
        for method in ("GET", "POST"):
            outcome = await caller.outcome(method)
            assert isinstance(outcome, EnpromptaError), outcome
            printed.all_of(outcome)
            if isinstance(outcome, APIError):
                for attempt in outcome.attempts:
                    printed.all_of(attempt)
        for it in (client, client._auth, client._settings, client._plan, client._transport, client.with_raw_response,
                   client.prompts, vars(client._auth).get("_token"), client._account, client._limiter,
                   client.with_options(timeout=3), pickle.loads(pickle.dumps(_plain(client)))):  # fmt: skip
            printed.all_of(it)


def _plain(client: Any) -> Any:
    """Return the client without hooks that hold a test's list."""
    bare = copy.copy(client)
    bare._hooks = ()
    return bare


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("write", WRITERS)
def test_every_status(flavour: str, credentials: dict[str, Any], write: Any, printed: Printed, waits: Waits) -> None:
    """Whatever an error response echoes in its body and headers, the error, its log and its records are clean."""
    for status in STATUSES:
        with FaultServer() as server:
            server.play(then=with_token(echoing(status, write)))
            run(flavour, lambda server=server: pry(flavour, printed, server, credentials))
            sent = {one.headers.get("authorization") for one in server.received}
            assert sent & {f"Bearer {KEY}", f"Bearer {TOKEN}"}
    assert any("<secret>" in text for text in printed)


@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # httpx leaves it to trio after bad gzip
@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_broken_answer(
    flavour: str, credentials: dict[str, Any], fault: Any, printed: Printed, waits: Waits
) -> None:
    """The error of an unreadable response does not show what the response echoes, nor do its causes."""
    with FaultServer() as server:
        server.play(then=with_token(fault))
        run(flavour, lambda: pry(flavour, printed, server, credentials))


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_no_answer(flavour: str, credentials: dict[str, Any], printed: Printed, waits: Waits) -> None:
    """Timeouts, deadlines, and a port that refuses."""
    with FaultServer() as server:
        server.play(then=with_token(Peer.stall))
        run(flavour, lambda: pry(flavour, printed, server, credentials, timeout=0.1))
        run(flavour, lambda: pry(flavour, printed, server, credentials, deadline=0.2))
    with FaultServer(listening=False) as server:
        run(flavour, lambda: pry(flavour, printed, server, credentials))


@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # httpx leaves it to trio after bad gzip
@pytest.mark.parametrize(
    "fault",
    [*[pytest.param(echoing(status, wrong), id=f"{status}") for status in (400, 401, 403, 500)],
     *[pytest.param(echoing(401, write), id=f"401 {write.__name__}") for write in (in_other_error, in_text)],
     *[pytest.param(echoing(200, write), id=f"200 {write.__name__}") for write in (in_text, in_envelope)],
     *FAULTS],
)  # fmt: skip
def test_no_token(flavour: str, fault: Any, printed: Printed, waits: Waits) -> None:
    """A token endpoint fails in any way and echoes the client secret."""
    with FaultServer() as server:
        server.play(then=fault)
        run(flavour, lambda: pry(flavour, printed, server, {"client_id": "me", "client_secret": CLIENT_SECRET}))
        assert server.attempts
    with FaultServer(listening=False) as server:
        run(flavour, lambda: pry(flavour, printed, server, {"client_id": "me", "client_secret": CLIENT_SECRET}))


@pytest.mark.parametrize("access", [f"{TOKEN}\n", [TOKEN], {TOKEN: TOKEN}, f"{TOKEN}ż", ""])
def test_a_token_that_cannot_be_used(access: Any, printed: Printed) -> None:
    """Credentials that a header cannot carry are rejected without being shown."""

    def token(peer: Peer) -> None:
        peer.read()
        peer.send(answer(200, json.dumps({"access_token": access}).encode()))

    with FaultServer() as server:
        server.play(then=token)
        run("sync", lambda: pry("sync", printed, server, {"client_id": "me", "client_secret": CLIENT_SECRET}))


@pytest.mark.parametrize("kind", [Enprompta, AsyncEnprompta])
def test_credentials_that_cannot_be_used(kind: Any, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invalid, incomplete or contradictory credentials are refused without being shown."""
    printed.variables = False  # they are what the constructor was given
    mistakes: list[dict[str, Any]] = [
        {"api_key": f"{KEY}\n"},
        {"api_key": KEY.encode()},
        {"api_key": [KEY]},
        {"api_key": KEY, "client_secret": CLIENT_SECRET},
        {"client_secret": CLIENT_SECRET},
        {"client_id": "me", "client_secret": f" {CLIENT_SECRET}"},
        {"api_key": KEY, "base_url": f"https://{quote(KEY, safe='')}@api.test"},
        {"api_key": KEY, "default_headers": {"Authorization": f"Bearer {KEY}"}},
        {"api_key": KEY, "default_headers": {"X-Key": f"{KEY}\n"}},
        {"api_key": KEY, "timeout": -1},
        {"api_key": KEY, "hooks": [object()]},
        {"api_key": KEY, "http_client": object()},
    ]
    for arguments in mistakes:
        with pytest.raises(ConfigurationError) as caught:
            kind(**arguments)
        printed.all_of(caught.value)
    monkeypatch.setenv("ENPROMPTA_API_KEY", f"{KEY}\r")
    with pytest.raises(ConfigurationError) as caught:
        kind()
    printed.all_of(caught.value)


def test_a_key_that_is_passed_as_an_id(flavour: str, printed: Printed, waits: Waits, caplog: Any) -> None:
    """The path of a call is in its errors, records and log; a key in it is not."""
    caplog.set_level(logging.DEBUG, "enprompta")
    printed.variables = False  # they are what the method was given
    key = "ep_live_mistaken4id"
    with FaultServer() as server:
        server.play(then=echoing(503, wrong))

        async def scenario() -> None:
            options: Any = {"base_url": server.base_url, "hooks": [Prying(printed)], "max_retries": 1, "api_key": key}
            async with Caller(flavour, **options) as caller:
                with pytest.raises(EnpromptaError) as caught:
                    await settle(caller.client.prompts.get(key))
                printed.all_of(caught.value)

        run(flavour, scenario)
    printed += [one.getMessage() for one in caplog.records if one.name == "enprompta"]
    assert "GET /prompts/<secret>" in "".join(printed)
    assert key not in "".join(printed)


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_calls_that_succeed(flavour: str, credentials: dict[str, Any], printed: Printed) -> None:
    """The result, the hook records and the log of a successful call are clean."""
    with FaultServer() as server:
        server.play(then=with_token(fine))

        async def scenario() -> None:
            options: Any = {"base_url": server.base_url, "hooks": [Prying(printed)], **credentials}
            async with Caller(flavour, **options) as caller:
                printed.all_of(await caller.call("GET"))
                printed.all_of(await settle(caller.client.prompts.get("p1")))
                printed.all_of(Call("GET", "/prompts", dict))
                for it in (caller.client, caller.client._auth, caller.client._auth.__dict__.get("_token")):
                    printed.all_of(it)

        run(flavour, scenario)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_the_log_of_a_callers_client(flavour: str, library: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The reason phrase of a response, which httpx logs, is the usual one in calls of this package."""

    def echoes(peer: Peer) -> None:
        peer.read()
        peer.send(f"HTTP/1.1 401 {KEY} is wrong\r\nContent-Length: 0\r\n\r\n".encode())

    async def scenario() -> None:
        own = library.Client() if flavour == "sync" else library.AsyncClient()
        async with Caller(flavour, api_key=KEY, base_url=server.base_url, http_client=own, max_retries=0) as caller:
            assert isinstance(await caller.outcome("GET"), EnpromptaError)
            assert "HTTP/1.1 401 Unauthorized" in caplog.text
            assert KEY not in caplog.text
            await settle(own.get(server.base_url))
            assert f"HTTP/1.1 401 {KEY} is wrong" in caplog.text
        await settle(own.close() if flavour == "sync" else own.aclose())

    caplog.set_level("INFO")
    with FaultServer() as server:
        server.play(then=echoes)
        run(flavour, scenario)


def test_settings_do_not_show_headers(printed: Printed) -> None:
    """The repr of the settings omits headers, which may contain credentials."""
    client = Enprompta(api_key=KEY, default_headers={"X-Gateway-Key": CLIENT_SECRET})
    printed.all_of(client._settings)
    printed.all_of(client)


def test_what_a_pickle_gives(printed: Printed) -> None:
    """An unpickled client shows as little as the original."""
    for client in (
        Enprompta(api_key=KEY),
        AsyncEnprompta(client_id="me", client_secret=CLIENT_SECRET, scopes=["prompts:read"]),
    ):
        arrived: Any = pickle.loads(pickle.dumps(client))
        for it in (
            arrived,
            arrived._auth,
            arrived._plan,
            arrived._settings,
            copy.copy(arrived),
            copy.deepcopy(arrived),
        ):
            printed.all_of(it)


def test_the_warning_of_an_unclosed_client(flavour: str, printed: Printed) -> None:
    """It names only the class and the line that created the client."""
    with FaultServer() as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        async def scenario() -> None:
            kind: Any = Enprompta if flavour == "sync" else AsyncEnprompta
            await settle(kind(api_key=KEY, base_url=server.base_url, limiter=None).prompts.get("p1"))

        run(flavour, scenario)
        gc.collect()
    assert len(caught) == 1
    for warning in caught:
        printed.all_of(warning)
        printed.all_of(warning.message)
        printed.all_of(warning.source)


def test_what_is_written_to_standard_error(
    printed: Printed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], waits: Waits
) -> None:
    """`ENPROMPTA_LOG=debug` writes what the client does, without credentials."""
    monkeypatch.setenv("ENPROMPTA_LOG", "debug")
    logger = logging.getLogger("enprompta")
    before = logger.handlers[:], logger.level
    try:
        with FaultServer() as server:
            server.play(then=with_token(echoing(503, wrong)))
            for credentials in ({"api_key": KEY}, {"client_id": "me", "client_secret": CLIENT_SECRET}):
                run("sync", lambda c=credentials, s=server: pry("sync", printed, s, c))
        written = "".join(capfd.readouterr())
    finally:
        logger.handlers[:], logger.level = before[0], before[1]
    assert " retry call=GET /prompts/p1 " in written
    printed.append(written)


class TestMask:
    def test_every_form_is_hidden(self) -> None:
        """Plain, in JSON and in a URL; in texts, bodies and headers."""
        mask = Redactor(SECRETS)
        for secret in SECRETS:
            for form in forms(secret):
                assert mask.text(f"a {form} b") == "a <secret> b"
                assert mask.body(f"a {form} b".encode()) == b"a <secret> b"

    def test_what_holds_no_secret_is_left_as_it_is(self) -> None:
        """Headers without a secret are the same object; bytes that are not text stay."""
        import httpx

        mask, headers = Redactor(SECRETS), httpx.Headers({"X-A": "1"})
        assert mask.headers(headers) is headers
        assert mask.body(b"\xff\x00") == b"\xff\x00"
        assert not mask.hides(ValueError("nothing"))

    @pytest.mark.parametrize(
        "write",
        [
            lambda it: "".join(f"\\u{ord(one):04X}" for one in it),
            lambda it: json.dumps("".join(f"\\u{ord(one):04x}" for one in it))[1:-1],
            lambda it: "".join(f"\\u{{{ord(one):x}}}" for one in it),
            lambda it: "".join(f"%{ord(one):02x}" for one in it),
            lambda it: quote(quote(it, safe=""), safe=""),
            lambda it: "".join(f"&#{ord(one)};" for one in it),
            lambda it: "".join(f"&amp;#x{ord(one):X};" for one in it),
            html.escape,
            lambda it: "".join(f"\\x{ord(one):02x}" for one in it),
            lambda it: "".join(f"\\{ord(one):03o}" for one in it),
            lambda it: f"{it[:9]}\r\n\t{it[9:]}",
            lambda it: f"{it[:9]}=\n{it[9:]}",
            lambda it: f"{it[:9]}\\n{it[9:]}",
            lambda it: it.encode().hex(),
            lambda it: it.encode().hex().upper(),
        ],
        ids=range(15),
    )
    def test_every_character_may_be_escaped(self, write: Any) -> None:
        """A secret is found with any of its characters escaped, in texts and bodies."""
        mask = Redactor(SECRETS)
        for secret in SECRETS:
            assert mask.text(f"a {write(secret)} b") == "a <secret> b"
            assert mask.body(f'{{"a": "{write(secret)}"}}'.encode("latin-1")) == b'{"a": "<secret>"}'

    def test_base64_is_hidden_at_every_alignment(self) -> None:
        """Text around a secret in base64 shifts it by up to two bytes."""
        for before in (b"", b"u:", b"me:"):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                shown = Redactor([KEY]).text(encode(before + KEY.encode()).decode())
                left = base64.urlsafe_b64decode(
                    shown.replace("+", "-").replace("/", "_").partition("<secret>")[0] + "=="
                )
                assert "<secret>" in shown
                assert len(left) < len(before) + 3

    def test_keys_of_others_are_known_by_their_shape(self) -> None:
        """Keys, webhook secrets and bearer tokens of any account are redacted, also in escaped JSON."""
        mask = Redactor(())
        assert mask.text("key ep_live_abcdef123 and ep_test_abcdef") == "key <secret> and <secret>"
        assert mask.text("whsec_abcdef12 Bearer abcdefghijklmnop==") == "<secret> Bearer <secret>"
        assert mask.text("the ep_live_ prefix, a bearer of news") == "the ep_live_ prefix, a bearer of news"
        body = b'{"\\u0065p_live_abcdef123": ["\\u0065p_live_abcdef123", 1, {"a": null}]}'
        assert json.loads(mask.body(body)) == {"<secret>": ["<secret>", 1, {"a": None}]}
        assert mask.body(json.dumps({"a": "ep_live_abcdef123"}).encode("utf-16")) == b'{"a": "<secret>"}'
        assert mask.body(b'{"a": "\\u00e4"}') == b'{"a": "\\u00e4"}'
        assert mask.body(b"\\u00e4 no JSON") == b"\\u00e4 no JSON"

    def test_a_hostile_body_takes_no_time(self) -> None:
        """Runs of what begins an escape are scanned in linear time."""
        for body in (b"\\" * 300_000, b"%25" * 100_000, b"&amp;" * 60_000, b"\r\n" * 100_000):
            began = time.perf_counter()
            Redactor(SECRETS).body(body)
            assert time.perf_counter() - began < 5

    def test_short_texts_are_no_secrets(self) -> None:
        """Redacting `key` would make messages unreadable and hide nothing."""
        assert Redactor(["key", "", "ep_1"]).text("the key ep_1") == "the key ep_1"
        assert Redactor(["secret-key", "secret-key-2"]).text("secret-key-2") == "<secret>"

    def test_the_mask_of_a_request_knows_what_was_sent(self) -> None:
        """The token of this request is redacted, also after the client has a new one."""
        import httpx

        request = httpx.Request("GET", "https://api.test", headers={"Authorization": f"Bearer {TOKEN}"})
        assert mask_for(request, [CLIENT_SECRET]).text(f"{TOKEN} {CLIENT_SECRET}") == "<secret> <secret>"

    def test_a_cause_is_searched_to_its_end(self) -> None:
        """A secret anywhere in the chain of causes is found."""
        inner, outer = ValueError(KEY), TypeError("harmless")
        outer.__cause__ = inner
        assert Redactor([KEY]).hides(outer)
        outer.__cause__, outer.__context__ = None, inner
        assert Redactor([KEY]).hides(outer)


def test_the_case_of_letters_hides_nothing() -> None:
    """A secret echoed in upper or lower case is redacted, plain and escaped."""
    mask = Redactor(["ep_live_SecretSecret"])
    for echoed in ("EP_LIVE_SECRETSECRET", "ep_live_secretsecret", "\\u0065p_LIVE_SECRETsecret"):
        assert mask.text(f"bad key {echoed}!") == "bad key <secret>!"
    assert Redactor([]).text("EP_TEST_OTHERKEY9") == "<secret>"


@pytest.mark.parametrize("library", [httpx, httpx2, direct])
@pytest.mark.parametrize("value", ["ü".encode(), b"\xff", b"plain"])
def test_headers_beside_a_secret_keep_their_text(library: Any, value: bytes) -> None:
    """A header that echoes a key is redacted, whatever bytes other headers have."""
    headers = library.Headers([(b"X-Note", value), (b"X-Echo", KEY.encode())])
    masked = Redactor([KEY]).headers(headers)
    assert masked["X-Note"] == headers["X-Note"]
    assert KEY not in masked["X-Echo"]
