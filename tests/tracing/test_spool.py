"""The spool keeps spans over outages and the end of processes, and never sends what is damaged or another account's."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.tracing import Tracing, spool
from enprompta.tracing.spool import DamagedFileError, Spool
from tests.tracing.test_exporter import record, until
from tests.tracing.test_lifetimes import ended, numbers, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from enprompta import Enprompta
    from tests.tracing.receiver import Receiver


def leave_behind(folder: Path, account: str, count: int) -> None:
    """Write batches in a process that ends without closing its spool."""
    child = os.fork()
    if child == 0:
        try:
            left = Spool(folder, account, 10**9)
            for number in range(count):
                left.write(b"body %d" % number, number)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def files(folder: Path, suffix: str = ".otlp") -> list[str]:
    """The names of files in a spool."""
    return sorted(path.name for path in folder.iterdir() if path.suffix == suffix)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Spool]:
    """A spool of this process."""
    made = Spool(tmp_path / "spool", "account", 10**6)
    yield made
    made.close()
    made.close()


def test_files_are_private(tmp_path: Path, own: Spool) -> None:
    """The folder and every file in it can be read by their owner only."""
    batch = own.write(b"body", 3)
    assert batch is not None
    assert own.read(batch) == b"body"
    paths = [own._folder, *own._folder.iterdir()]
    assert len(paths) == 3
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}
    own.remove(batch)
    own.remove(batch)
    assert files(own._folder) == []


def test_an_outage_and_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    """Spans of a process that is killed while the service is unavailable are sent by the next one, exactly once."""
    receiver.play = lambda _: 503
    assert ended(start("sigkill", receiver, 3000, str(tmp_path))) == -9
    assert receiver.spans == []
    assert len(files(tmp_path)) >= 5
    receiver.play = lambda _: None
    assert ended(start("exit", receiver, 0, str(tmp_path))) == 0
    assert numbers(receiver) == list(range(3000))
    assert files(tmp_path) == []
    assert files(tmp_path, ".lock") == []


def test_an_outage_at_the_end(client: Enprompta, receiver: Receiver, tmp_path: Path) -> None:
    """Spans that cannot be sent at shutdown stay in the spool; they count as neither sent nor dropped."""
    receiver.play = lambda _: 503
    tracing = Tracing(client, interval=60, spool=tmp_path)
    record(tracing, 700)
    assert not tracing.shutdown(deadline=0.5)
    assert (tracing.stats.sent, tracing.stats.dropped, tracing.stats.waiting) == (0, 0, 700)
    receiver.play = lambda _: None
    with Tracing(client, interval=0.02, spool=tmp_path) as following:
        until(lambda: following.stats.resent == 700)
    assert len(receiver.spans) == 700


def test_bodies_leave_memory_during_an_outage(client: Enprompta, receiver: Receiver, tmp_path: Path) -> None:
    """Batches that wait on disk take no memory."""
    receiver.play = lambda _: 503
    with Tracing(client, interval=60, spool=tmp_path, max_bytes=10_000) as tracing:
        for _ in range(5):
            record(tracing, 512)
            tracing.flush(deadline=0.05)
            until(lambda: not tracing._exporter._queue and not tracing._exporter._encoding)
        assert [batch.body for batch in tracing._exporter._outbox] == [None] * 5
        assert tracing._exporter._outbox_bytes == 0
        receiver.play = lambda _: None
        assert tracing.flush()
    # A request that was given up may arrive all the same.
    assert len({span.span_id for span in receiver.spans}) == 2560


def test_accounts_and_living_processes_are_left_alone(tmp_path: Path) -> None:
    """Only batches of this account whose process has ended are taken over, once."""
    leave_behind(tmp_path, "account", 3)
    leave_behind(tmp_path, "another", 2)
    living = Spool(tmp_path, "account", 10**6)
    living.write(b"mine", 1)
    first, second = Spool(tmp_path, "account", 10**6), Spool(tmp_path, "account", 10**6)
    found = first.take_over()
    assert [first.read(batch) for batch in found] == [b"body 0", b"body 1", b"body 2"]
    assert [batch.span_count for batch in found] == [0, 1, 2]
    assert second.take_over() == []
    assert first.take_over() == []  # looked a moment ago
    for one in (living, first, second):
        one.close()
    assert len(files(tmp_path)) == 6
    assert files(tmp_path, ".lock") == []


def test_a_file_that_another_process_takes_first(own: Spool, tmp_path: Path) -> None:
    """Of two processes that take over the same files, each file goes to one."""
    leave_behind(own._folder, "account", 1)
    listed = own._left_behind

    def raced(*arguments: Any) -> Any:
        for batch in listed(*arguments):
            batch.path.unlink()
            yield batch

    own._left_behind = raced  # type: ignore[method-assign]
    assert own.take_over() == []


def test_damaged_files_are_set_aside(client: Enprompta, receiver: Receiver, tmp_path: Path) -> None:
    """A file that has changed is renamed, counted and never sent; the others are sent."""
    receiver.play = lambda _: 503
    for _ in range(2):
        tracing = Tracing(client, interval=60, spool=tmp_path)
        record(tracing, 3)
        assert not tracing.shutdown(deadline=0.2)
    damaged = tmp_path / files(tmp_path)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (tmp_path / f"{damaged.name[:16]}-0-1.otlp").write_bytes(b"")
    receiver.play = lambda _: None
    with Tracing(client, interval=60, spool=tmp_path) as tracing:
        assert tracing.flush()
        assert (tracing.stats.sent, tracing.stats.invalid) == (3, 3)
    assert len(files(tmp_path, ".damaged")) == 2
    assert files(tmp_path) == []


def test_damaged_files_are_bounded(own: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest damaged files are kept; a file that is gone is no error of the spool."""
    monkeypatch.setattr(spool, "MAX_DAMAGED", 2)
    for _ in range(4):
        batch = own.write(b"body", 1)
        assert batch is not None
        batch.path.write_bytes(b"other")
        with pytest.raises(DamagedFileError, match="checksum"):
            own.read(batch)
    with pytest.raises(DamagedFileError):
        own.read(batch)
    assert len(files(own._folder, ".damaged")) == 2


def test_a_full_spool(tmp_path: Path) -> None:
    """A spool takes no more than its bytes, counting what other processes left."""
    full = Spool(tmp_path, "account", 1000)
    assert full.write(b"x" * 2000, 1) is None
    assert full.write(b"x" * 500, 1) is not None
    assert full.write(b"x" * 500, 1) is None
    full.close()
    following = Spool(tmp_path, "account", 1000)
    assert len(following.take_over()) == 1
    assert following.write(b"x" * 500, 1) is None
    following.close()


def test_a_folder_that_vanishes(own: Spool) -> None:
    """Without its folder a spool keeps nothing and raises nothing."""
    for path in own._folder.iterdir():
        path.unlink()
    own._folder.rmdir()
    assert own.write(b"body", 1) is None
    assert own.take_over() == []


def test_after_a_fork(own: Spool) -> None:
    """A child owns other files than its parent, whose lock stays locked."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        own.after_fork()
        batch = own.write(b"child", 1)
        os.write(write, str(batch.path.name if batch else "").encode())
        os._exit(0)
    os.waitpid(child, 0)
    name = os.read(read, 1000).decode()
    assert own._owner not in name
    other = Spool(own._folder, "account", 10**6)
    assert [other.read(batch) for batch in other.take_over()] == [b"child"]
    assert own._lock_path.exists()
    other.close()
    os.close(read)
    os.close(write)


def test_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows a process has ended if its lock can be deleted."""
    monkeypatch.setattr(spool, "fcntl", None)
    dead = Spool(tmp_path, "account", 10**6)
    dead.write(b"body", 1)
    os.close(dead._lock)
    dead._lock = -1
    own = Spool(tmp_path, "account", 10**6)
    assert [own.read(batch) for batch in own.take_over()] == [b"body"]
    own.close()


def test_where_files_cannot_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module loads without `fcntl`, which Windows does not have."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "fcntl", missing)
    spec = importlib.util.spec_from_file_location("spool_without_fcntl", spool.__file__)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, loaded)
    spec.loader.exec_module(loaded)
    assert loaded.fcntl is None


def test_a_deleted_folder_after_a_fork(tmp_path: Path) -> None:
    """A child that cannot write to the spool keeps its batches in memory."""
    own = Spool(tmp_path / "spool", "account", 10**6)
    for path in own._folder.iterdir():
        path.unlink()
    own._folder.rmdir()
    own.after_fork()
    own.after_fork()
    assert own.write(b"body", 1) is None


def test_a_deleted_lock(own: Spool, tmp_path: Path) -> None:
    """A lock or batch that another process deletes meanwhile counts as free, and takes no space."""
    assert own._has_ended(tmp_path / "gone.lock")
    assert spool._size(tmp_path / "gone.otlp") == 0
