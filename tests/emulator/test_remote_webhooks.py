"""Events are delivered to this machine only, unless others are allowed, so they cannot scan a network."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from tests.emulator.flows import data, only_delivery, run, subscribe
from tests.emulator.receivers import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.emulator.conftest import Clock


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Resolve names from a dict, and let no connection leave this machine."""
    known: dict[str, list[str]] = {}
    look_up, connect = socket.getaddrinfo, asyncio.open_connection

    def answer(host: str, port: Any, *rest: Any, **options: Any) -> Any:
        addresses = known.get(host)
        if addresses is None:
            return look_up(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    async def guarded(host: str, *rest: Any, **options: Any) -> Any:
        if not host.startswith(("127.", "::1", "::ffff:127.")):
            known.setdefault("connected", []).append(host)
            raise ConnectionRefusedError
        return await connect(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(asyncio, "open_connection", guarded)
    return known


@pytest.mark.parametrize(
    "host",
    [
        *("192.0.2.1", "[2001:db8::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "[::]", "[::ffff:192.0.2.1]"),
        *("3221225985", "0xc0000201", "public.example", "mixed.example", "mixed6.example"),
    ],
)
def test_nothing_is_sent_to_another_machine(
    client: httpx.Client, names: dict[str, list[str]], host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery to a host with any address beyond loopback fails unsent; the log says how to allow it."""
    names["public.example"] = ["192.0.2.1"]
    names["mixed.example"] = ["127.0.0.1", "192.0.2.1"]
    names["mixed6.example"] = ["::1", "2001:db8::1"]
    with caplog.at_level(logging.WARNING, "enprompta.emulator"):
        webhook = subscribe(client, f"http://user:s3cr3t-word@{host}:8080/admin")
        run(client)
        delivery = only_delivery(client, webhook, "FAILED")
    assert (delivery["attempts"], delivery["responseStatus"], delivery["latencyMs"]) == (0, None, None)
    assert "connected" not in names
    assert "--allow-remote-webhooks" in caplog.text
    assert "s3cr3t-word" not in caplog.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.8.9.10", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "here.example"]
)
def test_loopback_is_sent_to_however_it_is_written(
    client: httpx.Client, names: dict[str, list[str]], host: str
) -> None:
    """A name, address or number with only loopback addresses is accepted."""
    names["here.example"] = ["127.0.0.1"]
    names["localhost"] = ["127.0.0.1"]
    with Receiver(host="127.0.0.1") as receiver, Receiver(host="127.8.9.10") as other:
        url = (other if host == "127.8.9.10" else receiver).url
        webhook = subscribe(client, url.replace("127.0.0.1", host))
        run(client)
        assert only_delivery(client, webhook, "DELIVERED")["responseStatus"] == 200


def test_a_name_is_looked_up_once(client: httpx.Client, names: dict[str, list[str]], monkeypatch: Any) -> None:
    """The checked address is the one connected to, so DNS rebinding has no effect."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **options: Any) -> Any:
        if host != "rebinding.example":
            return look_up(host, *rest, **options)
        asked.append(host)
        names[host] = ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with Receiver() as receiver:
        webhook = subscribe(client, receiver.url.replace("127.0.0.1", "rebinding.example"))
        run(client)
        only_delivery(client, webhook, "DELIVERED")
    assert len(asked) == 1
    assert "connected" not in names


def test_a_redirect_is_an_answer(client: httpx.Client, clock: Clock, names: dict[str, list[str]]) -> None:
    """A redirect is a failed attempt and is not followed."""
    with Receiver(lambda _: 302) as receiver, Emulator(clock=clock, webhook_backoff=()) as emulator:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        client.base_url, client.headers = emulator.url, headers  # type: ignore[assignment]
        webhook = subscribe(client, receiver.url)
        run(client)
        assert only_delivery(client, webhook, "FAILED")["responseStatus"] == 302
        assert len(receiver.received) == 1
    assert "connected" not in names


def test_other_machines_can_be_allowed(
    clock: Clock, connect: Callable[..., httpx.Client], names: dict[str, list[str]]
) -> None:
    """With `allow_remote_webhooks` a delivery to another machine is attempted."""
    with Emulator(clock=clock, webhook_backoff=(), allow_remote_webhooks=True) as emulator:
        client = connect(emulator)
        webhook = subscribe(client, "http://192.0.2.1:8080/hook")
        run(client)
        assert only_delivery(client, webhook, "FAILED")["attempts"] == 1
        assert data(client.get(f"/webhooks/{webhook['id']}"))["failureCount"] == 1
    assert names["connected"] == ["192.0.2.1"]
