"""The listener and the command's entry, run in this process."""

from __future__ import annotations

import io
import os
import signal
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
import rich

from enprompta import __version__
from enprompta.cli import console, main, webhook_listener
from enprompta.cli.commands import webhooks
from enprompta.cli.webhook_listener import Listener, why_refused
from enprompta.testing import WEBHOOK_SECRET, WebhookDelivery, webhook_delivery
from enprompta.webhooks import Reply

if TYPE_CHECKING:
    from collections.abc import Callable


def run(listening: Listener, *steps: Callable[[httpx.Client], object], stop: signal.Signals = signal.SIGTERM) -> None:
    """Run a listener on this thread and the steps on another, then stop it with a signal."""

    def act() -> None:
        try:
            with httpx.Client(base_url=listening.url, trust_env=False, timeout=10) as client:
                for step in steps:
                    step(client)
        finally:
            os.kill(os.getpid(), stop)

    thread = threading.Thread(target=act)
    # Listening has begun when the listener was made; the signal cannot come before its handler is there, for a step
    # has been answered by then.
    thread.start()
    with pytest.raises(KeyboardInterrupt if stop == signal.SIGINT else SystemExit) as ended:
        listening.run()
    assert isinstance(ended.value, KeyboardInterrupt) or ended.value.code == 0
    thread.join()


def post(delivery: WebhookDelivery, status: int) -> Callable[[httpx.Client], None]:
    """Make a step that posts a delivery and checks the response."""

    def step(client: httpx.Client) -> None:
        assert client.post("/", **delivery.httpx()).status_code == status

    return step


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_session(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Events are printed with their fields once verified; duplicates and refusals are marked."""
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    good = webhook_delivery("team.member_added", event_id="evt_1")
    text = webhook_delivery("webhook.test", data=None, event_id="evt_2")
    before = signal.getsignal(signal.SIGTERM)
    run(
        Listener(host, 0, [WEBHOOK_SECRET]),
        post(good, 200),
        post(good, 200),
        post(text, 200),
        post(webhook_delivery({"event": "new", "data": 7}), 200),
        post(webhook_delivery(secret="other"), 401),
        lambda client: client.get("/"),
        lambda client: client.head("/"),
        lambda client: client.post("/", content=iter([b"chunked"])),
    )
    assert signal.getsignal(signal.SIGTERM) is before
    printed = capsys.readouterr().out
    for expected in (
        "evt_1\n",
        "evt_1  duplicate",
        "ada@example.com",
        "evt_2\n",
        "data  7",
        "refused 401",
        "this request used HEAD",
    ):
        assert expected in printed
    assert printed.endswith("Stopped: 3 events, 4 refused.\n")
    assert ("[::1]:" in printed) is (host == "::1")


def test_a_sender_that_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    """Half a body, an oversized body and a reset connection do not end a session."""

    def raw(client: httpx.Client, request: bytes, *, reset: bool = False) -> None:
        port = client.base_url.port
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1000)

    run(
        Listener("127.0.0.1", 0, [WEBHOOK_SECRET]),
        lambda client: raw(client, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"),
        lambda client: raw(client, b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"),
        lambda client: raw(client, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", reset=True),
        post(webhook_delivery(), 200),
    )
    captured = capsys.readouterr()
    assert "refused 413" in captured.out
    assert captured.err == ""


def test_an_event_that_is_being_handled(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A signed delivery is refused while the same event is being handled."""
    listening = Listener("127.0.0.1", 0, [WEBHOOK_SECRET])
    busy = Reply(503, b"{}")
    monkeypatch.setattr(listening._receiver, "handle", lambda *_: busy)
    run(listening, post(webhook_delivery(), 503))
    assert "refused 503  The same event is being handled right now" in capsys.readouterr().out


def test_why_two_signatures_are_refused() -> None:
    """Two signatures are the reason, even if both are valid."""
    delivery = webhook_delivery()
    signature = delivery.headers["X-Enprompta-Signature"]
    assert "more than one" in why_refused(delivery.body, [signature] * 2, [WEBHOOK_SECRET])


def test_a_pipe_gets_only_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C adds no empty line to output that is not a terminal."""
    run(Listener("127.0.0.1", 0, [WEBHOOK_SECRET]), post(webhook_delivery(), 200), stop=signal.SIGINT)
    assert "\n\nStopped" not in capsys.readouterr().out


def test_a_terminal_gets_its_line_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the ^C that the terminal shows, the summary starts on a new line."""
    written = io.StringIO()
    terminal = rich.console.Console(force_terminal=True, file=written)
    monkeypatch.setattr(webhook_listener, "out", terminal)
    run(Listener("127.0.0.1", 0, [WEBHOOK_SECRET]), post(webhook_delivery(), 200), stop=signal.SIGINT)
    assert "\n\nStopped: 1 events" in console.Text.from_ansi(written.getvalue()).plain


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["--nonsense"], 2)])
def test_main_gives_the_exit_status(
    arguments: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process exits with the status of the command."""
    monkeypatch.setattr(sys, "argv", ["enprompta", *arguments])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    assert (ended.value.code or 0) == status
    assert status or __version__ in capsys.readouterr().out


def test_main_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the extra's packages, one line says what to install."""
    for name in [each for each in sys.modules if each.startswith("enprompta.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert main() == 1
    assert 'pip install "enprompta[cli]"' in capsys.readouterr().err


def test_listen_serves_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command listens on the given address."""
    urls: list[str] = []
    monkeypatch.setattr(Listener, "run", lambda self: urls.append(self.url) or self._server.server_close())
    webhooks.listen(secret=[WEBHOOK_SECRET], port=0, host="127.0.0.1")
    assert urls[0].startswith("http://127.0.0.1:")


def test_verify_asks_a_person_for_the_body(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal, a line says which input is expected."""
    delivery = webhook_delivery(event_id="evt_1")
    terminal = io.TextIOWrapper(io.BytesIO(delivery.body))
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    webhooks.verify(signature=delivery.headers["X-Enprompta-Signature"], secret=[WEBHOOK_SECRET])
    captured = capsys.readouterr()
    assert "Ctrl-D" in captured.err
    assert "verified" in captured.out
