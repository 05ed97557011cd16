"""Decode the body of a response to the result of a call, in one validation.

Imported with the first response, because importing pydantic is slow.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from enprompta._common.json_reading import first_problem, read_json, validated
from enprompta._core.page import Paged
from enprompta.errors import ConfigurationError
from enprompta.models.base import FailFast, Many, Model
from enprompta.models.pagination import OffsetPagination, Pagination
from enprompta.tables import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta._core.call import Call

T = TypeVar("T")


class Envelope(TypedDict, Generic[T]):
    """`{"success": true, "data": …}`; lists add `pagination`. A TypedDict is faster than a model."""

    data: T
    pagination: NotRequired[Pagination | None]


class UndecodableError(ValueError):
    """The body does not match the type of the call; the message says why."""


def decode(call: Call[T], body: bytes, refusal: str = "") -> T:
    """Decode a response body to the result of a call.

    pydantic's parser runs first; `read_json` reads what that rejects. A number that a field does not accept, such as
    `NaN` for a cost, is then read as null: it would break sums, and must not invalidate the rest of a page.

    Args:
        call: The call.
        body: The decompressed body.
        refusal: Why the body was not read completely; empty if it was.

    Raises:
        UndecodableError: The body is empty, not JSON, or of another shape.
        ConfigurationError: JSON cannot be read into `call.returns`.
    """
    if call.returns is NoneType:
        return cast("T", None)
    if refusal:
        raise UndecodableError(refusal)
    # The reference is inconsistent about the envelope, so both forms are accepted.
    problems: list[dict[str, Any]] = []
    for reader in _readers(call):
        try:
            value = reader.read(body, call)
        except ValidationError as error:
            problems.append(first_problem(error))
            if problems[0]["type"] == "json_invalid":
                break
        else:
            if reader.enveloped or not _swallowed_envelope(value):
                return cast("T", value)
    if any(one["type"] == "json_invalid" or "odd" in one for one in problems):
        return cast("T", _read_odd(call, body, problems[0]))
    raise UndecodableError(_explain(body, problems[0]))


def _read_odd(call: Call[Any], body: bytes, problem: dict[str, Any]) -> Any:  # noqa: ANN401 (what the call returns)
    """Decode what pydantic's parser rejects; numbers that a field does not accept become null."""
    try:
        parsed = read_json(body)
    except ValueError:
        raise UndecodableError(_explain(body, problem)) from None
    problems: list[dict[str, Any]] = []
    for reader in _readers(call):
        try:
            value = reader.read_parsed(parsed, call)
        except ValidationError as error:
            problems.append(first_problem(error))
        else:
            if reader.enveloped or not _swallowed_envelope(value):
                return value
    raise UndecodableError(_explain(body, problems[0]))


def _readers(call: Call[Any]) -> Iterator[_Reader]:
    """Yield the readers to try: the documented form first, then without the field around it, then without envelope."""
    for enveloped in (call.enveloped, not call.enveloped):
        yield _reader(call.returns, enveloped, call.within)
        if call.within:
            yield _reader(call.returns, enveloped, "")


def _swallowed_envelope(value: object) -> bool:
    """True if a model without required fields was read from the envelope, which is then in its extra fields."""
    extra = value.model_extra if isinstance(value, Model) else None
    return extra is not None and "success" in extra and "data" in extra


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads bodies into one type."""

    read_json: Callable[[bytes], Any]
    read_python: Callable[[object], Any]
    enveloped: bool
    within: str
    item: Any
    """Type of the items of a page or a sequence; None for other types."""
    page: Any
    """The page class; None for other types."""
    is_sequence: bool

    def read(self, body: bytes, call: Call[Any]) -> Any:  # noqa: ANN401 (what the call returns)
        """Read JSON.

        Raises:
            ValidationError: The body is not JSON or has another shape.
        """
        return self._unwrapped(self.read_json(body), call)

    def read_parsed(self, parsed: object, call: Call[Any]) -> Any:  # noqa: ANN401 (what the call returns)
        """Read parsed JSON.

        Raises:
            ValidationError: The value has another shape.
        """
        return self._unwrapped(validated(self.read_python, parsed, ValidationError), call)

    def _unwrapped(self, value: Any, call: Call[Any]) -> Any:  # noqa: ANN401 (what the call returns)
        data, pagination = (value["data"], value.get("pagination")) if self.enveloped else (value, None)
        if self.within:
            fields: dict[str, Any] = data
            data = fields[self.within]
            if self.page is not None:
                pagination = _by_offset(fields, len(data), call.params.get("offset"))
        if self.page is not None:
            return self.page(data, pagination or Pagination(), self.item)
        # A Sequence becomes a list that notebooks show as a table; a list stays a plain list.
        return Records(cast("list[Any]", data), self.item) if self.is_sequence else data


def _by_offset(fields: dict[str, Any], count: int, asked: object) -> Pagination:
    """Return the position of a page that has `total`, `limit` and `offset` next to its items."""
    total, limit = fields.get("total"), fields.get("limit")
    offset = fields.get("offset")
    if offset is None:
        offset = asked if isinstance(asked, int) else 0
    has_more = None if total is None else count > 0 and offset + count < total
    if total is None and limit:
        has_more = count >= limit
    return OffsetPagination(
        has_more=bool(has_more), next_offset=offset + count if has_more else None, total_count=total, limit=limit
    )


@functools.lru_cache(maxsize=512)
def _reader(returns: Any, enveloped: bool, within: str) -> _Reader:  # noqa: ANN401, FBT001 (a cache key)
    """Compile the validator of a return type."""
    # Built at run time; type checkers cannot follow.
    many, envelope, origin = cast("Any", Many), cast("Any", Envelope), get_origin(returns)
    page: Any = None
    if isinstance(origin, type) and issubclass(origin, Paged):
        page = cast("Any", origin)
    shape = many[get_args(returns)[0]] if page else _fail_fast(returns)
    try:
        if within:
            fields: dict[str, Any] = {within: shape}
            if page:
                fields |= dict.fromkeys(("total", "limit", "offset"), cast("Any", NotRequired[int | None]))
            shape = TypedDict("Within", fields)  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] # made at run time
        adapter: TypeAdapter[Any] = TypeAdapter(envelope[shape] if enveloped else shape)
        item = get_args(returns)[0] if page or origin is Sequence else None
        return _Reader(
            adapter.validate_json, adapter.validate_python, enveloped, within, item, page, origin is Sequence
        )
    except PydanticUserError as error:
        raise ConfigurationError(f"a call cannot return {returns!r}, which JSON is not read into: {error}") from None


def _fail_fast(returns: Any) -> Any:  # noqa: ANN401 (a type)
    """Stop the validation of a list at its first invalid element, because each error takes kilobytes."""
    origin, inside = get_origin(returns), get_args(returns)
    if origin in {list, set, frozenset, tuple, Sequence} and inside:
        kind: Any = list if origin is Sequence else origin
        return Annotated[kind[tuple(_fail_fast(one) for one in inside)], FailFast()]
    if origin is dict:
        return dict[inside[0], _fail_fast(inside[1])]  # type: ignore[misc,valid-type] # built at run time
    return returns


def _explain(body: bytes, problem: dict[str, Any]) -> str:
    """Describe the problem of a body without quoting it, because it may contain secrets."""
    start = body.lstrip()[:1]
    if not start:
        return "an empty body"
    if start == b"<":
        return "HTML or XML instead of JSON (is base_url the address of the API?)"
    if problem["type"] == "json_invalid":
        return "a body that is not whole JSON"
    return f"JSON of another shape at {'.'.join(map(str, problem['loc'])) or 'its top'}: {problem['msg']}"
