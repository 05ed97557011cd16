"""Hostile and broken receivers cannot harm the emulator."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from tests.emulator.flows import data, deliveries, only_delivery, run, subscribe
from tests.emulator.receivers import Hostile, Receiver, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulator.conftest import Clock

CRLF = b"\r\n"


def never(connection: socket.socket) -> None:
    """Never respond."""
    connection.recv(1)


def sending(*pieces: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    """Send something, then repeat its last piece forever."""

    def treat(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while True:
            connection.sendall(pieces[-1])
            time.sleep(pause)

    return treat


def saying(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Send something and close."""

    def treat(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_RDWR)

    return treat


HEAD = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "never answers": (never, None),
    "closes": (saying(), None),
    "drips its head": (sending(HEAD, b"X: y\r\n", pause=0.05), None),
    "has a head without end": (sending(HEAD, b"X: " + b"y" * 4096 + CRLF), None),
    "has a line without end": (sending(HEAD + b"X: ", b"y" * 65536), None),
    "never comes to its answer": (sending(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000), None),
    "drips bytes that end no line": (sending(b"H", b"T", pause=0.05), None),
    "is no web server": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), None),
    "answers 600": (saying(b"HTTP/1.1 600 What\r\n\r\n"), None),
    "breaks off its head": (saying(HEAD + b"X: y"), None),
    "has a body without end": (sending(HEAD + CRLF, b"x" * 65536), 200),
    "drips a body": (sending(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x", pause=0.05), 200),
    "breaks off its body": (saying(HEAD + b"Content-Length: 1000000\r\n\r\nx"), 200),
    "redirects to itself": (saying(b"HTTP/1.1 308 Here\r\nLocation: /hook\r\n\r\n"), 308),
    "says what is to come": (saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 \r\n\r\n"), 204),
}


@pytest.mark.parametrize(("treat", "status"), HOSTILE.values(), ids=HOSTILE)
def test_every_attempt_ends(
    treat: Callable[[socket.socket], None], status: int | None, clock: Clock, connect: Any
) -> None:
    """The attempt ends in time, with the status if there was one, and the API stays responsive."""
    with Hostile(treat) as hostile, Emulator(clock=clock, webhook_backoff=(), webhook_timeout=0.3) as emulator:
        client = connect(emulator)
        webhook = subscribe(client, hostile.url)
        for _ in range(3):
            run(client)
        slowest = 0.0

        def all_ended() -> list[dict[str, Any]] | None:
            nonlocal slowest
            started = time.monotonic()
            found = deliveries(client, webhook)
            slowest = max(slowest, time.monotonic() - started)
            return found if all(it["status"] in {"DELIVERED", "FAILED"} for it in found) else None

        ended = until(all_ended, seconds=5)
        arrived = status is not None and status < 300
        assert {it["status"] for it in ended} == {"DELIVERED" if arrived else "FAILED"}
        assert {it["responseStatus"] for it in ended} == {status}
        assert {it["attempts"] for it in ended} == {1}
        assert max(it["latencyMs"] for it in ended) < 1_500
        assert slowest < 0.5


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_without_a_listener(clock: Clock, connect: Any, scheme: str) -> None:
    """A port without a listener, or without TLS for an https URL, is a failed attempt."""
    with Receiver() as receiver, Emulator(clock=clock, webhook_backoff=(0, 0)) as emulator:
        client = connect(emulator)
        url = receiver.url.replace("http", "https") if scheme == "https" else "http://127.0.0.1:1/hook"
        webhook = subscribe(client, url)
        run(client)
        delivery = only_delivery(client, webhook, "FAILED")
    assert (delivery["attempts"], delivery["responseStatus"]) == (3, None)


def test_a_receiver_that_talks_on_is_sent_to_again_meanwhile(clock: Clock, connect: Any) -> None:
    """A retry does not wait until the receiver has finished its last response."""
    drip = sending(b"HTTP/1.1 500 No\r\n\r\n", b"x", pause=0.05)
    with Hostile(drip) as hostile, Emulator(clock=clock, webhook_backoff=(0.0,) * 20) as emulator:
        client = connect(emulator)
        webhook = subscribe(client, hostile.url)
        run(client)
        assert only_delivery(client, webhook, "FAILED")["attempts"] == 21
        retried = client.post(f"/webhooks/{webhook['id']}/deliveries/{deliveries(client, webhook)[0]['id']}/retry")
        assert data(retried)["status"] == "RETRYING"


def test_a_host_that_hangs_holds_up_no_other(clock: Clock, connect: Any) -> None:
    """Behind 300 deliveries to a host that never answers, another host's arrive at once."""
    with Hostile(never) as hostile, Receiver() as receiver, Emulator(clock=clock, webhook_timeout=60) as emulator:
        client = connect(emulator)
        hanging = subscribe(client, hostile.url)
        for _ in range(300):
            data(client.post(f"/webhooks/{hanging['id']}/test"))
        webhook = subscribe(client, receiver.url)
        started = time.monotonic()
        for _ in range(20):
            data(client.post(f"/webhooks/{webhook['id']}/test"))
        until(lambda: len(receiver.received) == 20)
        assert time.monotonic() - started < 2
        assert len(hostile.connections) <= 8


def test_a_name_that_is_slow_to_look_up(clock: Clock, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends in time, and a late result of the name lookup is ignored."""
    answered, real = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "slow.example":
            return real(host, *args, **kwargs)
        time.sleep(0.2)
        answered.set()
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Emulator(clock=clock, webhook_backoff=(), webhook_timeout=0.05) as emulator:
        client = connect(emulator)
        webhook = subscribe(client, "http://slow.example/")
        run(client)
        assert only_delivery(client, webhook, "FAILED")["latencyMs"] < 200
        assert answered.wait(5)
        until(lambda: not any(it.name == "enprompta-emulator-lookup" for it in threading.enumerate()))
        run(client)


def test_it_stops_at_once_with_deliveries_in_flight(
    clock: Clock, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hanging receivers, queued deliveries and slow name servers do not delay the stop."""
    looked_up, real = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.example":
            looked_up.set()
            time.sleep(2)
            raise OSError
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Hostile(never) as hostile, Receiver(lambda _: 500) as failing:
        emulator = Emulator(clock=clock, webhook_backoff=(3600,), webhook_timeout=60)
        emulator.start()
        client = connect(emulator)
        for url in (hostile.url, failing.url, "http://slow.example/"):
            subscribe(client, url)
        run(client)
        until(lambda: hostile.connections and failing.received and looked_up.is_set())
        client.close()
        started = time.monotonic()
        emulator.stop()
        assert time.monotonic() - started < 1
