"""Every client option comes from one table: read, validated, named in errors, copied, pickled and documented."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta import AsyncEnprompta, ConfigurationError, Enprompta
from enprompta._http.settings import SETTINGS, Settings
from enprompta.webhooks import WebhookReceiver, construct_event, sign, verify_signature
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
CLIENTS: Any = pytest.mark.parametrize("kind", [Enprompta, AsyncEnprompta])
CREDENTIALS = {"client_id": "me", "client_secret": "hunter2", "scopes": ("prompts:read",)}


class Hook:
    """A hook, which pickles by its class."""

    def on_response(self, record: object) -> None:
        """Do nothing."""


# A value of each option that is not its default.
OPTIONS: dict[str, Any] = {
    "api_key": "ep_test_hunter2",
    **CREDENTIALS,
    "base_url": "https://api.test/v9",
    "timeout": None,
    "deadline": 7.5,
    "max_retries": 0,
    "max_wait": 3.0,
    "max_response_bytes": 5_000,
    "limiter": None,
    "default_headers": {"X-Team": "blue"},
    "hooks": (Hook(),),
    "cache_dir": "somewhere",
    "http_client": "aiohttp",
}
NOT_SETTINGS = {"api_key", *CREDENTIALS, "limiter", "default_headers", "hooks", "cache_dir", "http_client"}


def options_of(kind: Any) -> set[str]:
    """Return the arguments of a constructor."""
    return set(inspect.signature(kind.__init__).parameters) - {"self"}


def pickled(client: Any) -> Any:
    """Pickle and unpickle."""
    return pickle.loads(pickle.dumps(client))


@CLIENTS
@pytest.mark.parametrize("make", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("left_out", [tuple(CREDENTIALS), ("api_key",)], ids=["key", "oauth"])
def test_a_copy_keeps_every_option(kind: Any, make: Callable[[Any], Any], left_out: tuple[str, ...]) -> None:
    """Each constructor argument survives pickling and copying; a forgotten one fails here."""
    assert options_of(kind) == OPTIONS.keys(), (
        "each argument of the constructors needs a value in OPTIONS of this test that is not the default"
    )
    expected = {name: OPTIONS[name] for name in options_of(kind) if name not in left_out}
    if kind is Enprompta:
        expected["http_client"] = None  # a caller's client is not pickled, and there is no library to name
    client = kind(**expected)
    assert client._arguments().keys() == expected.keys(), (
        "a pickle must have each argument: add a setting to SETTINGS in enprompta/_http/settings.py, any other "
        "argument to `_arguments` in enprompta/_client/base_client.py"
    )
    made = make(client)
    for name, value in made._arguments().items():
        if name == "hooks":
            assert [type(hook) for hook in value] == [Hook]
        elif name == "scopes":
            assert tuple(value) == expected[name]
        else:
            assert value == expected[name], name
    assert vars(made._settings) == vars(client._settings) != vars(Settings())


def test_both_clients_take_the_same_options() -> None:
    """The two constructors have the same arguments in the same order, with the same defaults."""
    blocking, other = (inspect.signature(kind.__init__).parameters.values() for kind in (Enprompta, AsyncEnprompta))
    assert [(one.name, one.kind, one.default) for one in blocking] == [
        (one.name, one.kind, one.default) for one in other
    ]


def test_the_table_has_every_setting() -> None:
    """Each field of `Settings` is in the table; each entry is an argument and a row of the docs."""
    names = {setting.name for setting in SETTINGS}
    assert names == set(Settings.__annotations__) - {"headers", "extensions"}, (
        "each field of Settings needs an entry in SETTINGS of enprompta/_http/settings.py"
    )
    assert names | NOT_SETTINGS == options_of(Enprompta), (
        "each argument of the constructors is an entry of SETTINGS in enprompta/_http/settings.py, which gives it a "
        "variable and a line in `enprompta doctor`; one that a variable cannot express is named in NOT_SETTINGS here"
    )
    page = (ROOT / "docs" / "authentication.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        assert re.search(rf"^\| `{setting.name}`.*\| `{setting.variable}` \|", page, re.MULTILINE), (
            f"add a row for `{setting.name}` and `{setting.variable}` to the table of docs/authentication.md"
        )


@CLIENTS
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENPROMPTA_BASE_URL", "https://api.test/v1?"),
        ("ENPROMPTA_BASE_URL", '"https://api.test/v1"'),
        ("ENPROMPTA_BASE_URL", "http://api.test/v1"),
        ("ENPROMPTA_TIMEOUT", "30s"),
        ("ENPROMPTA_TIMEOUT", "0"),
        ("ENPROMPTA_DEADLINE", "nan"),
        ("ENPROMPTA_DEADLINE", "none"),
        ("ENPROMPTA_MAX_RETRIES", "-1"),
        ("ENPROMPTA_MAX_RETRIES", "2.5"),
        ("ENPROMPTA_MAX_RETRIES", "9" * 5000),
        ("ENPROMPTA_MAX_WAIT", "-1"),
        ("ENPROMPTA_API_KEY", '"ep_hunter2"'),
        ("ENPROMPTA_CLIENT_SECRET", "'hunter2'"),
        ("ENPROMPTA_CLIENT_ID", " me"),
    ],
)
def test_a_variable_that_cannot_work_is_named(
    kind: Any, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error begins with the variable and shows no credentials."""
    if "CLIENT" in variable:
        monkeypatch.setenv("ENPROMPTA_CLIENT_ID", "me")
        monkeypatch.setenv("ENPROMPTA_CLIENT_SECRET", "hunter2")
    else:
        monkeypatch.setenv("ENPROMPTA_API_KEY", "ep_test")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} ") as caught:
        kind()
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value)) < 300


MISTAKES = {
    '"ep_hunter2"': "quotes",
    "'ep_hunter2'": "quotes",
    "`ep_hunter2`": "quotes",
    "\u201cep_hunter2\u201d": "quotes",
    '"ep_hunter2': "quotes",
    ' "ep_hunter2" ': "quotes",
    '"ep_hunter2"\n': "quotes",
    "Bearer ep_hunter2": "Bearer",
    "bearer\tep_hunter2": "Bearer",
    "Authorization: Bearer ep_hunter2": "Bearer",
    "export ENPROMPTA_API_KEY=ep_hunter2": "assignment",
    "ENPROMPTA_API_KEY=ep_hunter2": "assignment",
    "ENPROMPTA_WEBHOOK_SECRET: hunter2": "assignment",
    '$env:ENPROMPTA_API_KEY="ep_hunter2"': "quotes",
    "set ENPROMPTA_API_KEY=ep_hunter2": "assignment",
    "ep_hunter2\n": "line break",
    "ep_hunter2\r\n": "line break",
    " ep_hunter2": "blank",
    "ep_hunter2\u00a0": "blank",
    "\ufeffep_hunter2": "invisible",
    "ep_\u200bhunter2": "invisible",
    "ep_hunter2\0": "invisible",
}


@pytest.mark.parametrize("text", MISTAKES, ids=repr)
def test_a_credential_with_a_mistake_in_it(text: str) -> None:
    """A key, OAuth2 pair or webhook secret with extra characters is refused without being shown."""
    body, signature = b"{}", sign(b"{}", "whsec_x")
    readers: list[Callable[[], object]] = [
        lambda: Enprompta(api_key=text),
        lambda: AsyncEnprompta(api_key=text),
        lambda: Enprompta(client_id="me", client_secret=text),
        lambda: Enprompta(client_id=text, client_secret="hunter2"),
        lambda: sign(body, text),
        lambda: verify_signature(body, signature, text),
        lambda: verify_signature(body, signature, ["whsec_x", text]),
        lambda: construct_event(body, signature, text),
        lambda: WebhookReceiver(text),
    ]
    if text.isascii():
        readers.append(lambda: WebhookReceiver(text.encode()))
    for read in readers:
        with pytest.raises(ConfigurationError, match=MISTAKES[text]) as caught:
            read()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["whsec_0123==", "whsec_é_01", "sk-a.b~c/d+e", "env", "bearer_x", "set", b"\xff \x00\n"]
)
def test_a_secret_without_a_mistake(secret: Any) -> None:
    """Secrets of any alphabet are accepted, also bytes that are not text."""
    assert verify_signature(b"{}", sign(b"{}", secret), secret)


CLEAN = """
import asyncio, sys
import enprompta, enprompta.webhooks, enprompta.testing, enprompta.otel, enprompta.codegen, enprompta.templating

NAMESPACES = ("prompts", "executions", "templates", "workflows", "teams", "webhooks", "traces", "usage")
settings = dict(api_key="ep_x", base_url=sys.argv[1], limiter=None)
with enprompta.Enprompta(**settings) as client:
    assert all(getattr(client, name) for name in NAMESPACES)
    client.prompts.get("p1"), client.prompts.create(title="T", content="C"), client.prompts.delete("p1")
    repr(client), client.with_raw_response.prompts.get("p1").headers

async def main(**options):
    async with enprompta.AsyncEnprompta(**settings, **options) as client:
        assert all(getattr(client, name) for name in NAMESPACES)
        await client.prompts.get("p1")

asyncio.run(main())
asyncio.run(main(http_client="aiohttp"))
secret = "whsec_x"
delivery = enprompta.testing.webhook_delivery(secret=secret)
enprompta.webhooks.construct_event(delivery.body, delivery.headers, secret)
raw = {name.encode(): value.encode() for name, value in delivery.headers.items()}
enprompta.webhooks.construct_event(delivery.body, raw, secret.encode())
"""


def test_no_text_is_compared_with_bytes(server: FaultServer) -> None:
    """Imports, calls and deliveries are clean under `python -bb -W error`."""
    command = [sys.executable, "-bb", "-W", "error", "-c", CLEAN, server.base_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


class TestDoctor:
    @staticmethod
    def doctor(**environment: str) -> tuple[int, str]:
        """Run `enprompta doctor`; return its exit status and output."""
        from typer.testing import CliRunner

        from enprompta.cli.app import app

        result = CliRunner().invoke(app, ["doctor"], env={"ENPROMPTA_API_KEY": "ep_x", **environment})
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("HTTPS_PROXY", "ftp://ann:hunter2@proxy.test"),
            ("ALL_PROXY", "http://ann:hunter2@:3128"),
            ("SSL_CERT_FILE", "/nowhere/at.all"),
            ("SSL_CERT_DIR", "/nowhere"),
            ("ENPROMPTA_MAX_WAIT", "long"),
            ("ENPROMPTA_BASE_URL", "https://api.test/v1#"),
        ],
    )
    def test_what_cannot_work(self, variable: str, value: str) -> None:
        """A failed line names the variable; there is no traceback, and no credential."""
        status, output = self.doctor(**{"ENPROMPTA_BASE_URL": "https://api.test/v1", variable: value})
        assert status == 3
        failed = [line for line in output.splitlines() if line.startswith("fail")]
        assert len(failed) == 1
        assert variable in failed[0]
        assert "hunter2" not in output
        assert "Traceback" not in output

    def test_every_setting_is_shown(self) -> None:
        """Each variable of the settings table that is set has a line."""
        values = {one.variable: "http://127.0.0.1:9" if one.name == "base_url" else "1" for one in SETTINGS}
        lines = self.doctor(**values)[1].splitlines()
        for variable, value in values.items():
            shown = [line for line in lines if variable in line and value in line]
            assert shown, f"`enprompta doctor` does not show {variable}: see _environment in its module"

    def test_proxies_and_certificates_are_shown(self) -> None:
        """The proxy in use is named without credentials, with each other relevant variable."""
        with FaultServer(listening=False) as nothing:
            status, output = self.doctor(
                ENPROMPTA_BASE_URL="https://api.test/v1",
                HTTPS_PROXY=f"http://ann:hunter2@127.0.0.1:{nothing.port}",
                SSL_CERT_FILE=str(ROOT / "tests" / "faults" / "trusted.pem"),
                ENPROMPTA_MAX_WAIT="5",
            )
        output = " ".join(output.split())
        assert status == 1
        assert f"proxy http://127.0.0.1:{nothing.port} (HTTPS_PROXY)" in output
        assert f"fail reachable GET /health: cannot connect to the proxy http://127.0.0.1:{nothing.port}" in output
        assert "certificates SSL_CERT_FILE=" in output
        assert "setting ENPROMPTA_MAX_WAIT=5" in output
        assert "hunter2" not in output

    def test_a_quoted_key(self) -> None:
        """A key with quotes from an env file fails with the cure."""
        status, output = self.doctor(ENPROMPTA_API_KEY='"ep_live_hunter2hunter2"')
        assert status == 3
        assert "quotes" in output


def test_our_fixtures_do_not_mind_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The fixtures ignore unusable proxies and certificates, because the emulator is on this machine."""
    for name, value in {
        "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "ftp://", "ALL_PROXY": "socks9://", "NO_PROXY": "fe80::/10",
        "SSL_CERT_FILE": str(tmp_path / "missing"), "SSL_CERT_DIR": str(tmp_path / "missing"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client: Enprompta = request.getfixturevalue("enprompta_client")
    client.prompts.create(title="A", content="Hello")
    with Enprompta() as own:
        assert len(own.prompts.list().data) == 1
    assert request.getfixturevalue("async_enprompta_client")
    with pytest.raises((httpx.InvalidURL, ValueError, OSError)):
        httpx.Client()
