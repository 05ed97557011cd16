"""The calls of a run: how a row becomes a call with its own idempotency key. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast
from urllib.parse import unquote

from pydantic_core import to_json

from enprompta._common import values as conversions
from enprompta._common.narrowing import is_mapping
from enprompta._core.body import encode_json
from enprompta._core.call import Call, WriteOptions
from enprompta.batch.errors import RowError
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.models.executions import Execution

RowT = TypeVar("RowT")
Variables: TypeAlias = "Callable[[RowT], Mapping[str, Any]] | Mapping[str, str] | Collection[str] | None"

_LONGEST_TEXT = 60  # characters of a value in a message
_LISTED = 10  # columns that a message lists


@dataclass(slots=True)  # not frozen, which would take four times as long to create
class RowTask(Generic[RowT]):
    """A row that is ready to be sent; never changed."""

    index: int
    row: RowT
    variables: Mapping[str, Any]
    content: bytes
    """The request body."""
    digest: bytes
    """Hash of the run, the index, the prompt and the request body."""
    attempt: int = 0
    """Number of failed executions of the row; it is part of the key, because the API repeats its response for a key."""
    failed_repairs: int = 0
    """Number of times that it was executed and charged, and a repair of its output failed at the provider."""
    credits: int = 0
    """Credits that earlier runs were or may have been charged for it under this key."""

    @property
    def key(self) -> str:
        """The idempotency key.

        A row that is sent again, after a crash or on another machine, has the same key. Another row with equal content
        has another.
        """
        digest = sha256(b"%b\0%d" % (self.digest, self.attempt)).digest() if self.attempt else self.digest
        return digest.hex()


class CallTemplate(Generic[RowT]):
    """The call that all rows share, and how to get the variables of a row.

    Args:
        call: The call of a row, without variables.
        variables: A function that returns a row's variables, the column for each variable, or a list of columns; None
            if each row is the mapping of its variables.
        run_id: The id that distinguishes this run from others.
        skip_nulls: True if None in a row means that the variable has no value, as a null in a file does.
    """

    def __init__(
        self, call: Call[Execution], variables: Variables[RowT], run_id: str, *, skip_nulls: bool = False
    ) -> None:
        self.shared: Call[Execution] = call
        """The call that all rows share."""
        self._body: Mapping[str, object] = cast("Mapping[str, object]", call.json)
        self._function = variables if callable(variables) else None
        self._columns = _columns(variables)
        self._skip_nulls = skip_nulls
        # Encoded here, so that invalid options are reported before the first row. Rows differ in what follows.
        self._opening = encode_json({**self._body, "variables": {}}).removesuffix(b"{}}")
        self.run_id = run_id

    @property
    def run_id(self) -> str:
        """The id that distinguishes this run from others."""
        return self._run_id

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._run_id = run_id
        self._base = sha256(b"%b\0%b\0%b" % (run_id.encode(), self.path.encode(), self._opening))

    @property
    def path(self) -> str:
        """The path that rows are sent to; it contains the prompt's id."""
        return self.shared.path

    @property
    def prompt_id(self) -> str:
        """The prompt's id."""
        return unquote(self.path.removeprefix("/prompts/").removesuffix("/execute"))

    @property
    def options(self) -> str:
        """The options that all rows share, as JSON."""
        return encode_json(dict(sorted(self._body.items()))).decode()

    def task(self, index: int, row: RowT) -> RowTask[RowT]:
        """Prepare a row for sending.

        Raises:
            RowError: The row has no valid variables.
        """
        variables = self.variables(index, row)
        try:
            if (written := _texts_json(variables)) is None:
                variables = conversions.variables(variables)
                written = encode_json({"variables": variables})[len(b'{"variables":') : -1]
        except conversions.RefusedValueError as refused:
            raise RowError(f"row {index} cannot be sent: {refused.at('variables')}") from None
        except ConfigurationError as error:
            raise RowError(f"row {index} cannot be sent: {error.message}", variables=variables) from error
        digest = self._base.copy()
        digest.update(written + b"\0%d" % index)
        return RowTask(index, row, variables, self._opening + written + b"}", digest.digest())

    def call(self, task: RowTask[RowT]) -> Call[Execution]:
        """Return the call of a row."""
        options: WriteOptions = {"idempotency_key": task.key}
        body = {**self._body, "variables": task.variables}
        return Call("POST", self.path, self.shared.returns, json=body, options=options)

    def variables(self, index: int, row: RowT) -> dict[str, Any]:
        """Get the variables of a row, sorted by name.

        Raises:
            RowError: The row lacks a column, or is not a mapping.
        """
        if self._columns is not None:
            return self._present({name: _cell(index, row, column) for name, column in self._columns.items()})
        found: object = row
        if self._function is not None:
            try:
                found = self._function(row)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                raise RowError(f"row {index}: the function variables= failed: {problem}") from error
        if not is_mapping(found):
            hint = "variables= must return one" if self._function is not None else "name the columns with variables="
            kind = type(found).__name__
            raise RowError(f"row {index} has variables of type {kind}, not a mapping of names to values: {hint}")
        named = cast("dict[Any, Any]", found) if type(found) is dict else _copied(index, found)
        if not {*map(type, named)} <= {str}:
            _check_names(index, list(named))
        return self._present(dict(sorted(named.items())))

    def _present(self, variables: dict[str, object]) -> dict[str, Any]:
        if self._skip_nulls and None in variables.values():
            return {name: value for name, value in variables.items() if value is not None}
        return variables

    def check(self, rows: object, first: int) -> None:
        """Check the columns of all rows before the first one is sent, if the rows are a list.

        Args:
            rows: The rows.
            first: The index of the first row.

        Raises:
            RowError: A row lacks a column.
        """
        if self._columns is not None and isinstance(rows, (list, tuple)):
            for index, row in enumerate(cast("list[RowT]", rows), first):
                self.variables(index, row)


def _copied(index: int, row: Mapping[Any, Any]) -> dict[Any, Any]:
    """Copy a mapping of any class.

    Raises:
        RowError: Its own code failed.
    """
    try:
        return dict(row.items())
    except Exception as error:
        refused = conversions.own_error(row, error)
        raise RowError(f"row {index} cannot be sent: {refused.at('variables')}") from error


def _check_names(index: int, names: list[object]) -> None:
    """Refuse a row with a name that is not text.

    Raises:
        RowError: A name is not text.
    """
    if strange := next((name for name in names if not isinstance(name, str)), None):
        raise RowError(f"row {index} has a variable whose name is not text: {strange!r}")
    if None in names:  # where `csv.DictReader` puts fields without a column
        raise RowError(f"row {index} has more fields than there are columns")


def _texts_json(variables: Mapping[str, Any]) -> bytes | None:
    """Return variables as JSON, in a tenth of the time of `encode_json`; None if not all of them are valid text."""
    if {*map(type, variables), *map(type, variables.values())} != {str}:
        return None
    try:
        return to_json(variables)
    except ValueError:  # a lone surrogate
        return None


def _columns(variables: object) -> dict[str, str] | None:
    """Return the column of each variable; None if a function or the row itself provides the variables."""
    if variables is None or callable(variables):
        return None
    if is_mapping(variables):
        return dict(sorted(variables.items()))
    if isinstance(variables, str) or not isinstance(variables, Collection):
        kind = type(variables).__name__
        raise ConfigurationError(f"variables must be a function, a mapping or a list of columns, not {kind}")
    return {name: name for name in sorted(cast("Collection[str]", variables))}


def _cell(index: int, row: object, column: str) -> object:
    try:
        return cast("Mapping[str, object]", row)[column]
    except (KeyError, TypeError, IndexError):
        pass
    except Exception as error:
        refused = conversions.own_error(row, error)
        raise RowError(f"row {index} has a column {column!r} that cannot be read: it {refused.reason}") from error
    if not is_mapping(row):
        raise RowError(f"row {index} is a {type(row).__name__}, which has no column {column!r}")
    names = [str(name) for name in _copied(index, row)]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    raise RowError(f"row {index} has no column {column!r}; it has {', '.join(names[:_LISTED]) or 'none'}{more}")


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Describe how the variables of a row differ."""
    names = sorted(before.keys() | now.keys())
    differing = [name for name in names if _json(before.get(name)) != _json(now.get(name))]
    if not differing:
        return "its variables are the same, but the options are not"
    name = differing[0]
    was, become = (_short(values[name]) if name in values else "missing" for values in (before, now))
    others = f"; so do {', '.join(differing[1:_LISTED])}" if differing[1:] else ""
    return f"its {name!r} was {was} and is {become}{others}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _short(value: object) -> str:
    text = _json(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
