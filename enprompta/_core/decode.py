"""Decode the body of a response to the result of a call, in one validation.

Imported with the first response, because importing pydantic is slow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from contextlib import suppress
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, cast, get_args, get_origin

from pydantic import BeforeValidator, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import NotRequired, TypedDict

from enprompta._common.json_reading import read_json
from enprompta._common.narrowing import is_dict, is_list
from enprompta._core.large_json import MisfitError, large_json_validator
from enprompta._core.lenient import lenient_validator
from enprompta._core.page import Paged, T
from enprompta.errors import ConfigurationError
from enprompta.models.base import Model, fail_fast
from enprompta.tables import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta._core.call import Call

_LARGE = 100_000  # bytes
_LEAST_SAMPLE = 2_048  # bytes
_SAMPLES = 256  # the sample is this part of a body, so that reading it takes little time
_ENDS = {b"{": b"}", b"[": b"]"}
_BLANK = b" \t\r\n\0"  # blanks of JSON, in UTF-16 and UTF-32 too
_MARGIN = 1_000  # bytes at the end of a body that are searched for its last letter
_UNION_MEMBER = re.compile(r"[a-z-]+\[.*\]")  # as in `list[Prompt]`, a step of a location that no body has


class Envelope(TypedDict, Generic[T]):
    """`{"success": true, "data": …}`. A TypedDict is faster than a model."""

    data: T


class UndecodableError(ValueError):
    """The body does not match the type of the call; the message says why."""


def decode(call: Call[T], body: bytes, refusal: str = "") -> T:
    """Decode a response body to the result of a call.

    pydantic's strict validator runs first. If it fails, `lenient_validator` reads values that do not fit an optional
    field as absent: one malformed value, such as `NaN` for a cost, must not cost the rest of a page.

    Args:
        call: The call.
        body: The decompressed body.
        refusal: Why the body was not read completely; empty if it was.

    Raises:
        UndecodableError: The body is empty, not JSON, or a required field is missing or does not fit.
        ConfigurationError: JSON cannot be read into `call.returns`.
    """
    if call.returns is NoneType:
        return cast("T", None)
    if refusal:
        raise UndecodableError(refusal)
    reader = _reader(call.returns, call.enveloped, call.within)
    read_json = reader.read_json
    if len(body) > _LARGE:
        _check_ends(call, body)
        read_json = reader.read_large_json
    try:
        value: T = reader.unwrapped(read_json(body), call)
    except (ValidationError, MisfitError):
        pass
    else:
        if reader.enveloped or not _swallowed_envelope(value, call):
            return value
    return cast("T", _read_parsed(call, body))


def _read_parsed(call: Call[Any], body: bytes) -> Any:  # noqa: ANN401 (what the call returns)
    """Read a body that does not have the expected form.

    It is parsed first: pydantic's problems refer to parsed objects, but each copies its part of a JSON text.
    """
    return _validated(call, body, _parsed(body))


def _check_ends(call: Call[Any], body: bytes) -> None:
    """Refuse a large body that is cut, or whose first items are wrong: parsed, it takes many times its memory.

    Raises:
        UndecodableError: It cannot be decoded.
    """
    ends = _ENDS.get(body[:1])
    if ends is not None and body[-_MARGIN:].rstrip(_BLANK)[-1:] != ends:
        raise UndecodableError(_explain(body, None))
    if (sample := _first_items(call, body)) is not None:
        _validated(call, body, sample)


def _validated(call: Call[Any], body: bytes, parsed: object) -> Any:  # noqa: ANN401 (what the call returns)
    value, problem = _read(call, body, lambda reader: reader.strict.read(parsed))
    if problem is not None:
        value, problem = _read(call, body, lambda reader: reader.lenient.read(parsed))
    if problem is not None:
        raise UndecodableError(_explain(body, problem))
    return value


def _first_items(call: Call[Any], body: bytes) -> object:
    """Parse the start of a body; return it with the complete items of its list, or None if it has none."""
    if _reader(call.returns, call.enveloped, "").item is None:
        return None
    try:
        sample: Any = from_json(body[: max(_LEAST_SAMPLE, len(body) // _SAMPLES)], allow_partial=True)
    except ValueError:
        return None
    items = sample
    for name in ("data", call.within):
        items = items.get(name, items) if is_dict(items) else items
    if not is_list(items) or len(items) < 2:  # noqa: PLR2004 (one may be incomplete)
        return None
    items.pop()
    return sample


def _parsed(body: bytes) -> object:
    with suppress(ValueError):
        return from_json(body)
    try:
        return read_json(body)
    except ValueError:
        raise UndecodableError(_explain(body, None)) from None


def _read(call: Call[Any], body: bytes, read: Callable[[_Reader], Any]) -> tuple[Any, dict[str, Any] | None]:
    """Read a body with and without the envelope, because the reference is inconsistent about it.

    Returns:
        The value and None, or None and the problem of the form that the call expects.
    """
    problem: dict[str, Any] | None = None
    for reader in _readers(call, body):
        try:
            value = reader.unwrapped(read(reader), call)
        except ValidationError as error:
            problem = problem or first_problem(error)
        else:
            if reader.enveloped or not _swallowed_envelope(value, call):
                return value, None
    return None, problem


def first_problem(error: ValidationError) -> dict[str, object]:
    """Return the first problem of an error, without the input: for a missing field, it would be the whole object."""
    return dict(error.errors(include_url=False, include_context=False, include_input=False)[0])


def _readers(call: Call[object], body: bytes) -> Iterator[_Reader]:
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


class _ParsedReader(NamedTuple):
    """Reads parsed bodies by pydantic's rules for JSON, which differ from those for Python objects."""

    validate_json: Callable[[str], Any]
    """Validates the parsed body whose key in `_being_read` it gets as JSON."""

    def read(self, parsed: object) -> Any:  # noqa: ANN401 (what the validator makes)
        """Read a parsed body."""
        key = id(own := [parsed])
        _being_read[key] = own[0]
        try:
            return self.validate_json(str(key))
        finally:
            del _being_read[key]


class _Reader:
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
        self.item: Any = get_args(returns)[0] if self._page or self._is_sequence else None
        """Type of the items of a page or a sequence; None for other types."""
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
        return _ParsedReader(lenient_validator(self._adapter(self._lenient_envelope).core_schema).validate_json)

    def _adapter(self, envelope: Any) -> TypeAdapter[Any]:  # noqa: ANN401 (a generic class)
        kind: Any = Annotated[self._in(envelope), BeforeValidator(_take)]  # pyright: ignore[reportInvalidTypeForm] # known at run time
        return TypeAdapter(kind)

    def unwrapped(self, value: Any, call: Call[Any]) -> Any:  # noqa: ANN401 (what the call returns)
        """Return the result of a call from the validated value."""
        data, pagination = (value["data"], value.get("pagination")) if self.enveloped else (value, None)
        if self._within:
            fields: dict[str, Any] = data
            data = fields[self._within]
            if self._page is not None:
                pagination = self._pages.by_offset(fields, len(data or ()), call.params.get("offset"))
        if self._page is not None:
            return self._page(data or [], pagination or self._pages.Pagination(), self.item)
        # A Sequence becomes a list that notebooks show as a table; a list stays a plain list.
        return Records(cast("list[Any]", data), self.item) if self._is_sequence else data


@functools.lru_cache(maxsize=512)
def _reader(returns: object, enveloped: bool, within: str) -> _Reader:  # noqa: FBT001 (a cache key)
    """Compile the validator of a return type."""
    try:
        return _Reader(returns, within, enveloped=enveloped)
    except PydanticUserError as error:
        raise ConfigurationError(f"a call cannot return {returns!r}, which JSON is not read into: {error}") from None


def _explain(body: bytes, problem: dict[str, Any] | None) -> str:
    """Describe the problem of a body without quoting it, because it may contain secrets; None if it is no JSON."""
    start = body.lstrip()[:1]
    if not start:
        return "an empty body"
    if start == b"<":
        return "HTML or XML instead of JSON (is base_url the address of the API?)"
    if problem is None:
        return "a body that is not whole JSON"
    place = [str(step) for step in problem["loc"] if not _UNION_MEMBER.fullmatch(str(step))]
    return f"JSON of another shape at {'.'.join(place) or 'its top'}: {problem['msg']}"
