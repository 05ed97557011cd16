"""Credentials appear nowhere around the clients: runs, caches, telemetry, receivers, commands."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from enprompta import APIError, Enprompta, EnpromptaError
from enprompta.batch import Budget
from enprompta.cache import Fallback
from enprompta.emulator import Emulator
from enprompta.errors import WebhookError
from enprompta.webhooks import Deduplicator, SQLiteStore, WebhookReceiver, construct_event, sign
from tests.faults.server import FaultServer, Peer, answer
from tests.secrets.printed import (
    CLIENT_SECRET,
    CREDENTIALS,
    KEY,
    PASSWORD,
    WEBHOOK_SECRET,
    Printed,
    assert_clean,
    echoing,
    forms,
    with_token,
    wrong,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.flavours import Waits

COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_a_run_of_many(credentials: dict[str, Any], printed: Printed, waits: Waits, tmp_path: Path) -> None:
    """Results, progress and the checkpoint of rows that failed at an echoing server."""
    with FaultServer() as server:
        server.play(then=with_token(echoing(400, wrong)))
        with Enprompta(base_url=server.base_url, limiter=None, **credentials) as client:
            run = client.prompts.execute_many(
                "p1", [{"n": 1}, {"n": 2}], checkpoint=tmp_path / "run.db", budget=Budget(credits=5)
            )
            for result in run:
                printed.all_of(result)
                printed.all_of(result.error)
            for it in (run, run.progress, run.resume_hint):
                printed.all_of(it)
    for path in tmp_path.iterdir():
        printed.append(f"{path} {path.read_bytes().decode(errors='replace')}")
    assert any("bad credential <secret>" in text for text in printed)


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_prompts_kept_on_disk(credentials: dict[str, Any], printed: Printed, waits: Waits, tmp_path: Path) -> None:
    """Snapshots, their names, the cache's repr and its log, while the service echoes and a fallback is used."""
    prompt = json.dumps({"success": True, "data": {"id": "p1", "slug": "hi", "content": "v1"}}).encode()
    with FaultServer() as server:
        options: dict[str, Any] = {"base_url": server.base_url, "limiter": None, "cache_dir": tmp_path, **credentials}
        with Enprompta(**options) as client:
            server.play(then=with_token(lambda peer: (peer.read(), peer.send(answer(200, prompt)))))
            printed.all_of(client.prompts.get_live("hi"))
            server.play(then=with_token(echoing(503, wrong)))
            printed.all_of(client.prompts.get_live("other", fallback="instead"))
            with pytest.raises(APIError) as caught:
                client.prompts.get_live("third")
            printed.all_of(caught.value)
            for it in (client.live_cache, client.live_cache.metrics, Fallback):
                printed.all_of(it)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    printed += [f"{path} {path.read_bytes().decode(errors='replace')}" for path in files]


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_telemetry(credentials: dict[str, Any], printed: Printed, waits: Waits) -> None:
    """Spans, events and metrics of calls that fail and are retried."""
    pytest.importorskip("opentelemetry.sdk")
    from tests.hooks.test_otel import Telescope

    telescope = Telescope()
    with FaultServer() as server:
        for play in (echoing(503, wrong), echoing(400, wrong), Peer.reset):
            server.play(then=with_token(play))
            options: dict[str, Any] = {"base_url": server.base_url, "limiter": None, "max_retries": 1, **credentials}
            with Enprompta(**options, hooks=[telescope.hooks]) as client, suppress(EnpromptaError):
                client.prompts.get("p1")
    assert len(telescope.spans) == 3  # one a call, with an event for each of its attempts
    assert sum(len(span.events) for span in telescope.spans) >= 5
    printed += [span.to_json() for span in telescope.spans]
    printed.append(telescope.reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    printed.all_of(telescope.hooks)


def test_deliveries_that_are_refused(printed: Printed, tmp_path: Path) -> None:
    """Errors, replies, logs and the store of a receiver, for bodies and signatures of every wrong kind."""

    class Broken:
        """A store that fails and shows its argument."""

        def claim(self, *arguments: object) -> Any:
            """Fail."""
            raise OSError(*arguments)

        complete = release = claim

    store = SQLiteStore(tmp_path / "events.db")
    body = json.dumps({"id": "evt_1", "event": "prompt.executed", "created_at": "never", "data": {}}).encode()
    good = body.replace(b"never", b"2030-01-01T00:00:00Z")
    printed.variables = False  # `construct_event` is given the secret
    signatures = [
        sign(body, WEBHOOK_SECRET),
        sign(good, WEBHOOK_SECRET),
        sign(body, "other"),
        "",
        "sha256=",
        "\xff",
        "a" * 9999,
    ]
    for receiver in (
        WebhookReceiver(WEBHOOK_SECRET, store=store),
        WebhookReceiver([WEBHOOK_SECRET, "new"], store=Broken(), max_body=len(good)),
    ):

        @receiver.on("*")
        def fail(event: Any) -> None:
            raise ValueError(event)

        for payload in (body, good, b"", b"[", good + b" "):
            for signature in signatures:
                printed.all_of(receiver.handle(payload, {"X-Enprompta-Signature": signature}))
                try:
                    construct_event(payload, signature, WEBHOOK_SECRET)
                except WebhookError as error:
                    printed.all_of(error)
        for it in (receiver, receiver.asgi, vars(receiver), receiver._deliveries, Deduplicator(store)):
            printed.all_of(it)
    store.close()
    printed += [path.read_bytes().decode(errors="replace") for path in tmp_path.iterdir()]


def test_a_limiter_that_cannot_reach_its_redis(printed: Printed, waits: Waits) -> None:
    """The password in its URL is absent from its repr, its log and the errors of its calls."""
    pytest.importorskip("redis")
    from enprompta.limiters import RedisLimiter

    limiter = RedisLimiter(f"redis://me:{quote(PASSWORD, safe='')}@127.0.0.1:1/0")
    with FaultServer() as server:
        server.play(then=echoing(400, wrong))
        with Enprompta(api_key=KEY, base_url=server.base_url, limiter=limiter) as client:
            with pytest.raises(EnpromptaError) as caught:
                client.prompts.get("p1")
            for it in (caught.value, limiter, client, client._account, vars(client._account)):
                printed.all_of(it)
    printed.all_of(pickle.loads(pickle.dumps(limiter)))


@pytest.mark.parametrize(
    ("arguments", "level"),
    [("doctor", "info"), ("prompts get p1", "debug"), ("--debug prompts list --json", "debug")],
)
def test_commands_that_fail(arguments: str, level: str, tmp_path: Path) -> None:
    """The output and the log of a command at every level are clean when a response echoes secrets."""
    with FaultServer() as server:
        server.play(then=with_token(echoing(403, wrong)))
        for settings in (
            {"ENPROMPTA_API_KEY": KEY},
            {"ENPROMPTA_CLIENT_ID": "me", "ENPROMPTA_CLIENT_SECRET": CLIENT_SECRET},
        ):
            environ = {
                **os.environ,
                "ENPROMPTA_BASE_URL": server.base_url,
                "ENPROMPTA_LOG": level,
                "COLUMNS": "500",
                **settings,
            }
            command = [*COMMAND, *arguments.split()]
            done = subprocess.run(
                command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode in {1, 2}, done.stderr
            assert done.stdout + done.stderr
            assert_clean(done.stdout + done.stderr)


def test_the_emulator_and_its_upstream(printed: Printed) -> None:
    """The upstream's credentials, which it echoes, are in no execution, error or log."""

    def play(peer: Peer) -> None:
        received = peer.read()
        assert received.headers["authorization"] == f"Bearer {PASSWORD}"
        text = " ".join(forms(PASSWORD))
        peer.send(answer(401, json.dumps({"error": {"message": text}}).encode(), [("X-Echo", text)]))

    def ask(upstream: str, key: str | None, shown: str) -> None:
        with (
            Emulator(upstream=upstream, upstream_key=key) as emulator,
            Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client,
        ):
            prompt = client.prompts.create(title="t", content="c")
            execution = client.prompts.execute(prompt.id, provider="ollama", model="m")
            assert shown in execution.error
            printed.all_of(execution)
            printed.all_of(emulator)

    with FaultServer() as server:
        server.play(then=play)
        ask(server.base_url.removesuffix("/api/v1"), PASSWORD, "<secret>")
        assert server.received
    ask(f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:1", None, "http://127.0.0.1:1/v1 failed")
