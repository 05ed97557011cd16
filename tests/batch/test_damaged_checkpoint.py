"""A damaged or malicious checkpoint raises a `CheckpointError` that says what to do."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from enprompta import Enprompta, EnpromptaError
from enprompta.batch import CheckpointError
from tests.batch.conftest import Service, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import httpx

ROWS = [{"n": str(number)} for number in range(300)]


@pytest.fixture
def service() -> Service:
    """Provide a service that refuses row 7."""
    service = Service()
    service.answer = {"7": refused(400)}.get
    return service


@pytest.fixture
def client(service: Service) -> Iterator[Enprompta]:
    """Provide a client of the service."""
    with (
        httpx.Client(transport=service) as http,
        Enprompta(api_key="ep_damaged", limiter=None, max_retries=0, http_client=http) as client,
    ):
        yield client


@pytest.fixture
def file(client: Enprompta, tmp_path: Path) -> Path:
    """Provide a checkpoint of 300 rows."""
    path = tmp_path / "run.db"
    execute(client, path)
    return path


def execute(client: Enprompta, path: Path, **options: Any) -> list[Any]:
    """Execute, or resume."""
    return list(client.prompts.execute_many("p", ROWS, checkpoint=path, retry_failed=False, **options))


def change(path: Path, *statements: str) -> None:
    """Change a checkpoint behind the library's back."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def loosened(column: str, value: str, where: str = "idx = 7") -> tuple[str, ...]:
    """List statements that set a column to a value that the schema refuses."""
    return (
        "CREATE TABLE loose AS SELECT * FROM rows",
        "DROP TABLE rows",
        "ALTER TABLE loose RENAME TO rows",
        f"UPDATE rows SET {column} = {value} WHERE {where}",
    )


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (loosened("digest", "NULL"), "damaged at row 7: its digest"),
        (loosened("digest", "'text'"), "damaged at row 7: its digest"),
        (loosened("digest", "x'00'"), "damaged at row 7: its digest"),
        (loosened("ok", "NULL"), "damaged at row 7: its state"),
        (loosened("ok", "2"), "damaged at row 7: its state"),
        (loosened("attempt", "'one'"), "damaged at row 7: its number of attempts"),
        (loosened("attempt", "-1"), "damaged at row 7: its number of attempts"),
        (loosened("failed_repairs", "-1"), "damaged at row 7: its number of failed repairs"),
        (loosened("credits", "1.5"), "damaged at row 7: its number of credits"),
        (loosened("credits", "NULL"), "damaged at row 7: its number of credits"),
        (loosened("cost", "'dear'"), "damaged at row 7: its cost"),
        (loosened("cost", "NULL"), "damaged at row 7: its cost"),
        (loosened("response", "NULL", "idx = 8"), "damaged at row 8: its response"),
        (loosened("response", "'{}'", "idx = 8"), "damaged at row 8: its response"),
        (loosened("earlier", "x'00'", "idx = 8"), "damaged at row 8: its earlier executions"),
        (loosened("error", "NULL"), "damaged at row 7: its error"),
        (loosened("error", "'{}'", "idx = 8"), "damaged at row 8: its error"),
        (loosened("error", "5"), "damaged at row 7: its error"),
        (loosened("idx", "'seven'"), "damaged at row seven: its place"),
        (loosened("idx", "-1"), "damaged at row -1: its place"),
        *(
            ((f"UPDATE rows SET response = CAST('{response}' AS BLOB) WHERE idx = 8",), "row 8: its response has an un")
            for response in ("{", "[]", '{"id": []}', '{"success": true, "data": {"id": []}}', "null", " ")
        ),
        (("UPDATE rows SET response = x'7bff7d' WHERE idx = 8",), "row 8: its response has an unexpected form"),
        *(
            ((f"UPDATE rows SET earlier = '{earlier}' WHERE idx = 8",), "row 8: its response has an unexpected form")
            for earlier in ("5", "[5]", "[[]]", '{"id": "x"}', "{", "[{}]")
        ),
        (("UPDATE rows SET earlier = CAST(x'7bff7d' AS TEXT) WHERE idx = 8",), "row 8: Could not"),
        *(
            ((f"UPDATE rows SET error = '{json.dumps(error)}' WHERE idx = 7",), "damaged at row 7: its error")
            for error in (
                [], 5, None, {}, {"type": "APIStatusError"}, {"type": [], "message": "x"},
                {"type": "x", "message": None},
                {"type": "BadRequestError", "message": "x", "status_code": "no", "code": "x", "request_id": None},
                {"type": "BadRequestError", "message": "x", "status_code": 400, "code": 5, "request_id": None},
                {"type": "BadRequestError", "message": "x", "status_code": [], "code": None, "request_id": None},
                {"type": "BadRequestError", "message": "x", "status_code": 400, "code": None},
            )
        ),
        (("UPDATE rows SET error = '{' WHERE idx = 7",), "damaged at row 7: its error"),
        (("UPDATE rows SET error = replace(hex(zeroblob(50000)), '0', '[') WHERE idx = 7",), "row 7: its error"),
        (("DELETE FROM run WHERE name = 'run_id'",), "damaged: the run_id of its run is missing"),
        (("DELETE FROM run WHERE name = 'format'",), "damaged: the format of its run is missing"),
        (("DELETE FROM run",), "damaged: the format of its run is missing"),
        (("UPDATE run SET value = x'00' WHERE name = 'path'",), "damaged: the path of its run is missing"),
        (("UPDATE run SET value = '{' WHERE name = 'options'",), "damaged: the options of its run cannot be read"),
        (("UPDATE run SET value = '5' WHERE name = 'options'",), "damaged: the options of its run cannot be read"),
        (("UPDATE run SET value = '9' WHERE name = 'format'",), "another version of enprompta, in format 9. Use that"),
        (("ALTER TABLE rows RENAME COLUMN digest TO other",), "damaged: no such column: digest"),
        (("DROP TABLE rows", "CREATE VIEW rows AS SELECT 1 AS idx"), "damaged: "),
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_says_what_to_do(
    client: Enprompta, service: Service, file: Path, statements: tuple[str, ...], says: str
) -> None:
    """Any invalid content of a row or of the run's facts is one error with the row and the cure; nothing is sent."""
    change(file, *statements)
    service.requests.clear()
    with pytest.raises(CheckpointError) as caught:
        execute(client, file)
    assert says in str(caught.value)
    assert any(
        cure in str(caught.value) for cure in ("Restore the file from a copy, or", "delete the file to start over")
    )
    assert service.requests == []


def test_a_damaged_row_can_be_repaired(client: Enprompta, service: Service, file: Path) -> None:
    """A deleted row is sent again with its key and not charged twice; the others are restored."""
    keys = set(service.charged)
    change(file, "UPDATE rows SET response = x'7b' WHERE idx = 8")
    with pytest.raises(CheckpointError, match=r"delete the row \(idx = 8 in table rows\) to execute it again"):
        execute(client, file)
    change(file, "DELETE FROM rows WHERE idx = 8")
    results = execute(client, file)
    assert [result.index for result in results if not result.restored] == [8]
    assert set(service.charged) == keys


def test_a_spoilt_name(client: Enprompta, file: Path) -> None:
    """A name in the structure that is not UTF-8, which SQLite's message quotes, is damage too."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    file.write_bytes(file.read_bytes().replace(b"tablerunrun", b"table\xffunru\xff"))
    with pytest.raises(CheckpointError, match=r"is damaged: a name in it cannot be decoded\. Restore the file"):
        execute(client, file)


def test_spoilt_pages(client: Enprompta, file: Path) -> None:
    """With any page overwritten, a run ends with a `CheckpointError`, or has a result for each row."""
    data = file.read_bytes()
    size = 4096
    outcomes: set[str] = set()
    for page in range(len(data) // size):
        for filling in (b"\0" * size, b"\xff" * size, os.urandom(size)):
            file.write_bytes(data[: page * size] + filling + data[(page + 1) * size :])
            try:
                assert len(execute(client, file)) == len(ROWS)
                outcomes.add("complete")
            except CheckpointError as error:
                outcomes.add("damaged" if "damaged" in str(error) else "unusable")
            for beside in ("run.db-wal", "run.db-shm"):
                file.with_name(beside).unlink(missing_ok=True)
    assert {"damaged", "unusable"} <= outcomes


@pytest.mark.parametrize("kind", ["text", "directory", "device", "missing directory", "pipe", "NUL", "link"])
def test_what_is_no_checkpoint(client: Enprompta, tmp_path: Path, kind: str) -> None:
    """Another kind of file and an invalid name are refused with the reason."""
    path = tmp_path / "run.db"
    if kind == "text":
        path.write_text("n\n1\n" * 1_000)
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    else:
        path = tmp_path / "missing" / "run.db" if kind == "missing directory" else tmp_path / "a\0b"
    with pytest.raises(CheckpointError, match="cannot be used as a checkpoint"):
        execute(client, path)


def test_a_file_that_cannot_be_written(client: Enprompta, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file is refused before anything is sent; the text says what to do."""
    connect = sqlite3.connect

    def read_only(path: str, **options: Any) -> Any:
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    monkeypatch.setattr("enprompta.batch.checkpoint.sqlite3.connect", read_only)
    with pytest.raises(CheckpointError, match=r"cannot be used as a checkpoint: .* Use a file in a directory that"):
        execute(client, file)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
@pytest.mark.parametrize("link", [False, True])
def test_only_the_owner_can_read_a_checkpoint(client: Enprompta, tmp_path: Path, umask: int, *, link: bool) -> None:
    """With any umask, the file and its SQLite companions have mode 0600, through a link too."""
    path = tmp_path / "run.db"
    if link:
        path.symlink_to(tmp_path / "there.db")
    before = os.umask(umask)
    try:
        run = client.prompts.execute_many("p", ROWS, checkpoint=path)
        modes: dict[str, int] = {}
        for _ in run:
            modes |= {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    finally:
        os.umask(before)
    real = "there.db" if link else "run.db"
    assert modes[real] == modes[f"{real}-wal"] == 0o600
    assert set(modes.values()) == {0o600}


def test_a_mode_that_was_chosen_stays(client: Enprompta, file: Path) -> None:
    """A checkpoint that its owner has shared stays shared."""
    file.chmod(0o640)
    execute(client, file)
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_error_that_is_not_ours_is_a_plain_one(client: Enprompta, file: Path) -> None:
    """A class named in the file is created only if it belongs to the library."""
    for name in ("SystemExit", "__class__", "subprocess.Popen", "APIStatusError", "ExecutionFailedError"):
        known = {"type": name, "message": "x", "status_code": 418, "code": None, "request_id": None}
        change(file, f"UPDATE rows SET error = '{json.dumps(known)}' WHERE idx = 7")
        error = execute(client, file)[7].error
        assert isinstance(error, EnpromptaError)
        assert "x" in str(error)
