"""Databases are created for their owner alone."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from enprompta._common.private_files import create_private
from enprompta.emulator.database import Database
from enprompta.webhooks import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def emulator(path: Path) -> Callable[[], None]:
    """Open an emulator's database."""
    return Database(path).close


def store(path: Path) -> Callable[[], None]:
    """Open a store of webhook events, and use it."""
    opened = SQLiteStore(path)
    opened.claim("event", "token", 1)
    return opened.close


@pytest.mark.parametrize("make", [emulator, store])
@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_the_owner_can_read_a_database(
    make: Callable[[Path], Callable[[], None]], umask: int, tmp_path: Path
) -> None:
    """The file, its log and its index have mode 0600 whatever the umask, and a mode that was chosen stays."""
    path = tmp_path / "x.db"
    before = os.umask(umask)
    try:
        close = make(path)
        modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
        close()
    finally:
        os.umask(before)
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}
    path.chmod(0o640)
    make(path)()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_is_private_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is created with its mode, by one of many who try at once, and never emptied."""
    modes: list[int] = []
    change = os.chmod

    def look(descriptor: int, mode: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        change(descriptor, mode)

    monkeypatch.setattr("enprompta._common.private_files.os.chmod", look)
    monkeypatch.setattr("enprompta._common.private_files.os.supports_fd", {look})
    path = tmp_path / "x.db"
    threads = [threading.Thread(target=create_private, args=(path,)) for _ in range(8)]
    before = os.umask(0)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.umask(before)
    assert modes == [0o600]
    path.write_text("kept")
    create_private(path)
    assert path.read_text() == "kept"


def test_databases_without_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and temporary databases make no file of their names."""
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", ""):
        create_private(name)
        with closing(sqlite3.connect(name)) as db:
            db.execute("CREATE TABLE x (y)")
    create_private(tmp_path / "missing" / "x.db")
    create_private("a\0b")
    assert list(tmp_path.iterdir()) == []
