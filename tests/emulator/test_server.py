"""The emulator is started, stopped, used several times at once, from a shell and on a file."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from enprompta.emulator import Emulator, __all__, __main__
from enprompta.emulator.database import Database
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODY = {"title": "t", "content": "c"}


def test_starts_at_once_and_leaves_nothing() -> None:
    """It starts in well under half a second, and leaves no thread or port when stopped."""
    before = set(threading.enumerate())
    started = time.monotonic()
    with Emulator() as emulator:
        assert time.monotonic() - started < 0.5
        url = emulator.url
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v1", url)
        assert any(it.name.startswith("enprompta-emulator") for it in threading.enumerate())
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", trust_env=False)


def test_several_at_once_share_nothing(connect: Any) -> None:
    """Emulators in one process have separate data and limits."""
    with Emulator() as one, Emulator() as two:
        assert connect(one).post("/prompts", json=BODY).status_code == 201
        assert connect(two).get("/prompts").json()["data"] == []
        assert connect(two).get("/prompts").headers["X-RateLimit-Remaining"] == "998"


def test_stopped_and_started_again(connect: Any) -> None:
    """It can be restarted, empty and on another port; stopping twice is no error, starting twice is one."""
    emulator = Emulator()
    emulator.stop()
    assert repr(emulator) == "<Emulator stopped>"
    with pytest.raises(ConfigurationError, match="not running"):
        _ = emulator.url
    emulator.start()
    connect(emulator).post("/prompts", json=BODY)
    with pytest.raises(ConfigurationError, match="already running"):
        emulator.start()
    emulator.stop()
    emulator.stop()
    with emulator:
        assert repr(emulator) == f"<Emulator at {emulator.url}>"
        assert connect(emulator).get("/prompts").json()["data"] == []


def test_port_can_be_chosen_and_taken_again(connect: Any) -> None:
    """A chosen port is used, refused while in use, and free at once after the stop."""
    with Emulator() as first:
        port = int(first.url.rpartition(":")[2].removesuffix("/api/v1"))
        assert connect(first).get("/prompts").status_code == 200
        with pytest.raises(ConfigurationError, match=f"port {port}: it is in use"):
            Emulator(port=port).start()
    with Emulator(port=port) as second:
        assert connect(second).get("/prompts").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_the_url_works_for_any_host_setting(connect: Any, host: str) -> None:
    """If it listens everywhere, the URL is one that works from here."""
    with Emulator(host=host) as emulator:
        assert "0.0.0.0" not in emulator.url
        assert connect(emulator).get("/prompts").status_code == 200


def test_ipv6(connect: Any) -> None:
    """An IPv6 address is in brackets in the URL."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Emulator(host="::1") as emulator:
        assert emulator.url.startswith("http://[::1]:")
        assert connect(emulator).get("/prompts").status_code == 200


def test_host_that_is_not_here() -> None:
    """An address of another machine is refused with the reason."""
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1"):
        Emulator(host="192.0.2.1").start()
    with pytest.raises(ConfigurationError, match=r"cannot listen on nowhere\.invalid"):
        Emulator(host="nowhere.invalid").start()


def test_database_that_cannot_be_used(tmp_path: Path) -> None:
    """A directory, a missing directory, another program's database and other files are refused unchanged."""
    other, text = tmp_path / "other.db", tmp_path / "text.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    text.write_text("not a database, but long enough to be looked at as if it were one " * 20)
    before = [it.read_bytes() for it in (other, text)]
    for path in (tmp_path, tmp_path / "missing" / "e.db", other, text):
        with pytest.raises(ConfigurationError, match=re.escape(str(path))):
            Emulator(db=path).start()
    assert [it.read_bytes() for it in (other, text)] == before


def _garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 3 + 100])


def _overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def _with_a_page_of_zeros(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'webhooks'").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(content)


def _with_a_spoilt_name(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    path.write_bytes(path.read_bytes().replace(b"tablewebhookswebhooks", b"table\xffebhookswebhook\xff"))


def _without_a_column(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("ALTER TABLE templates DROP COLUMN category")


def _without_a_type(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE accounts; CREATE TABLE accounts AS SELECT 1 AS id, 2 AS tier")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA user_version = 99")


def _full(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DELETE FROM accounts;"
            "CREATE TRIGGER full BEFORE INSERT ON accounts BEGIN SELECT RAISE(ABORT, 'no room'); END;"
        )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_garbage, "damaged: file is not a database"),
        (_truncated, "damaged"),
        (_overwritten, "damaged"),
        (_with_a_page_of_zeros, "damaged: Page"),
        (_with_a_spoilt_name, "damaged: 'utf-8' codec"),
        (_without_a_column, "damaged: its table templates lacks category"),
        (_without_a_type, "damaged: its table accounts lacks email, key, name, user_id"),
        (_newer, "newer enprompta .format 99"),
        (_full, "damaged: no room"),
    ],
)
def test_a_damaged_database_is_one_line(
    tmp_path: Path, damage: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken file or one of another format is a clear error in Python, and one line with status 1 in a shell."""
    path = tmp_path / "e.db"
    with Emulator(db=path):
        pass
    damage(path)
    with pytest.raises(ConfigurationError, match=message) as caught:
        Emulator(db=path).start()
    assert str(path) in str(caught.value)
    assert __main__.main(["--db", str(path), "--port", "0"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert re.search(message, printed.err)


def test_a_database_that_breaks_while_it_is_used(
    tmp_path: Path, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that another program overwrites fails requests with the reason, without a logged traceback."""
    path = tmp_path / "e.db"
    with Emulator(db=path) as emulator:
        client = connect(emulator)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("DROP TABLE prompt_labels; DROP TABLE prompts")
        failed = client.get("/prompts")
    assert failed.status_code == 500
    assert "database failed: no such table" in failed.json()["error"]["message"]
    assert [record.exc_info for record in caplog.records] == [None]


def test_many_writers_on_a_file(tmp_path: Path, connect: Any) -> None:
    """Fifty concurrent clients lose no write and meet no lock, while another program reads the file."""
    path = tmp_path / "e.db"
    with Emulator(db=path, rate_limits=False) as emulator:
        client = connect(emulator)

        def write(index: int) -> int:
            return client.post("/prompts", json={**BODY, "title": f"{index}"}).status_code

        with ThreadPoolExecutor(50) as pool:
            statuses = [pool.submit(write, index) for index in range(300)]
            reader = sqlite3.connect(path)
            while wait(statuses, timeout=0.01).not_done:  # a pause, for the writer is in this process
                reader.execute("SELECT count(*) FROM prompts").fetchone()
            reader.close()
        assert {it.result() for it in statuses} == {201}
        assert client.get("/prompts").json()["pagination"]["total_count"] == 300


def test_full_disk_is_an_answer(tmp_path: Path, connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """When the database cannot grow, writes get a 500 with a one-line reason, and reads still work."""
    with Emulator(db=tmp_path / "e.db") as emulator:
        client = connect(emulator)
        kept = client.post("/prompts", json=BODY).json()["data"]
        database = emulator._started().services.database
        database.run(f"PRAGMA max_page_count = {database.scalar('PRAGMA page_count')}")
        answer = client.post("/prompts", json={"title": "t", "content": "x" * 90_000})
        assert answer.status_code == 500
        assert "database or disk is full" in answer.json()["error"]["message"]
        assert client.get(f"/prompts/{kept['id']}").json()["data"] == kept
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert record.exc_info is None


def test_transaction_is_all_or_nothing() -> None:
    """A failed transaction leaves no changes, and a nested transaction is part of the outer one."""
    database = Database(":memory:")
    add = "INSERT INTO credits (account_id, month, used) VALUES (?, '2024-01', 1)"

    def fail() -> None:
        with database.transaction():
            with database.transaction():
                database.run(add, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.transaction():
        database.run(add, "b")
    assert [it["account_id"] for it in database.all("SELECT * FROM credits")] == ["b"]
    assert database.scalar("SELECT used FROM credits WHERE account_id = 'a'") == 0
    database.close()


def test_names_are_sorted() -> None:
    """`__all__` is sorted."""
    assert __all__ == sorted(__all__)


def test_missing_extra_is_explained() -> None:
    """Without FastAPI or uvicorn the error names the install command; other errors are not hidden."""
    code = "import sys; sys.modules[{!r}] = None; import enprompta.emulator"
    for module, is_of_extra in (("fastapi", True), ("uvicorn", True), ("sqlite3", False)):
        result = subprocess.run(
            [sys.executable, "-c", code.format(module)], check=False, capture_output=True, text=True, timeout=30
        )
        assert result.returncode == 1
        assert ('pip install "enprompta[emulator]"' in result.stderr) is is_of_extra


class Broken(ModuleType):
    """A module whose import fails because another is missing."""

    def __init__(self, missing: str) -> None:
        super().__init__("broken")
        self.__dict__["missing"] = missing

    def __getattr__(self, name: str) -> Any:
        """Fail like an import inside it."""
        raise ModuleNotFoundError(f"No module named {self.missing!r}", name=self.missing)


@pytest.mark.parametrize(
    ("missing", "is_of_extra"), [("uvicorn", True), ("starlette.types", True), ("yaml", True), ("sqlite3", False)]
)
def test_a_missing_extra_is_distinguished_from_other_import_errors(
    missing: str, *, is_of_extra: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package of the extra is reported with the install command; other import errors are not."""
    monkeypatch.delitem(sys.modules, "enprompta.emulator")
    monkeypatch.setitem(sys.modules, "enprompta.emulator.access.accounts", Broken(missing))
    with pytest.raises(ImportError) as caught:
        importlib.import_module("enprompta.emulator")
    assert isinstance(caught.value, ModuleNotFoundError) is not is_of_extra
    assert ('pip install "enprompta[emulator]"' in str(caught.value)) is is_of_extra


@pytest.fixture
def serve() -> Any:
    """Run the command until a signal, and return its process and first output."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, lines: int = 4, **environment: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "enprompta.emulator", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        assert process.stdout
        return process, "".join(process.stdout.readline() for _ in range(lines))

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_command_serves_until_ctrl_c(serve: Callable[..., Any], tmp_path: Path) -> None:
    """The banner shows URL and keys, requests are answered, Ctrl-C exits quietly with 130, and data is kept."""
    path = tmp_path / "e.db"
    arguments = ("--port", "0", "--db", str(path), "--error-dialect", "detailed", "--window", "5")
    for prompts in (0, 1):
        process, banner = serve(*arguments)
        url = re.search(r"http://127\.0\.0\.1:\d+/api/v1", banner)[0]  # type: ignore[index]
        assert f"export ENPROMPTA_BASE_URL={url} ENPROMPTA_API_KEY=ep_test_team" in banner
        assert "ep_test_free (no API access)" in banner
        assert str(path) in banner
        headers = {"Authorization": "Bearer ep_test_team"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            assert client.get("/prompts").json()["pagination"]["total_count"] == prompts
            assert client.post("/prompts", json=BODY).status_code == 201
            assert client.get("/nowhere").json()["error"]["code"] == 3001
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=10)
        assert (process.returncode, output, errors) == (130, "", "")


def test_command_survives_a_kill(serve: Callable[..., Any], tmp_path: Path) -> None:
    """Acknowledged writes survive a kill right after the response."""
    path = tmp_path / "e.db"
    process, banner = serve("--port", "0", "--db", str(path))
    url = re.search(r"http://\S+/api/v1", banner)[0]  # type: ignore[index]
    answer = httpx.post(f"{url}/prompts", json=BODY, headers={"Authorization": "Bearer ep_test_pro"}, trust_env=False)
    process.kill()
    process.communicate()
    with Emulator(db=path) as emulator:
        prompt_id = answer.json()["data"]["id"]
        headers = {"Authorization": "Bearer ep_test_pro"}
        again = httpx.get(f"{emulator.url}/prompts/{prompt_id}", headers=headers, trust_env=False)
    assert again.json() == answer.json()


def test_the_command_prints_its_upstream(serve: Callable[..., Any]) -> None:
    """The banner names the upstream, also from the environment; SIGTERM exits with 0."""
    process, banner = serve("--port", "0", ENPROMPTA_EMULATOR_UPSTREAM="http://localhost:1")
    assert "prompts run on http://localhost:1" in banner
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--db", "/nonexistent/e.db"], "/nonexistent/e.db"),
        (["--port", "66000"], "between 0 and 65535"),
        (["--upstream", "nowhere"], "must be an http"),
        (["--db", "/dev/full"], "/dev/full"),
    ],
)
def test_command_refuses_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], keep_signals: None
) -> None:
    """An invalid setting is reported in one line, with a nonzero status."""
    assert __main__.main(["--port", "0", *arguments]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert message in errors


def test_command_refuses_a_port_in_use(capsys: pytest.CaptureFixture[str], keep_signals: None) -> None:
    """A port in use is reported in one line."""
    with Emulator() as emulator:
        port = emulator.url.rpartition(":")[2].removesuffix("/api/v1")
        assert __main__.main(["--port", port]) == 1
    problem = f"The emulator cannot listen on 127.0.0.1, port {port}"
    assert capsys.readouterr().err == f"{problem}: it is in use; choose another port\n"


def test_command_warns_when_others_are_let_in(capsys: pytest.CaptureFixture[str], keep_signals: None) -> None:
    """An address that is not loopback is served with a warning; a loopback one without."""
    for host, warned in (("0.0.0.0", True), ("localhost", False)):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert __main__.main(["--host", host, "--port", "0"]) == 130
        output, errors = capsys.readouterr()
        assert "Press Ctrl-C to stop." in output
        assert ("accepts other machines" in errors) is warned


def test_command_serves_for_longer_than_it_waits_at_a_time(
    capsys: pytest.CaptureFixture[str], keep_signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour without a stop request does not end the server."""
    waited: list[float | None] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            if len(waited) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().wait(0)

    monkeypatch.setattr(__main__, "threading", SimpleNamespace(Event=Event))
    assert __main__.main(["--port", "0"]) == 0
    assert waited == [3600] * 3
    assert "Press Ctrl-C to stop." in capsys.readouterr().out


def test_the_module_is_the_command(
    capsys: pytest.CaptureFixture[str], keep_signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m enprompta.emulator` exits with the status of the command."""
    monkeypatch.setattr(sys, "argv", ["enprompta", "--port", "66000"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(__main__.__file__), run_name="__main__")
    assert ended.value.code == 1
    assert "between 0 and 65535" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--port", "0"]])
@pytest.mark.parametrize("buffering", ["", "1"])
def test_output_without_a_reader_is_one_line(arguments: list[str], buffering: str) -> None:
    """Whatever `python -m enprompta.emulator` prints, a closed pipe is one line and status 1."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "enprompta.emulator", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, env=environment, check=False, timeout=60)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"error  Standard output cannot be written: Broken pipe\n")


@pytest.mark.parametrize(("arguments", "status"), [("--nonsense", 2), ("--db /dev/full", 1)])
def test_errors_without_a_reader_keep_their_status(arguments: str, status: int) -> None:
    """Wrong usage is status 2 and a failure 1, even if standard error is closed."""
    command = f"exec {sys.executable} -m enprompta.emulator --port 0 {arguments} 2>&-"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (status, b"")


@pytest.fixture
def keep_signals() -> Any:
    """Put the handlers back that the command replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
