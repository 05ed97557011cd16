"""Row files as spreadsheets and programs write them: read as intended, or refused with one line."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enprompta import ConfigurationError
from enprompta.batch import RowError, read_rows, row_formats
from enprompta.models import Prompt, PromptVariable

if TYPE_CHECKING:
    from pathlib import Path

MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff")  # UTF-16 and UTF-32, both byte orders
cells = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
PROMPT = Prompt(
    id="p",
    title="t",
    content="{{topic}} for {{who}} {{style}}",
    variables=[
        PromptVariable(name="topic", required=True),
        PromptVariable(name="who", default="all"),
        PromptVariable(name="tone", required=False),
        PromptVariable(name="place", required=True, default="here"),
    ],
)


def file(tmp_path: Path, name: str, data: str | bytes) -> Path:
    """Write a file."""
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "\ufefftopic\nx\n"),
        ("a.csv", '\ufeff"topic"\r\n"x"\r\n'),
        ("a.csv", "topic\rx\r"),
        ("a.csv", "topic\nx"),
        ("a.jsonl", '\ufeff{"topic": "x"}\n'),
        ("a.ndjson", '\n {"topic": "x"} \r\n\r\n'),
        ("a.jsonl", '{"topic": "x"}'),
    ],
)  # fmt: skip
def test_marks_and_line_ends_are_not_data(tmp_path: Path, name: str, text: str) -> None:
    """A byte order mark, any line endings and a missing last one do not change names and values."""
    assert list(read_rows(file(tmp_path, name, text))) == [{"topic": "x"}]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_what_the_csv_module_writes_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    """Quotes, separators and line endings inside quoted fields are preserved exactly."""
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows, ["x", "y"]])
    expected = [row for row in [*rows, ["x", "y"]] if any(cell.strip() for cell in row)]
    read = read_rows(path)
    assert [list(row.values()) for row in read] == expected
    assert read.skipped == len(rows) + 1 - len(expected)


def test_a_field_may_be_of_any_length(tmp_path: Path) -> None:
    """A cell beyond the limit of the `csv` module is read, and the limit is restored afterwards."""
    before = csv.field_size_limit()
    long = "x" * 300_000
    assert list(read_rows(file(tmp_path, "a.csv", f"topic,who\n{long},y\n"))) == [{"topic": long, "who": "y"}]
    assert csv.field_size_limit() == before


def test_empty_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    """Table rows with only empty cells are skipped; empty JSON objects are kept."""
    rows = read_rows(file(tmp_path, "a.csv", "topic,who\nx,y\n,\n , \n\nz,\n,\n"))
    assert list(rows) == [{"topic": "x", "who": "y"}, {"topic": "z", "who": ""}]
    assert (len(rows), rows.skipped) == (2, 3)
    one = read_rows(file(tmp_path, "b.csv", 'topic\nx\n\n""\ny\n'))
    assert ([row["topic"] for row in one], one.skipped) == (["x", "y"], 2)
    objects = read_rows(file(tmp_path, "a.jsonl", '{"topic": "", "who": null}\n'))
    assert (len(objects), objects.skipped) == (1, 0)
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"topic": ["a", None, "b"], "n": [1, None, None]}), tmp_path / "a.parquet")
    table = read_rows(tmp_path / "a.parquet")
    assert ([row["topic"] for row in table], table.skipped) == (["a", "b"], 1)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"topic": "", "style": "s", "place": "x"}, "topic"),
        ({"topic": " \t", "style": "s", "place": "x"}, "topic"),
        ({"topic": "t", "style": "", "place": "x"}, "style"),  # not declared, and used by the text
        ({"topic": "t", "style": "s", "place": ""}, "place"),  # empty text would replace the default
        ({"topic": "t", "style": "s", "place": "x", "who": "", "tone": ""}, None),
    ],
)
def test_a_required_value_is_not_empty(tmp_path: Path, row: dict[str, str], column: str | None) -> None:
    """An empty cell of a required variable is refused with its line before anything is charged; others may be empty."""
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        writer.writeheader()
        writer.writerow(row)
    if column is None:
        assert len(read_rows(path, prompt=PROMPT)) == 1
        return
    with pytest.raises(
        RowError, match=rf"line 2, column '{column}': the cell is empty, and the prompt requires a value"
    ):
        read_rows(path, prompt=PROMPT)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", "topic,who\n", "a.csv has no rows below the line with the column names"),
        ("a.csv", "", "a.csv has no rows"),
        ("a.csv", "topic,who\n,\n , \n", "a.csv has no rows: all cells of its 2 rows are empty"),
        ("a.csv", "\n\nx\n", "line 1 must have the column names"),
        ("a.csv", ",,\nx,y,z\n", "line 1 must have the column names"),
        ("a.csv", "a,b,a\n1,2,3\n", "line 1: there are two columns 'a'"),
        ("a.csv", 'a,b\n1,2\n3,"x\ny\nz\n', "line 3: a quoted field of this row is not closed"),
        ("a.csv", 'a\n"x"y\n', "line 2: "),
        ("a.csv", 'a,b\r\n"1\r\n2",3\r\n4\r\n', "line 4: the row ends before column 'b'"),
        ("a.csv", "a\nx\n\0\n", "line 3 has a NUL byte"),
        ("a.csv", "a\n\0x\n".encode("utf-16-le"), "line 1 has a NUL byte: it is not text, or text in UTF-16"),
        ("a.csv", b"a\nx\ncaf\xe9\n", "line 3 is not UTF-8. Save the file as UTF-8"),
        ("a.csv", b"a\n" + b"x\n" * 600_000 + b"caf\xe9\n", "line 600002 is not UTF-8"),
        ("a.csv", b"a\nx\n\xc3", "line 3 is not UTF-8"),
        ("a.csv", b"\x1f\x8b\x08\0\0", "a.csv is compressed with gzip, not text: unpack or export it first"),
        ("a.csv", b"PK\x03\x04xl", "a.csv is a zip archive or a workbook, not text"),
        ("a.jsonl", "", "a.jsonl has no rows"),
        ("a.jsonl", "[\n", "line 1 is not JSON: "),
        ("a.jsonl", '[{"a": 1}]\n', "line 1 is a list, not an object of columns and values"),
        ("a.jsonl", '"a"\n', "line 1 is a text, not an object"),
        ("a.jsonl", "1.5\n", "line 1 is a number, not an object"),
        ("a.jsonl", "true\n", "line 1 is a boolean, not an object"),
        ("a.jsonl", "null\n", "line 1 is null, not an object"),
        ("a.jsonl", '{"a": 1}\n{"a": 1} {"a": 2}\n', "line 2 is not JSON: Extra data"),
        ("a.jsonl", '{"a": 1, "b": 2, "a": 3}\n', "line 1 is not JSON: 'a' occurs twice"),
        ("a.jsonl", '{"a": NaN}\n', "line 1 is not JSON: NaN is not a number"),
        ("a.jsonl", '{"a": ' + "[" * 100_000 + "\n", "line 1 is not JSON: it is nested too deeply."),
        ("a.jsonl", '{"a": ' + "9" * 5_000 + "}\n", "line 1 is not JSON: a number has too many digits."),
        ("a.jsonl", '{"a": "\0"}\n', "line 1 is not JSON: Invalid control character"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "line 2 is not UTF-8"),
        *((name, mark + b"x\0", "is UTF-16 or UTF-32, not UTF-8") for mark in MARKS for name in ("a.csv", "a.jsonl")),
    ],
)  # fmt: skip
def test_an_error_names_its_line(tmp_path: Path, name: str, data: str | bytes, says: str) -> None:
    """An unreadable file is an error that names the file, the line and what to do."""
    with pytest.raises(RowError) as caught:
        read_rows(file(tmp_path, name, data))
    assert says in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without line feeds ends with an error once the longest line is exceeded."""
    monkeypatch.setattr(row_formats, "MAX_LINE", 100)
    with pytest.raises(RowError, match="line 2 is longer than 100 characters: JSON Lines has one object per line"):
        read_rows(file(tmp_path, "a.jsonl", '{"a": 1}\n[' + "{}," * 100))


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path, kind: str, ending: str) -> None:
    """Pipes and devices are refused, because rows are read twice."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{ending}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be read: (Not a regular file|Is a directory)"):
        read_rows(path)


def parquet_bytes(tmp_path: Path, columns: Any) -> bytes:
    """Write a table and return its file."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns)
    parquet.write_table(table, tmp_path / "good.parquet", row_group_size=10, compression="NONE")
    return (tmp_path / "good.parquet").read_bytes()


def test_broken_parquet_is_a_row_error(tmp_path: Path) -> None:
    """A truncated or altered Parquet file is read, or refused with one line that names it."""
    data = parquet_bytes(tmp_path, {"topic": [f"topic {number}" for number in range(30)], "n": list(range(30))})
    broken = [b"", b"PAR1", b"PAR1PAR1", b"topic\nx\n", data[:100], data[:-1], data[:-4] + b"XXXX", b"\0" * 5_000]
    broken += [data[:at] + b"\xff" * 8 + data[at + 8 :] for at in range(0, len(data), max(1, len(data) // 150))]
    refused: list[str] = []
    for one in broken:
        try:
            list(read_rows(file(tmp_path, "a.parquet", one)))
        except RowError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all("a.parquet" in text and "\n" not in text for text in refused)


def test_a_file_that_breaks_after_some_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says after which row; duplicate column names are refused."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = parquet_bytes(tmp_path, pyarrow.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(RowError, match="there are two columns 'a'"):
        read_rows(file(tmp_path, "a.parquet", data))

    class Breaking(parquet.ParquetFile):
        def iter_batches(self) -> Any:
            yield from super().iter_batches()
            raise OSError

    monkeypatch.setattr(parquet, "ParquetFile", Breaking)
    good = parquet_bytes(tmp_path, {"a": [1, 2]})
    with pytest.raises(RowError, match=r"a\.parquet is not readable as Parquet after row 2: OSError"):
        read_rows(file(tmp_path, "a.parquet", good))
