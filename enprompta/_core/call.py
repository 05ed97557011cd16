"""A call as a value: what is asked and what comes back, with no I/O in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

from typing_extensions import TypedDict

from enprompta.errors import ConfigurationError

T = TypeVar("T")


class RequestOptions(TypedDict, total=False):
    """Keywords that every method takes beside its own; each overrides the client's setting for one call."""

    timeout: float | None
    """Seconds for each of connecting, sending and receiving; None waits without end."""
    deadline: float | None
    """Seconds for the whole call: token, budget, tries, waits, and the answer to its last byte; None sets no bound."""
    max_retries: int
    """Tries after the first one; 0 sends once."""
    max_response_bytes: int
    """Bytes that the body of the answer may have, decompressed; a longer one is an `APIResponseError`."""
    headers: Mapping[str, str]
    """Headers to add, or to replace the client's of the same name."""


class WriteOptions(RequestOptions, total=False):
    """`RequestOptions` of the methods that create, change or execute something."""

    idempotency_key: str
    """Makes the call safe to repeat: the API answers the same key and body with its first result, charged once.
    A fresh key is sent when none is given, the same one on every retry of the call."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request to the API and the type of its answer; `client.run(call)` sends it.

    Resource methods only build calls, so that one description serves the blocking and the async client alike. Use it
    directly for an endpoint that has no method yet: `client.run(Call("GET", "/beta/things", list[Thing]))`.
    """

    method: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """Below the base URL, beginning with a slash and percent-quoted (see `path`). One that begins with `/api/` is
    taken from the API root, which is the base URL's parent."""
    returns: type[T]
    """What the answer's `data` is read into: a model, `Page[Model]`, `list[Model]`, `dict`; `NoneType` ignores it."""
    params: Mapping[str, object] = field(default_factory=dict[str, object])
    """The query; None and `UNSET` values are left out."""
    json: object = None
    """The body: plain values, models, dates; `UNSET` entries of a mapping are left out. None sends no body."""
    options: RequestOptions = field(default_factory=RequestOptions)
    """Settings of this call alone."""
    enveloped: bool = True
    """Whether the reference promises `{"success": …, "data": …}` round the answer; both forms are read anyway."""


def path(template: str, *ids: str) -> str:
    """Fill ids into a path, each quoted so that it stays one segment.

    Raises:
        ConfigurationError: An id is empty or is not text; `DELETE /prompts/` would not be `DELETE /prompts/{id}`.
    """
    return template.format(*[_segment(one, f"an id in {template}") for one in ids])


def _segment(value: object, name: str) -> str:
    text = _text_of_id(name, value)
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} is not valid text: it holds a lone surrogate") from None
    # RFC 3986, 5.2.4: "." and ".." would climb the path; quoted they are letters like any other.
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def check_id(name: str, value: Any) -> str:  # noqa: ANN401 (any argument)
    """Check the id of an object, wherever it goes: into a path, a query or a body.

    Args:
        name: The parameter, for messages.
        value: The id; text, or a UUID.

    Raises:
        ConfigurationError: It is no text, such as the object itself; or it is empty, or has white space around it.
    """
    text = _text_of_id(name, value)
    if text[0].isspace() or text[-1].isspace():
        problem = "is blank" if text.isspace() else "has white space around it"
        raise ConfigurationError(f"{name} {problem}: pass the id alone, such as prompt.id")
    return text


def _text_of_id(name: str, value: Any) -> str:  # noqa: ANN401
    kind = cast("type[Any]", type(value))
    if kind is not str:
        if issubclass(kind, UUID):
            return str(value)
        if not issubclass(kind, str):
            raise ConfigurationError(f"{name} must be text, not {_of_kind(value)}: {_id_cure(name, value)}")
        value = str.__str__(value)
    if not value:
        raise ConfigurationError(f"{name} is empty: pass the id of an object, such as prompt.id")
    return cast("str", value)


def _of_kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _id_cure(name: str, value: Any) -> str:  # noqa: ANN401
    """Say how to get from an object to its id: `pass prompt.id`, or `pass execution.prompt_id` for another's id."""
    if value is None:
        return "leave it out, or pass an id"
    kind = cast("type[Any]", type(value))
    variable = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
    if isinstance(value, Mapping):
        return 'pass its id, such as prompt["id"]'
    if isinstance(value, (bytes, bytearray)):
        return "decode it first, such as value.decode()"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "pass one id"
    fields = getattr(kind, "model_fields", ())
    attribute = next((one for one in (name.rpartition(".")[2], "id") if one in fields or hasattr(value, one)), None)
    return f"pass {variable}.{attribute}" if attribute else "pass the id as text, such as prompt.id"
