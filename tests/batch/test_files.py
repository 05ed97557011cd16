"""Rows from files: read lazily, and validated before the first one is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from enprompta import ConfigurationError
from enprompta.batch import RowError, read_rows
from enprompta.models import Prompt, PromptVariable

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = Prompt(
    id="p",
    title="t",
    content="{{topic}} for {{who}}",
    variables=[
        PromptVariable(name="topic", required=True),
        PromptVariable(name="who", default="all"),
        PromptVariable(name="count", type="number", required=False),
    ],
)


def file(tmp_path: Path, name: str, text: str | bytes) -> Path:
    """Write a file."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv(tmp_path: Path) -> None:
    """CSV yields a mapping per row, handles quotes, line breaks and a byte order mark, and has a length."""
    path = file(tmp_path, "a.csv", '\ufefftopic,id\r\n"a, b\nc",1\r\n\r\nd,2\r\n')
    rows = read_rows(path)
    assert list(rows) == list(rows) == [{"topic": "a, b\nc", "id": "1"}, {"topic": "d", "id": "2"}]
    assert len(rows) == 2
    assert rows.variables == ("topic", "id")


def test_json_lines(tmp_path: Path) -> None:
    """JSON Lines yields an object per line and skips blank lines."""
    path = file(tmp_path, "a.jsonl", '{"topic": "a", "n": 1}\n\n{"topic": "b"}\n')
    rows = read_rows(str(path))
    assert list(rows) == [{"topic": "a", "n": 1}, {"topic": "b"}]
    assert rows.variables == ("topic", "n")


def test_parquet(tmp_path: Path) -> None:
    """Parquet is read in batches."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"topic": ["a", "b"], "count": [1, 2]}), path)
    rows = read_rows(path, prompt=PROMPT)
    assert list(rows) == [{"topic": "a", "count": 1}, {"topic": "b", "count": 2}]


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed, the error says so."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigurationError, match="pip install pyarrow"):
        read_rows(file(tmp_path, "a.parquet", b"PAR1"))


def test_the_variables_are_those_of_the_prompt(tmp_path: Path) -> None:
    """Columns unknown to the prompt stay in the rows, but are not variables."""
    path = file(tmp_path, "a.csv", "id,who,topic\n1,me,x\n")
    rows = read_rows(path, prompt=PROMPT)
    assert list(rows) == [{"id": "1", "who": "me", "topic": "x"}]
    assert rows.variables == ("who", "topic")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "who\nme\n", "line 2: there is no column 'topic', which the prompt needs; the columns are: who"),
        ("a.csv", "topic,count\nx,1\ny,many\n", "line 3, column 'count': "),
        ("a.csv", "topic,who\nx\n", "line 2: the row ends before column 'who'"),
        ("a.csv", "topic\nx\ny,z\n", "line 3: the row has 2 fields, and there are 1 columns"),
        ("a.csv", "topic,topic\nx,y\n", "line 1: there are two columns 'topic'"),
        ("a.csv", 'topic\n"x"y\n', "line 2: "),
        ("a.csv", b"topic\n\xff\n", "line 2 is not UTF-8. Save the file as UTF-8"),
        ("a.jsonl", '{"topic": "x"}\n{"who": "y"}\n', "line 2: there is no column 'topic'"),
        ("a.jsonl", '{"topic": null}\n', "line 1, column 'topic'"),
        ("a.jsonl", '{"topic": \n', "line 1 is not JSON"),
        ("a.jsonl", "\n[1]\n", "line 2 is a list, not an object"),
        ("a.jsonl", "{}\n", "the columns are: none"),
    ],
)
def test_a_bad_row_is_found_before_the_first_one(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    """An error in a file names the line and the column, before any row is returned."""
    with pytest.raises(RowError) as caught:
        read_rows(file(tmp_path, name, text), prompt=PROMPT)
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and an unknown format are configuration errors."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_rows(tmp_path / "a.csv")
    with pytest.raises(ConfigurationError, match="has an unknown format"):
        read_rows(tmp_path / "a.xlsx")
    assert len(read_rows(file(tmp_path, "rows.txt", "topic\nx\n"), format="csv")) == 1


def test_a_file_is_not_held_in_memory(tmp_path: Path) -> None:
    """Rows are read one by one, and can be read again."""
    rows = read_rows(file(tmp_path, "a.csv", "topic\n" + "x\n" * 1000))
    assert next(iter(rows)) == {"topic": "x"}
    assert len(rows) == 1000
