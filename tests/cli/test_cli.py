"""The output and exit status of the command line in a shell."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from http import client as http_client
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from typer.testing import CliRunner

from enprompta import __version__
from enprompta.cli.app import app
from enprompta.cli.console import plain
from enprompta.testing import EXAMPLES, webhook_delivery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

SECRET = "whsec_never_shown"
COMMAND = [sys.executable, "-c", "import sys; from enprompta.cli import main; sys.exit(main())"]
ESCAPE = "\x1b["


def invoke(*arguments: str, body: bytes | None = None, **environment: str) -> Result:
    """Run a command in this process."""
    variables = {"ENPROMPTA_WEBHOOK_SECRET": SECRET, "COLUMNS": "200", **environment}
    result = CliRunner().invoke(app, list(arguments), input=body, env=variables)
    assert SECRET not in result.output
    return result


class Listening:
    """A `listen` in a separate process."""

    def __init__(self, *arguments: str, stdout: int = subprocess.PIPE, **environment: str) -> None:
        variables = {**os.environ, "ENPROMPTA_WEBHOOK_SECRET": SECRET, "COLUMNS": "200", **environment}
        command = [*COMMAND, "webhooks", "listen", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, env=variables, stdout=stdout, stderr=subprocess.PIPE)

    def lines(self, number: int) -> list[str]:
        """Read this many lines of its output."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline().decode().rstrip("\n") for _ in range(number)]

    def url(self) -> str:
        """Read the address it listens on."""
        return re.findall(r"http://\S+?(?=[;\x1b])", self.lines(1)[0])[0]

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Stop it; return its exit status and the rest of its output."""
        self.process.send_signal(how)
        rest, errors = self.process.communicate(timeout=20)
        return self.process.returncode, (rest or b"").decode(), errors.decode()


@pytest.fixture
def listening() -> Iterator[Listening]:
    """Run `listen` until the test ends."""
    running = Listening()
    yield running
    if running.process.returncode is None:
        running.process.kill()
        running.process.communicate()


def test_version() -> None:
    """`--version` prints the package's version."""
    result = invoke("--version")
    assert (result.output, result.exit_code) == (f"enprompta {__version__}\n", 0)


@pytest.mark.parametrize(
    "arguments", [["webhooks", "lisen"], ["webhooks", "verify"], ["webhooks", "trigger"], ["--no"]]
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """An unknown command or a missing argument exits with 2."""
    assert invoke(*arguments).exit_code == 2


def test_help_says_what_the_exit_status_means() -> None:
    """Each command's help documents its exit status."""
    for command in ([], ["webhooks", "listen"], ["webhooks", "trigger"], ["webhooks", "verify"]):
        result = invoke(*command, "--help")
        assert result.exit_code == 0
        assert "Exit status: " in result.output


def test_a_flag_is_shown_without_a_value() -> None:
    """The help shows no value for flags such as `--force` and `--help`."""
    for command in ([], ["prompts"], ["prompts", "execute-many"], ["webhooks", "update"]):
        shown = invoke(*command, "--help").output
        assert "--help" in shown
        assert "bool" not in shown.lower()


def test_events_arrive(listening: Listening) -> None:
    """Events are printed with their fields as they arrive, duplicates once, and refusals with their reason."""
    url = listening.url()
    assert invoke("webhooks", "trigger", "prompt.executed", "--to", url, "--id", "evt_1").exit_code == 0
    lines = listening.lines(6)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  prompt.executed  evt_1", lines[0])
    assert lines[5].split() == ["cost", "0.0284"]
    again = invoke("webhooks", "trigger", "prompt.executed", "--to", url, "--id", "evt_1")
    assert '{"status": "duplicate"}' in again.output
    assert "evt_1  duplicate" in listening.lines(1)[0]
    data = '{"text": "\\u001b[31mred\\u009b", "list": [1, "\\u2028"]}'
    assert invoke("webhooks", "trigger", "prompt.rated", "--data", data, "--to", url).exit_code == 0
    assert listening.lines(3)[1:] == [r"          text  \x1b[31mred\x9b", r'          list  [1, "\u2028"]']
    status, rest, errors = listening.stop()
    assert (status, rest, errors) == (130, "Stopped: 2 events, 0 refused.\n", "")


def test_refusals_say_why(listening: Listening) -> None:
    """Every problem of a request is printed, and answered as a receiver does."""
    url = listening.url()
    good = webhook_delivery(secret=SECRET)
    signature = good.headers["X-Enprompta-Signature"]
    not_json = webhook_delivery(secret=SECRET).httpx() | {"content": b"x"}
    two = [("X-Enprompta-Signature", signature)] * 2
    with httpx.Client(base_url=url, trust_env=False) as http:
        answers = [
            http.post("/", content=good.body),
            http.post("/", content=good.body, headers={"X-Enprompta-Signature": "sha256=no"}),
            http.post("/", content=good.body, headers=two),
            http.post("/", **webhook_delivery(secret="other").httpx()),
            http.post("/", **not_json),
            http.post("/", **webhook_delivery({"created_at": "never"}, secret=SECRET).httpx()),
            http.get("/"),
            http.head("/"),
            http.post("/", content=iter([b"chunked"])),
        ]
    large = http_client.HTTPConnection(httpx.URL(url).netloc.decode())
    large.putrequest("POST", "/")
    large.putheader("Content-Length", "9999999")
    large.endheaders()
    with closing(large), large.getresponse() as answer:
        assert answer.status == 413
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 400, 405, 405, 411]
    lines = listening.lines(10)
    for text, reason in zip(
        lines,
        [
            "no X-",
            "not sha256= followed by",
            "more than one",
            "not signed",
            "not signed",
            "created_at",
            "GET",
            "HEAD",
            "Content-Length",
            "la",
        ],
        strict=True,
    ):
        assert " refused 4" in text
        assert reason in text
    assert listening.stop()[1] == "Stopped: 0 events, 10 refused.\n"


def test_senders_that_hang_up_are_no_news(listening: Listening) -> None:
    """A sender that disconnects early is not reported; SIGTERM stops the listener with 0."""
    port = int(listening.url().rpartition(":")[2])
    for request in (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", b"\x00nonsense\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
    assert invoke("webhooks", "trigger", "prompt.executed", "--to", f"http://127.0.0.1:{port}").exit_code == 0
    assert listening.stop(signal.SIGTERM)[::2] == (0, "")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_for_terminals(no_color: str) -> None:
    """Output is colored on a terminal without NO_COLOR, and never in a pipe."""
    ours, theirs = pty.openpty()
    listening = Listening(stdout=theirs, NO_COLOR=no_color, TERM="xterm-256color")
    os.close(theirs)
    with os.fdopen(ours, "rb", closefd=True) as terminal:
        first = terminal.readline().decode()
        port = re.findall(r":(\d+)", first)[-1]
        assert invoke("webhooks", "trigger", "prompt.executed", "--to", f"http://127.0.0.1:{port}").exit_code == 0
        seen = first + terminal.readline().decode()
        assert listening.stop()[0] == 130
    assert "prompt.executed" in seen
    assert (ESCAPE in seen) is not bool(no_color)


def test_a_port_that_is_taken() -> None:
    """A port in use is reported in one line, with exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("webhooks", "listen", "--port", str(port))
    assert result.exit_code == 1
    assert result.output == f"error  Cannot listen on 127.0.0.1, port {port}: Address already in use\n"


class Answering(BaseHTTPRequestHandler):
    """Answers with the status in the path."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"a\x1b[1m")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    """A server that answers as configured."""
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "ends"), [(200, 0), (204, 0), (302, 1), (401, 1), (500, 1)])
def test_trigger_shows_the_answer(answering: str, status: int, ends: int) -> None:
    """The response is printed safely; a 2xx is success, a redirect is named and not followed."""
    result = invoke("webhooks", "trigger", "team.member_added", "--to", f"{answering}/{status}")
    assert result.exit_code == ends
    assert re.search(rf"answered  {status} .* in \d+ ms", result.output)
    assert ESCAPE not in result.output
    assert ("/elsewhere" in result.output) is (status == 302)


@pytest.mark.parametrize(
    ("arguments", "ends", "says"),
    [
        (["prompt.executed", "--to", "http://127.0.0.1:1/"], 1, "did not answer: "),
        (["prompt.executed", "--to", "http://["], 1, "did not answer: "),
        (["prompt.executed", "--to", "ftp://example.com"], 2, "is not an http:// or https:// URL"),
        (["prompt.exectued", "--to", "http://127.0.0.1:1/"], 2, ", ".join(EXAMPLES)),
        (["prompt.executed", "--to", "http://127.0.0.1:1/", "--data", "{"], 2, "The value is not JSON"),
        (["prompt.executed", "--to", "http://127.0.0.1:1/", "--data", "[" * 100_000], 2, "nested too deeply"),
        (["prompt.executed", "--to", "http://127.0.0.1:1/", "--data", "9" * 5_000], 2, "too many digits"),
        (["prompt.executed", "--to", "http://[::1"], 2, "is not a URL"),
        (["prompt.executed", "--to", "http://"], 2, "is not an http:// or https:// URL"),
        (["prompt.executed", "--to", "http://127.0.0.1:1/", "--data", "[]"], 2, "The value must be a JSON object"),
        (["prompt.executed", "--to", "http://127.0.0.1:1/", "--secret", ""], 2, "secret is empty"),
    ],
)
def test_trigger_fails_with_a_reason(arguments: list[str], ends: int, says: str) -> None:
    """Failures say why: 1 if no server accepts the event, 2 for wrong usage."""
    result = invoke("webhooks", "trigger", *arguments)
    assert result.exit_code == ends
    assert says in result.output


def verify(body: bytes, signature: str, *arguments: str, **environment: str) -> Result:
    """Verify a body."""
    return invoke("webhooks", "verify", "--signature", signature, *arguments, body=body, **environment)


def test_verify() -> None:
    """A body is verified, also with a trailing line end from a shell; with several secrets, the match is named."""
    delivery = webhook_delivery("prompt.executed", event_id="evt_1", secret=SECRET)
    signature = delivery.headers["X-Enprompta-Signature"]
    for body in (delivery.body, delivery.body + b"\n"):
        result = verify(body, signature)
        assert (result.exit_code, result.output) == (0, "verified  prompt.executed  evt_1\n")
    several = verify(delivery.body, signature, "--secret", "new", "--secret", SECRET)
    assert several.output == "verified with secret 2  prompt.executed  evt_1\n"
    rotated = verify(delivery.body, signature, ENPROMPTA_WEBHOOK_SECRET=f"new {SECRET}")
    assert rotated.output == several.output


def test_verify_refuses() -> None:
    """A wrong secret, body or signature, and a body that is not an event, exit with 1 and the reason."""
    delivery = webhook_delivery(secret=SECRET)
    signature = delivery.headers["X-Enprompta-Signature"]
    no_event = webhook_delivery({"created_at": "never"}, secret=SECRET)
    for result, reason in [
        (verify(delivery.body, signature, "--secret", "other"), "not signed"),
        (verify(delivery.body[:-1], signature), "not signed"),
        (verify(delivery.body, "sha256=AB"), "not sha256= followed by"),
        (verify(no_event.body, no_event.headers["X-Enprompta-Signature"]), "created_at"),
    ]:
        assert result.exit_code == 1
        assert result.output.startswith("error  ")
        assert reason in result.output
    assert verify(delivery.body, signature, ENPROMPTA_WEBHOOK_SECRET="").exit_code == 2


def test_without_the_extra(tmp_path: Path) -> None:
    """Without typer, one line says what to install, with exit status 1; other errors are not hidden."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['typer'] = None\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r'The command line needs .*: pip install "enprompta\[cli\]"\n', done.stderr)


def test_a_broken_installation_is_not_taken_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module missing inside typer's dependencies is reported unchanged."""
    import enprompta.cli

    monkeypatch.setitem(sys.modules, "enprompta.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"enprompta\.cli\.app"):
        enprompta.cli.main()


def test_the_command_is_installed() -> None:
    """The package declares the command `enprompta`, and pytest's plugin."""
    from importlib.metadata import entry_points

    scripts: Any = entry_points(group="console_scripts", name="enprompta")
    plugins: Any = entry_points(group="pytest11", name="enprompta")
    assert [script.value for script in scripts] == ["enprompta.cli:main"]
    assert [plugin.value for plugin in plugins] == ["enprompta.testing.plugin"]


def test_text_from_elsewhere_is_no_command() -> None:
    """Control characters are escaped; letters of any language are kept."""
    assert plain("a\x1b]0;x\x07\x9b\u202e\n Ä 茶") == r"a\x1b]0;x\x07\x9b\u202e\n Ä 茶"
