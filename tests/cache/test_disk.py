"""Snapshots are written atomically, readable only by their owner, and ignored unless their signature is valid."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.cache.keys import PromptKey
from enprompta.cache.snapshots import Disk
from enprompta.errors import APIError, AuthenticationError, NotFoundError
from tests.cache.conftest import Service, down, live, missing, status

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = PromptKey("hi", "production", None)
PROMPT = live("Cześć {{name}} 👋", variables={"name": "you"}, messages=None, _meta={"a": [1]})


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Provide the path of a folder that does not exist."""
    return Disk(tmp_path / "a" / "b", "https://api.test/api/v1 ep_x", "ep_x")


def away(disk: Disk) -> Service:
    """Provide a program that starts while the service is unavailable."""
    service = Service(disk)
    service.answer = lambda _: down()
    return service


def test_what_is_saved_is_loaded(disk: Disk) -> None:
    """A prompt is restored unchanged, with unknown fields, ETag and age."""
    assert disk.load(KEY) is None
    disk.save(KEY, PROMPT, '"v1"')
    os.utime(disk.path(KEY), (0, disk._clock() - 100))
    snapshot = disk.load(KEY)
    assert snapshot is not None
    assert snapshot.value == PROMPT
    assert snapshot.etag == '"v1"'
    assert 100 <= snapshot.age < 110


def test_only_the_owner_can_read_the_files(disk: Disk) -> None:
    """Files have mode 0600 in a folder of mode 0700, whatever the umask, and no other files remain."""
    before = os.umask(0)
    try:
        disk.save(KEY, PROMPT, None)
        disk.save(KEY, live("v2"), None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(disk.path(KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE(disk.folder.stat().st_mode) == 0o700
    assert list(disk.folder.iterdir()) == [disk.path(KEY)]
    assert b"ep_x" not in disk.path(KEY).read_bytes()


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    """A full disk loses the new snapshot, keeps the old one, and is logged."""
    disk.save(KEY, PROMPT, None)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, fails, fail) if fails == "fsync" else (Path, fails, fail)))
    with caplog.at_level(logging.WARNING, logger="enprompta"):
        disk.save(KEY, live("v2"), None)
    monkeypatch.undo()
    snapshot = disk.load(KEY)
    assert snapshot is not None
    assert snapshot.value == PROMPT
    assert len(list(disk.folder.iterdir())) == 1
    assert "No space left on device" in caplog.text


def test_a_folder_that_cannot_be_created_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A `cache_dir` that is a file does not affect callers."""
    (tmp_path / "file").write_text("")
    disk = Disk(tmp_path / "file", "a", "s")
    service = Service(disk)
    with caplog.at_level(logging.WARNING, logger="enprompta"):
        assert service.get().content == "v1"
        disk.delete(KEY)
    events = [record.__dict__["event"] for record in caplog.records]
    assert events == ["live_snapshot_unreadable", "live_snapshot_not_written", "live_snapshot_not_removed"]


def rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Disk], None]:
    """Change the content and sign it again, as another version of the package might."""

    def rewrite(disk: Disk) -> None:
        held = json.loads(disk.path(KEY).read_bytes().partition(b"\n")[2])
        change(held)
        body = json.dumps(held).encode()
        disk.path(KEY).write_bytes(disk._head(body) + b"\n" + body)

    return rewrite


@pytest.mark.parametrize(
    "harm",
    [
        lambda disk: disk.path(KEY).write_bytes(b""),
        lambda disk: disk.path(KEY).write_bytes(os.urandom(500)),
        lambda disk: disk.path(KEY).write_bytes(disk.path(KEY).read_bytes()[:-1]),
        lambda disk: disk.path(KEY).write_bytes(disk.path(KEY).read_bytes().replace(b"you", b"thy")),
        lambda disk: disk.path(KEY).write_bytes(disk.path(KEY).read_bytes().replace(b"prompt 1 ", b"prompt 2 ")),
        lambda disk: disk.path(PromptKey("other", "production", None)).rename(disk.path(KEY)),
        lambda disk: Disk(disk.folder, "other", "secret").path(KEY).rename(disk.path(KEY)),
        rewritten(lambda held: held.update(prompt={"slug": 1})),
        rewritten(lambda held: held.pop("key")),
        rewritten(lambda held: held.pop("etag")),
        lambda disk: (disk.path(KEY).unlink(), disk.path(KEY).mkdir()),
    ],
    ids=["empty", "noise", "cut", "changed", "format", "other prompt", "foreign", "shape", "key", "etag", "folder"],
)
def test_what_is_not_what_was_written_is_not_believed(
    disk: Disk, caplog: pytest.LogCaptureFixture, harm: Callable[[Disk], None]
) -> None:
    """A damaged or foreign snapshot is skipped with a warning, as if it did not exist."""
    disk.save(KEY, PROMPT, None)
    disk.save(PromptKey("other", "production", None), PROMPT, None)
    Disk(disk.folder, "other", "secret").save(KEY, PROMPT, None)
    harm(disk)
    with caplog.at_level(logging.WARNING, logger="enprompta"):
        assert disk.load(KEY) is None
    (record,) = caplog.records
    assert record.__dict__["event"] in {"live_snapshot_ignored", "live_snapshot_unreadable"}
    assert record.__dict__["fields"]["file"] == disk.path(KEY).name


def test_a_prompt_that_cannot_be_written_is_logged(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """A prompt with no JSON form is served, but not saved."""
    with caplog.at_level(logging.WARNING, logger="enprompta"):
        disk.save(KEY, live(odd=object()), None)
    assert [record.__dict__["event"] for record in caplog.records] == ["live_snapshot_not_written"]
    assert not disk.folder.exists()


def test_accounts_do_not_meet(tmp_path: Path) -> None:
    """In one folder, each base URL and credential has separate files."""
    names = {
        Disk(tmp_path, account, "s").path(KEY) for account in ("https://a ep_x", "https://b ep_x", "https://a ep_y")
    }
    keys = [
        KEY,
        PromptKey("hi", "production", ""),
        PromptKey("hi", "staging", None),
        PromptKey("h", "iproduction", None),
    ]
    assert len(names) == 3
    assert len({Disk(tmp_path, "a", "s").path(key) for key in keys}) == 4


class TestInTheCache:
    def test_a_start_without_the_service(self, disk: Disk) -> None:
        """A prompt saved by another process is served as stale, with its age and the error, before any fallback."""
        Service(disk).get()
        os.utime(disk.path(KEY), (0, disk._clock() - 500))
        service = away(disk)
        given = service.get(fallback="x")
        assert (given.content, given.is_stale, given.is_fallback) == ("v1", True, False)
        assert isinstance(given.error, APIError)
        assert 500 <= given.age < 510
        service.get()
        assert service.sent == 1
        assert service.calls[0].options["max_retries"] == 0

    def test_a_snapshot_saves_the_download(self, disk: Disk) -> None:
        """If the service is available, the snapshot is confirmed with its ETag: a 304 makes it fresh, also on disk."""
        Service(disk).get()
        os.utime(disk.path(KEY), (0, 1_000))
        service = Service(disk)
        service.answer = lambda _: status(304)
        given = service.get()
        assert (given.content, given.is_stale, given.age) == ("v1", False, 0)
        assert service.calls[0].options["headers"] == {"If-None-Match": '"v1"'}
        snapshot = disk.load(KEY)
        assert snapshot is not None
        assert snapshot.age < 60

    def test_only_what_is_new_is_written(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A refresh with an unchanged prompt writes nothing, unless the file was deleted."""
        service = Service(disk)
        written: list[str | None] = []
        save = disk.save
        monkeypatch.setattr(
            disk, "save", lambda key, value, etag: (written.append(value.content), save(key, value, etag))
        )
        for content in ("v1", "v1", "v2", "v2"):
            service.answer = lambda _, content=content: live(content)
            service.get(ttl=0)
        assert written == ["v1", "v2"]
        disk.path(KEY).unlink()
        service.get(ttl=0)
        assert written == ["v1", "v2", "v2"]

    def test_what_is_no_more_is_removed(self, disk: Disk) -> None:
        """After a 404, the snapshot is deleted."""
        Service(disk).get()
        service = Service(disk)
        service.answer = lambda _: missing()
        with pytest.raises(NotFoundError):
            service.get()
        assert disk.load(KEY) is None
        assert service.get(fallback="x").is_fallback

    def test_a_refused_key_reads_no_snapshot(self, disk: Disk) -> None:
        """A snapshot is served during an outage, not when the service refuses the request."""
        Service(disk).get()
        service = Service(disk)
        service.answer = lambda _: status(401, AuthenticationError)
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                service.get()
        assert service.get(fallback="x").is_fallback
        assert disk.load(KEY) is not None

    def test_one_reads_for_all(self, disk: Disk) -> None:
        """Callers that arrive during the read share it, and a prompt fetched meanwhile is kept."""
        Service(disk).get()
        service = Service(disk)
        jobs: list[Any] = []
        service.background.offload = lambda gate, job: jobs.append((gate, job))  # type: ignore[method-assign]
        first, gate = service.begin()
        second, same = service.begin()
        assert same.gate is gate.gate
        assert len(jobs) == 1
        jobs[0][0].set_result(jobs[0][1]())
        del service.background.offload  # type: ignore[method-assign]
        service.answer = lambda _: live("v2")
        assert [service.drive_on(flow, gate).content for flow in (first, second)] == ["v2", "v2"]
        assert service.sent == 1

    def test_it_is_read_once(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without snapshots, a program does not look for one on every call."""
        service = away(disk)
        loads: list[PromptKey] = []
        monkeypatch.setattr(disk, "load", loads.append)
        for _ in range(5):
            service.get(fallback="x")
        assert loads == [KEY]
