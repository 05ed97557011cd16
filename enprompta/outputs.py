"""Read the output of a model into a type: find the JSON in a text, and validate it with pydantic.

    summary = parse_output(text, Summary)     # a pydantic model, a TypedDict, a dataclass, or list[...] of them

The whole text may be JSON, or JSON may stand in a fenced block or in prose. The order is: the whole text, fenced
blocks, then objects and arrays in prose. Among several that match the type, the last one wins, because models draft
first and answer last. An object inside another one is never used in its place.

Time and memory are linear in the text, also for a hostile text: each character is read a bounded number of times.
"""

from __future__ import annotations

import dataclasses
import re
from array import array
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from enprompta.errors import ConfigurationError, OutputError
from enprompta.models.base import fail_fast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["OutputReader", "parse_output", "reader_for"]

T = TypeVar("T")

PLACE = "place"
"""The context of a `PydanticCustomError` that has the place, for validators of whole values."""
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*$", re.MULTILINE)
_OPENER = re.compile(r"[\[{]")
# A string of JSON has no line feed. Without its closing quote, the token ends where the attempt fails.
_TOKEN = re.compile(r'[\[\]{}]|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?')
_POSITION = re.compile(r" at line (\d+) column (\d+)$")
_PASSES = 8  # times that each character is read, at most, to find JSON in prose
_OVERHEAD = 64  # characters that one candidate counts as, in addition to its own
_MAX_NAME = 80  # characters of a type's name in a message


class _Problem(NamedTuple):
    """Why a candidate cannot be used."""

    what: str
    path: str | None = None
    """The place in the value, such as `items[2].price`."""
    start: int = 0
    """Where the JSON starts in the text."""
    is_json: bool = False
    cause: Exception | None = None


class _Candidate(NamedTuple):
    """A part of the text that may be the answer."""

    start: int
    text: str


class OutputReader(Generic[T]):
    """Reads outputs into one type; `reader_for` caches readers.

    Args:
        output: A pydantic model, TypedDict, dataclass, `list[Model]`, or anything else that `pydantic.TypeAdapter`
            accepts, a `TypeAdapter` included.
        name: What messages call the type; None for its own name.
        schema: The JSON Schema to show to a model; None for that of the type.

    Raises:
        ConfigurationError: pydantic cannot validate this type.
    """

    def __init__(self, output: object, *, name: str | None = None, schema: Mapping[str, Any] | None = None) -> None:
        self._schema = schema
        self.name: str = name or _name_of(output)
        self._adapter: TypeAdapter[T] = _adapter_for(output)

    def read(self, text: str) -> T:
        """Find the JSON in a text and validate it.

        Raises:
            OutputError: The text has no JSON that matches the type.
        """
        if not isinstance(cast("object", text), str):
            raise ConfigurationError(f"the output must be text, not {type(text).__name__}")
        problems: list[_Problem] = []
        for candidates in (_whole(text), reversed(list(_fenced(text)))):
            for one in candidates:
                value, problem = self._validate(one)
                if problem is None:
                    return cast("T", value)
                if problem.is_json:
                    problems.append(problem)
        found, problem = self._in_prose(text)
        if found:
            return found[0]
        raise self._error(text, problems[0] if problems else problem)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the type, to show to a model.

        Raises:
            ConfigurationError: The type has no JSON Schema.
        """
        if self._schema is not None:
            return dict(self._schema)
        try:
            return self._adapter.json_schema()
        except Exception as error:  # noqa: BLE001 (pydantic's, or of the caller's type)
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ConfigurationError(f"{self.name} has no JSON Schema: {why}") from None

    def _validate(self, candidate: _Candidate) -> tuple[T | None, _Problem | None]:
        try:
            # Lone surrogates cannot be encoded, and are not valid in JSON either.
            return self._adapter.validate_json(candidate.text.encode(errors="replace")), None
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            if found["type"] == "json_invalid":
                return None, _Problem(str(found["msg"]), start=candidate.start)
            place = found.get("ctx", {}).get(PLACE) or _path(found["loc"])
            return None, _Problem(str(found["msg"]), place, is_json=True)
        except Exception as error:  # noqa: BLE001 (from the validators of the caller's type; the execution was charged)
            return None, _Problem(f"a validator raised {type(error).__name__}", is_json=True, cause=error)

    def _in_prose(self, text: str) -> tuple[list[T], _Problem | None]:
        """Return the last value that matches, as a list of one or none, and the problem of the last JSON."""
        values: list[T] = []
        last: _Problem | None = None
        scan = _Scan(text)
        for candidate in scan.candidates():
            value, problem = self._validate(candidate)
            if problem is None:
                values = [cast("T", value)]
            elif problem.is_json or last is None or not last.is_json:
                last = problem
            if problem is None or problem.is_json:
                scan.skip_inside()
        if scan.unfinished is not None and (last is None or not last.is_json):
            last = _Problem("its JSON is not complete; raise max_tokens if the output was cut", start=scan.unfinished)
        return values, last

    def _error(self, text: str, problem: _Problem | None) -> OutputError:
        if problem is None:
            what = "it is empty" if not text.strip() else "it has no JSON"
            return OutputError(f"the output does not match {self.name}: {what}", text=text)
        place = problem.path if problem.is_json else _line_and_column(text, problem)
        at = f" at {place}" if place else ""
        what = _POSITION.sub("", problem.what)
        error = OutputError(f"the output does not match {self.name}{at}: {what}", place=place, text=text)
        error.__cause__ = problem.cause
        return error


def parse_output(text: str, output: type[T] | TypeAdapter[T]) -> T:
    """Find the JSON in the text of a model and read it into a type, without a request.

    Args:
        text: The output of a model.
        output: A pydantic model, TypedDict, dataclass, `list[Model]`, or anything else that `pydantic.TypeAdapter`
            accepts.

    Raises:
        OutputError: The text has no JSON that matches the type; `place` has the first place that does not.
        ConfigurationError: pydantic cannot validate this type.
    """
    return reader_for(output).read(text)


def reader_for(output: type[T] | TypeAdapter[T] | OutputReader[T]) -> OutputReader[T]:
    """Return the reader of a type, compiled once for each type; a reader is returned as it is.

    Raises:
        ConfigurationError: pydantic cannot validate this type.
    """
    return reader_for_any(output)


def reader_for_any(output: object) -> OutputReader[Any]:
    """Return the reader of what may be a type, as `reader_for` does."""
    if isinstance(output, OutputReader):
        return cast("OutputReader[Any]", output)
    try:
        return _cached_reader(output)
    except TypeError:  # not hashable, such as some `Annotated` types
        return OutputReader(output)


_cached_reader = lru_cache(maxsize=256)(OutputReader[Any])


def _adapter_for(output: object) -> TypeAdapter[Any]:
    """Compile a type, completely, so that nothing is executed for a type that cannot be used."""
    is_type = isinstance(output, type)
    if isinstance(output, (str, bytes, dict)) or (
        not is_type and (isinstance(output, BaseModel) or dataclasses.is_dataclass(output))
    ):
        kind = type(cast("object", output)).__name__
        raise ConfigurationError(f"output must be a type, such as a pydantic model or list[Model], not a {kind}")
    try:
        is_adapter = isinstance(output, TypeAdapter)
        adapter = cast("TypeAdapter[Any]", output if is_adapter else TypeAdapter(fail_fast(output)))
        with suppress(ValidationError):
            adapter.validate_json(b"")  # raises for undefined names; an empty text is not JSON, so no validator runs
    except (PydanticUserError, NameError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"output cannot be {_name_of(cast('object', output))}: {why}") from None
    return adapter


def _name_of(output: object) -> str:
    name = repr(output) if not isinstance(output, type) or hasattr(output, "__args__") else output.__name__
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"


def _whole(text: str) -> Iterator[_Candidate]:
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped:
        yield _Candidate(len(text) - len(stripped), stripped)


def _fenced(text: str) -> Iterator[_Candidate]:
    """Find the contents of fenced blocks; a block without an end reaches to the end of the text."""
    opened, start = "", 0
    for fence in _FENCE.finditer(text):
        marks = fence[1]
        if not opened:
            opened, start = marks, fence.end()
        elif fence[0].strip().startswith(opened) and not fence[0].strip().strip(opened[0]):
            yield _Candidate(start, text[start : fence.start()])
            opened = ""
    if opened:
        yield _Candidate(start, text[start:])


class _Scan:
    """Finds the outermost balanced objects and arrays of a text; the caller says which of them are JSON.

    An attempt starts at a bracket and follows strings and brackets. Where it fails, every bracket that is still open
    fails with it, so none of them is tried again. Brackets that an attempt saw inside a string are tried later, and a
    budget bounds the work.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: array[int] = array(
            "q", bytes(8 * len(text))
        )  # where the bracket at each place closes; -1 if it does not
        self._budget: int = _PASSES * len(text) + 1_000
        self._at = 0
        self._end = 0
        self.unfinished: int | None = None
        """Where JSON starts that the end of the text cuts off; None if there is none."""

    def skip_inside(self) -> None:
        """Continue after the current candidate, because it is JSON."""
        self._at = self._end

    def candidates(self) -> Iterator[_Candidate]:
        """Yield balanced parts of the text, in order."""
        while (opener := _OPENER.search(self._text, self._at)) is not None and self._budget > 0:
            start = opener.start()
            self._at = start + 1
            if not self._ends[start]:
                self._attempt(start)
            end = self._ends[start]
            if end > 0:
                self._end = end
                self._budget -= end - start + _OVERHEAD
                yield _Candidate(start, self._text[start:end])

    def _attempt(self, start: int) -> None:
        stack: list[int] = []
        text, ends = self._text, self._ends
        stop, was_cut = len(text), True
        for token in _TOKEN.finditer(text, start):
            at, mark = token.start(), token[0]
            if mark in "[{":
                stack.append(at)
            elif mark in "]}":
                if text[stack[-1]] != ("[" if mark == "]" else "{"):
                    stop, was_cut = at, False
                    break
                ends[stack.pop()] = at + 1
                if not stack:
                    stop, was_cut = at + 1, False
                    break
            elif len(mark) == 1 or mark[-1] != '"':
                stop, was_cut = token.end(), token.end() >= len(text)
                break
        for failed in stack:
            ends[failed] = -1
        if was_cut and self.unfinished is None:
            self.unfinished = start
        self._budget -= stop - start


def _line_and_column(text: str, problem: _Problem) -> str:
    """Return the place of a syntax error in the whole text."""
    found, start = _POSITION.search(problem.what), problem.start
    line, column = (int(found[1]), int(found[2])) if found else (1, 1)
    if line == 1:
        column += start - (text.rfind("\n", 0, start) + 1)
    return f"line {text.count(chr(10), 0, start) + line}, column {column}"


def _path(loc: tuple[int | str, ...]) -> str:
    """Write a place as Python does: `items[2].price`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".") or "its top"
