"""Decode the body of a response to the result of a call, in one validation.

Imported with the first response, because importing pydantic is slow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from contextlib import suppress
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Generic, cast, get_args, get_origin

from pydantic import BeforeValidator, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import NotRequired, TypedDict

from enprompta._common.narrowing import is_dict, is_list
from enprompta._core.large_json import MisfitError, large_json_validator
from enprompta._core.page import Paged, T
from enprompta.errors import ConfigurationError
from enprompta.models.base import Model, fail_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from enprompta._core.call import Call

_LARGE = 100_000  # bytes
_LEAST_SAMPLE = 2_048  # bytes
_SAMPLES = 256  # the sample is this part of a body, so that reading it takes little time
_ENDS = {b"{": b"}", b"[": b"]"}
_BLANK = b" \t\r\n\0"  # blanks of JSON, in UTF-16 and UTF-32 too
_MARGIN = 1_000  # bytes at the end of a body that are searched for its last letter
_UNION_MEMBER = r"[a-z-]+\[.*\]"  # as in `list[Prompt]`, a step of a location that no body has


class Envelope(TypedDict, Generic[T]):
    """`{"success": true, "data": …}`. A TypedDict is faster than a model."""

    data: T


class UndecodableError(ValueError):
    """The body does not match the type of the call; the message says why."""

    problem: dict[str, Any] | None = None
    """The first problem that pydantic found; None if the body is no JSON."""


def decode(call: Call[T], body: bytes, refusal: str = "", items: Iterable[object] = ()) -> T:
    """Decode a response body to the result of a call.

    pydantic's strict validator runs first. If it fails, `lenient_validator` reads values that do not fit an optional
    field as absent: one malformed value, such as `NaN` for a cost, must not cost the rest of a page.

    Args:
        call: The call.
        body: The decompressed body.
        refusal: Why the body was not read completely; empty if it was.
        items: Further items of the list in the body.

    Raises:
        UndecodableError: The body is empty, not JSON, or a required field is missing or does not fit.
        ConfigurationError: JSON cannot be read into `call.returns`.
    """
    if call.returns is NoneType:
        return cast("T", None)
    if refusal:
        raise UndecodableError(refusal)
    reader = reader_of(call)
    read_json = reader.read_json
    if len(body) > _LARGE:
        _check_ends(call, body)
        read_json = reader.read_large_json
    try:
        value = read_json(body)
    except (ValidationError, MisfitError):
        pass
    else:
        if reader.enveloped or not _swallowed_envelope(value, call):
            return cast("T", reader.unwrapped(value, call, items))
    return cast("T", _read_parsed(call, body, items))


def _read_parsed(call: Call[Any], body: bytes, items: Iterable[object]) -> Any:  # noqa: ANN401 (what the call returns)
    """Read a body that does not have the expected form.

    It is parsed first: pydantic's problems refer to parsed objects, but each copies its part of a JSON text.
    """
    reader, value = _validated(call, body, parse(body))
    return reader.unwrapped(value, call, items)


def _check_ends(call: Call[Any], body: bytes) -> None:
    """Refuse a large body that is cut, or whose first items are wrong: parsed, it takes many times its memory.

    Raises:
        UndecodableError: It cannot be decoded.
    """
    ends = _ENDS.get(body[:1])
    if ends is not None and body[-_MARGIN:].rstrip(_BLANK)[-1:] != ends:
        raise undecodable(body, None)
    if (sample := _first_items(call, body)) is not None:
        _validated(call, body, sample)


def _validated(call: Call[Any], body: bytes, parsed: object) -> tuple[Reader, Any]:
    found, problem = _read(call, body, lambda reader: reader.strict.read(parsed))
    if found is None:
        found, problem = _read(call, body, lambda reader: reader.lenient.read(parsed))
    if found is None:
        raise undecodable(body, problem)
    return found


def _first_items(call: Call[Any], body: bytes) -> object:
    """Parse the start of a body; return it with the complete items of its list, or None if it has none."""
    if reader_of(call).item is None:
        return None
    sample = parse_start(body[: max(_LEAST_SAMPLE, len(body) // _SAMPLES)])
    items, _ = list_in(sample, call)
    if items is None or len(items) < 2:  # noqa: PLR2004 (one may be incomplete)
        return None
    items.pop()
    return sample


def list_in(parsed: object, call: Call[Any]) -> tuple[list[object] | None, tuple[str, ...]]:
    """Return the list in a parsed body, None if there is none, and the names of the fields around it."""
    place: tuple[str, ...] = ()
    for name in filter(None, ("data", call.within)):
        if is_dict(parsed) and name in parsed:
            parsed, place = parsed[name], (*place, name)
    return parsed if is_list(parsed) else None, place


def parse_start(body: bytes) -> object:
    """Parse the start of a body; None if it is no JSON."""
    with suppress(ValueError):
        return from_json(body, allow_partial=True)
    return None


def parse(body: bytes) -> object:
    """Parse a body.

    Raises:
        UndecodableError: It is not whole JSON.
    """
    with suppress(ValueError):
        return from_json(body)
    from enprompta._common.json_reading import read_json  # noqa: PLC0415 (few bodies need it)

    try:
        return read_json(body)
    except ValueError:
        raise undecodable(body, None) from None


def _read(
    call: Call[Any], body: bytes, read: Callable[[Reader], Any]
) -> tuple[tuple[Reader, Any] | None, dict[str, Any] | None]:
    """Read a body with and without the envelope, because the reference is inconsistent about it.

    Returns:
        The reader with its value, and None; or None and the problem of the form that the call expects.
    """
    problem: dict[str, Any] | None = None
    for reader in _readers(call, body):
        try:
            value = read(reader)
        except ValidationError as error:
            problem = problem or first_problem(error)
        else:
            if reader.enveloped or not _swallowed_envelope(value, call):
                return (reader, value), None
    return None, problem


def first_problem(error: ValidationError) -> dict[str, object]:
    """Return the first problem of an error, without the input: for a missing field, it would be the whole object."""
    return dict(error.errors(include_url=False, include_context=False, include_input=False)[0])


def _readers(call: Call[object], body: bytes) -> Iterator[Reader]:
    """Yield the readers to try: the documented form first, then without the field around it, then without envelope."""
    for enveloped in (call.enveloped, not call.enveloped):
        if not enveloped and call.enveloped and _reader(call.returns, enveloped, "").item and body.startswith(b"{"):
            continue  # no list; the refusal would hold the whole body as Python objects
        yield _reader(call.returns, enveloped, call.within)
        if call.within:
            yield _reader(call.returns, enveloped, "")


def _swallowed_envelope(value: object, call: Call[Any]) -> bool:
    """True if a model without required fields was read from the envelope, which is then in its extra fields.

    A call that expects no envelope may return an object with an unknown field `data`.
    """
    extra = value.model_extra if isinstance(value, Model) else None
    return extra is not None and "data" in extra and ("success" in extra or call.enveloped)


_being_read: dict[int, object] = {}


def _take(key: int) -> object:
    return _being_read[key]


class _ParsedReader:
    """Reads parsed bodies by pydantic's rules for JSON, which differ from those for Python objects.

    Args:
        validate_json: Validates the parsed body whose key in `_being_read` it gets as JSON.
    """

    def __init__(self, validate_json: Callable[[str], Any]) -> None:
        self._validate_json = validate_json

    def read(self, parsed: object) -> Any:  # noqa: ANN401 (what the validator makes)
        """Read a parsed body."""
        key = id(own := [parsed])
        _being_read[key] = own[0]
        try:
            return self._validate_json(str(key))
        finally:
            del _being_read[key]


class Reader:
    """Reads bodies into one type.

    Args:
        returns: The type.
        enveloped: True if the data is in the field `data` of the body.
        within: The field of the data with the items of a list; empty if there is none.
    """

    def __init__(self, returns: object, within: str, *, enveloped: bool) -> None:
        origin = get_origin(returns)
        self.enveloped, self._within = enveloped, within
        self._is_sequence = origin is Sequence
        self._page: Any = origin if isinstance(origin, type) and issubclass(origin, Paged) else None
        self.item: Any = get_args(returns)[0] if self._page or origin in {list, Sequence} else None
        """Type of the items of a page or a list; None for other types."""
        # Built at run time; type checkers cannot follow.
        self._envelope = self._lenient_envelope = cast("Any", Envelope)
        if self._page:
            from enprompta._core import page_envelope  # noqa: PLC0415 (compiling its models takes a millisecond)

            self._pages = page_envelope
            self._envelope, self._lenient_envelope = page_envelope.PageEnvelope, page_envelope.LenientPageEnvelope
        # `Many` would report null as a second problem, and each problem holds the whole list as Python objects.
        shape: Any = fail_fast(list[self.item]) | None if self._page else fail_fast(returns)
        if within:
            fields: dict[str, Any] = {within: shape}
            if self._page:
                fields |= dict.fromkeys(("total", "limit", "offset"), cast("Any", NotRequired[int | None]))
            shape = TypedDict("Within", fields)  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] # made at run time
        self._shape = shape
        self._strict_adapter: TypeAdapter[Any] = TypeAdapter(self._in(self._envelope))

    def _in(self, envelope: Any) -> Any:  # noqa: ANN401 (a generic class)
        return envelope[self._shape] if self.enveloped else self._shape

    @functools.cached_property
    def read_json(self) -> Callable[[bytes], object]:
        """Reads the expected form, and raises a `ValidationError` with every problem."""
        return self._strict_adapter.validate_json

    @functools.cached_property
    def read_large_json(self) -> Callable[[bytes], object]:
        """Reads the same, but raises `MisfitError` without describing the problem."""
        return large_json_validator(self._strict_adapter.core_schema).validate_json

    @functools.cached_property
    def strict(self) -> _ParsedReader:
        """Reads parsed bodies as `read_json` reads JSON."""
        return _ParsedReader(self._adapter(self._envelope).validate_json)

    @functools.cached_property
    def lenient(self) -> _ParsedReader:
        """Reads parsed bodies that `strict` rejects."""
        from enprompta._core.lenient import lenient_validator  # noqa: PLC0415 (few bodies need it)

        return _ParsedReader(lenient_validator(self._adapter(self._lenient_envelope).core_schema).validate_json)

    def _adapter(self, envelope: Any) -> TypeAdapter[Any]:  # noqa: ANN401 (a generic class)
        kind: Any = Annotated[self._in(envelope), BeforeValidator(_take)]  # pyright: ignore[reportInvalidTypeForm] # known at run time
        return TypeAdapter(kind)

    def unwrapped(self, value: Any, call: Call[Any], items: Iterable[object]) -> Any:  # noqa: ANN401 (the call's result)
        """Return the result of a call from the validated value, with further items of its list."""
        fields, pagination = (value["data"], value.get("pagination")) if self.enveloped else (value, None)
        data = fields[self._within] if self._within else fields
        if items:
            data.extend(items)
        if self._page is not None:
            if self._within:
                pagination = self._pages.by_offset(fields, len(data or ()), call.params.get("offset"))
            return self._page(data or [], pagination or self._pages.Pagination(), self.item)
        if not self._is_sequence:
            return data
        from enprompta.tables import Records  # noqa: PLC0415 (few calls return a Sequence)

        return Records(cast("list[Any]", data), self.item)  # a list that notebooks show as a table


def reader_of(call: Call[Any]) -> Reader:
    """Return the reader of the form that a call expects."""
    return _reader(call.returns, call.enveloped, call.within)


@functools.lru_cache(maxsize=512)
def _reader(returns: object, enveloped: bool, within: str) -> Reader:  # noqa: FBT001 (a cache key)
    """Compile the validator of a return type."""
    try:
        return Reader(returns, within, enveloped=enveloped)
    except PydanticUserError as error:
        raise ConfigurationError(f"a call cannot return {returns!r}, which JSON is not read into: {error}") from None


def undecodable(body: bytes, problem: dict[str, Any] | None) -> UndecodableError:
    """Return the error for a body; `problem` is None if it is no JSON."""
    error = UndecodableError(_explain(body, problem))
    error.problem = problem
    return error


def _explain(body: bytes, problem: dict[str, Any] | None) -> str:
    """Describe the problem of a body without quoting it, because it may contain secrets; None if it is no JSON."""
    start = body.lstrip()[:1]
    if not start:
        return "an empty body"
    if start == b"<":
        return "HTML or XML instead of JSON (is base_url the address of the API?)"
    if problem is None:
        return "a body that is not whole JSON"
    place = [str(step) for step in problem["loc"] if not re.fullmatch(_UNION_MEMBER, str(step))]
    return f"JSON of another shape at {'.'.join(place) or 'its top'}: {problem['msg']}"
