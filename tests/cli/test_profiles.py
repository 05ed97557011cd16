"""Stored credentials: `enprompta login`, `logout`, `profiles` and `--profile`."""

from __future__ import annotations

import json
import os
import stat
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from enprompta.cli.app import app
from enprompta.cli.profiles import Profile, config_file, save_profile
from tests.cli.conftest import objects

if TYPE_CHECKING:
    from pathlib import Path

    from enprompta import Enprompta
    from enprompta.emulator import Emulator
    from tests.cli.conftest import Run

KEY = "ENPROMPTA_API_KEY"


class Keyring(ModuleType):
    """A platform keyring in memory."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, name: str, secret: str) -> None:
        """Store a secret."""
        self.kept[service, name] = secret

    def get_password(self, service: str, name: str) -> str | None:
        """Return a secret."""
        return self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        """Delete a secret; raise if it does not exist."""
        del self.kept[service, name]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """Install a fake keyring."""
    made = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", made)
    return made


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package `keyring` unavailable."""
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep profiles in an empty folder, without credentials in the environment."""
    path = tmp_path / "config" / "enprompta"
    monkeypatch.setenv("ENPROMPTA_CONFIG_DIR", str(path))
    for name in ("ENPROMPTA_API_KEY", "ENPROMPTA_CLIENT_ID", "ENPROMPTA_CLIENT_SECRET", "ENPROMPTA_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def login(run: Run, service: Emulator, folder: Path, environment: dict[str, str]) -> Run:
    """Run `enprompta login` with a key on standard input, and no key in the environment of this and later commands."""
    key = environment.pop(KEY)

    def log_in(*arguments: object, stdin: str = f"{key}\n", status: int = 0, **variables: str) -> Any:
        return run("login", *arguments, stdin=stdin, status=status, **variables)

    return log_in


@pytest.mark.usefixtures("no_keyring")
def test_a_profile_in_a_file(run: Run, login: Run, folder: Path, client: Enprompta) -> None:
    """Without a keyring the key is in a 0600 file in a 0700 folder, and later commands use it."""
    prompt = client.prompts.create(title="Kept", content="x")
    folder.mkdir(parents=True, mode=0o755)
    os.umask(os.umask(0))
    assert f"stored in {folder / 'profiles.json'}" in login().output
    assert stat.S_IMODE((folder / "profiles.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert prompt.id in run("prompts", "list", "-q", "--all").output.split()
    assert "ep_…" in (printed := run("doctor").output)
    assert f"from profile default, stored in {folder / 'profiles.json'}" in printed
    assert ", from profile default" in printed
    (listed,) = objects(run("profiles", "--json"))
    assert (listed["id"], listed["storage"], listed["credentials"], listed["isDefault"]) == (
        "default", "file", "API key", True,
    )  # fmt: skip
    assert [each.name for each in folder.iterdir()] == ["profiles.json"]
    assert run("logout").output == "Profile default was deleted.\n"
    assert "run `enprompta login`" in run("prompts", "list", status=3).output


def test_a_profile_in_the_keyring(
    run: Run, login: Run, folder: Path, keyring: Keyring, environment: dict[str, str]
) -> None:
    """With a keyring the file does not contain the key; if the keyring loses it, the error says what to do."""
    assert "the system's keyring" in login("--profile", "work").output
    assert list(keyring.kept) == [("enprompta", f"work {environment['ENPROMPTA_BASE_URL']} {folder.resolve()}")]
    assert "secret" not in (folder / "profiles.json").read_text()
    run("prompts", "list", "--profile", "work")
    run("--profile", "work", "prompts", "list")
    run("prompts", "list", ENPROMPTA_PROFILE="work")
    assert "from profile work, stored in the keyring" in run("doctor", "--profile", "work").output
    run("prompts", "list", status=3)
    lost = dict(keyring.kept)
    keyring.kept.clear()
    assert "the keyring does not hold its secret; run `enprompta login --profile work`" in (
        run("prompts", "list", "--profile", "work", status=3).output
    )
    run("logout", "--profile", "work")
    assert run("profiles", "-q").stdout == ""
    keyring.kept |= lost
    login("--profile", "work")
    login("--profile", "work", "--storage", "file")
    assert keyring.kept == {}
    run("prompts", "list", "--profile", "work")


def test_a_secret_in_the_keyring_belongs_to_one_profile(
    run: Run, login: Run, folder: Path, keyring: Keyring, service: Emulator
) -> None:
    """A secret goes only to the address and folder it was stored for, whatever a file of profiles says."""
    login()
    (secret,) = keyring.kept.values()
    file = folder / "profiles.json"
    file.write_text(file.read_text().replace(service.url, "https://elsewhere.example/api/v1"))
    assert "the keyring does not hold its secret" in run("prompts", "list", status=3).output
    file.write_text(file.read_text().replace("https://elsewhere.example/api/v1", service.url))
    other = folder.with_name("other")
    other.mkdir(mode=0o700)
    (other / "profiles.json").write_bytes(file.read_bytes())
    (other / "profiles.json").chmod(0o600)
    there = {"ENPROMPTA_CONFIG_DIR": str(other)}
    assert "the keyring does not hold its secret" in run("prompts", "list", status=3, **there).output
    login(stdin=f"{service.keys.team}\n", **there)
    run("logout", **there)
    run("prompts", "list")
    assert list(keyring.kept.values()) == [secret]


def test_a_profile_that_moves_leaves_no_secret(login: Run, keyring: Keyring, service: Emulator) -> None:
    """A login for another address deletes the secret that the profile had for the first one."""
    login()
    login("--no-verify", "--base-url", "http://127.0.0.1:1/api/v1", stdin="ep_moved")
    assert list(keyring.kept.values()) == ["ep_moved"]


@pytest.mark.parametrize("broken", ["missing", "failing", "null"])
def test_a_keyring_that_does_not_work(
    login: Run, run: Run, folder: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing, failing or forgetful keyring is skipped, unless it was requested; then nothing is stored."""

    def fail(*_: object) -> None:
        raise RuntimeError("no backend")

    null = SimpleNamespace(set_password=lambda *_: None, get_password=lambda *_: None, delete_password=fail)
    failing = SimpleNamespace(set_password=fail, get_password=fail, delete_password=fail)
    monkeypatch.setitem(sys.modules, "keyring", {"missing": None, "failing": failing, "null": null}[broken])
    assert "No keyring works here" in login("--storage", "keyring", status=3).output
    assert not folder.exists()
    login()
    run("prompts", "list")
    kept = json.loads((folder / "profiles.json").read_text())
    kept["profiles"]["default"] = {"base_url": kept["profiles"]["default"]["base_url"], "storage": "keyring"}
    (folder / "profiles.json").write_text(json.dumps(kept))
    assert "keyring" in run("prompts", "list", status=3).output
    run("logout")


@pytest.mark.usefixtures("no_keyring")
def test_oauth_credentials(login: Run, run: Run, service: Emulator) -> None:
    """A profile may hold OAuth2 client credentials."""
    oauth = service.clients.pro
    login("--client-id", oauth.client_id, stdin=f"{oauth.client_secret}\r\n")
    run("prompts", "list")
    assert f"OAuth2 client {oauth.client_id}, from profile default" in run("doctor").output
    assert f"OAuth2 client {oauth.client_id}" in run("profiles").output


@pytest.mark.usefixtures("no_keyring")
def test_which_credentials_are_used(run: Run, login: Run, service: Emulator) -> None:
    """`--profile` precedes the environment's key, which precedes `ENPROMPTA_PROFILE` and the default profile."""
    login()
    wrong = {KEY: "ep_wrong"}
    assert "unset it, or pass --profile" in login(**{KEY: "ep_other"}).output
    run("prompts", "list", status=1, **wrong)
    run("prompts", "list", status=1, **wrong, ENPROMPTA_PROFILE="default")
    run("prompts", "list", "--profile", "default", **wrong)
    printed = run("doctor", "--profile", "default", **wrong).output
    assert printed.count("credentials  ") == 1
    # The key goes to the address it was given for, whatever the environment says.
    run("prompts", "list", ENPROMPTA_BASE_URL="http://127.0.0.1:1/api/v1")
    printed = run("prompts", "list", "--profile", "other", status=3).output
    assert "Profile 'other' does not exist (profiles: default): create it with `enprompta login --profile" in printed


@pytest.mark.usefixtures("no_keyring")
def test_a_key_is_tried_before_it_is_stored(login: Run, run: Run, service: Emulator, folder: Path) -> None:
    """A key that is refused or cannot be checked is stored only with `--no-verify`."""
    assert "rejected these credentials; nothing was stored" in login(stdin="ep_wrong", status=1).output
    assert "--no-verify stores them anyway" in login("--base-url", "http://127.0.0.1:1/api/v1", status=1).output
    assert "--base-url must begin with https://" in login("--base-url", "ftp://x", status=3).output
    assert "No api key was entered" in login(stdin=" \n", status=1).output
    assert "The API key holds a blank" in login(stdin="ep_a b", status=3).output
    assert "The client secret holds a blank" in login("--client-id", "me", stdin="a b", status=3).output
    assert "is not a profile name" in login("--profile", "../x", status=3).output
    assert "ENPROMPTA_BASE_URL must" in login(status=3, ENPROMPTA_BASE_URL="ftp://x").output
    assert not folder.exists()
    login("--no-verify", "--base-url", "http://127.0.0.1:1/api/v1", stdin="\ufeffep_unknown")
    service.faults.add("/prompts", status=403)
    login()
    service.faults.clear()


@pytest.mark.usefixtures("no_keyring", "folder")
def test_the_key_is_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """On a terminal the key is prompted for without echo."""
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **how: Any) -> str:
        asked.append({"text": text, **how})
        return "ep_typed"

    monkeypatch.setattr("enprompta.cli.commands.login.typer.prompt", prompt)
    monkeypatch.setattr("enprompta.cli.commands.login.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    del environment[KEY]
    result = CliRunner().invoke(app, ["login", "--no-verify"], env=environment)
    assert result.exit_code == 0, result.output
    assert asked == [{"text": "API key", "hide_input": True, "err": True}]
    assert "ep_typed" not in result.output


GOOD = '{"profiles": {"default": {"base_url": "https://example.com", "storage": "file", "secret": "s"}}}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"profiles": []}', '{"profiles": {"default": 5}}', "[" * 100_000, "\x00",
     GOOD.replace('"file"', '"keyring"'), GOOD.replace('"s"', "5"), GOOD.replace('"s"', "null"),
     GOOD.replace("default", "../x"), GOOD.replace("base_url", "url")],
)  # fmt: skip
def test_a_damaged_file_is_one_line(run: Run, login: Run, folder: Path, text: str) -> None:
    """For any content, commands and `login` report the damage and the cure in one line."""
    folder.mkdir(parents=True)
    (folder / "profiles.json").write_text(text)
    (folder / "profiles.json").chmod(0o600)
    damaged = f"error  {folder / 'profiles.json'} is damaged: delete it and run `enprompta login` again\n"
    for result in (run("prompts", "list", status=3), login(status=3), run("profiles", status=3)):
        assert result.output == damaged
    assert "is damaged" in run("doctor", status=3).output


def test_a_file_that_is_not_ours_to_trust(run: Run, login: Run, folder: Path, tmp_path: Path) -> None:
    """A link, a pipe, a huge file and one readable by other users are refused."""
    folder.mkdir(parents=True)
    path, other = folder / "profiles.json", tmp_path / "other"
    path.write_text(GOOD)
    path.chmod(0o644)
    assert f"run `chmod 600 {path}`" in run("prompts", "list", status=3).output
    path.write_text(" " * 1_048_577)
    path.chmod(0o600)
    assert "is not a profiles file" in run("prompts", "list", status=3).output
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "is not a profiles file" in run("prompts", "list", status=3).output
    path.unlink()
    other.write_text(GOOD)
    path.symlink_to(other)
    assert "cannot be read" in run("prompts", "list", status=3).output
    assert "cannot be read" in login(status=3).output
    path.unlink()
    folder.rmdir()
    folder.write_text("a file where the folder belongs")
    assert "cannot be" in login(status=3).output
    assert other.read_text() == GOOD


@pytest.mark.usefixtures("no_keyring")
def test_a_file_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk keeps the old file and leaves no other."""
    profile = Profile("default", "https://example.com/api/v1", "file", secret="s")
    save_profile(profile, None)
    before = (folder / "profiles.json").read_bytes()
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("enprompta.cli.profiles.os.fsync", full)
        with pytest.raises(ValueError, match="cannot be written: No space left on device"):
            save_profile(profile, None)
    assert (folder / "profiles.json").read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["profiles.json"]
    assert "secret" not in repr(profile)


def test_where_profiles_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without `ENPROMPTA_CONFIG_DIR` profiles are in the platform's folder for configuration."""
    monkeypatch.delenv("ENPROMPTA_CONFIG_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_file().name == "profiles.json"
    assert config_file().parent.name == "enprompta"


def test_quiet_prints_ids(run: Run, client: Enprompta) -> None:
    """`--quiet` prints only ids, one per line, and cannot be combined with `--json`."""
    made = run("prompts", "create", "--title", "Quiet", "--content", "Hello", "-q").stdout.strip()
    assert made.startswith("pmt_")
    assert run("prompts", "get", made, "--quiet").stdout == f"{made}\n"
    assert run("prompts", "list", "--limit", "1", "-q").output.count("\n") == 1
    assert run("prompts", "execute", made, "-q").output.startswith("exe_")
    assert run("executions", "stats", "-q", "--by", "prompt").stdout.split()
    steps = [{"id": "one", "promptId": made}]
    workflow = client.workflows.create(name="W", steps=steps).id  # type: ignore[arg-type]
    assert run("workflows", "get", workflow, "-q").stdout == f"{workflow}\n"
    assert run("workflows", "execute", workflow, "-q").stdout.count("\n") == 1
    assert "not both" in run("prompts", "list", "-q", "--json", status=2).output.replace("\n", " ")
    run("usage", "billing", "-q", status=2)


def test_every_command_takes_a_profile() -> None:
    """`--profile` is an option of each command except the emulator, which needs no key."""
    import typer

    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        for leaf, each in getattr(command, "commands", {name: command}).items():
            options = [one for parameter in each.params for one in parameter.opts]
            assert ("--profile" in options) is (leaf != "emulator"), leaf
            assert ("--quiet" in options) is ("--json" in options and leaf not in {"check", "doctor", "billing"}), leaf
