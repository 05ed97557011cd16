"""The description of an API call: its request and the type of its result, without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import Generic, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

from typing_extensions import TypedDict

from enprompta.errors import ConfigurationError

T = TypeVar("T")

_UNRESERVED = re.compile(r"[A-Za-z0-9_~-]+")


class RequestOptions(TypedDict, total=False):
    """Options that every method accepts; each overrides the client's setting for one call.

    Attributes:
        timeout: Seconds for each network operation (connect, send, receive); None for no limit.
        deadline: Seconds for the whole call, including access token, rate limit, retries and the complete body; None
            for no limit.
        max_retries: Number of retries; 0 sends the request once.
        max_response_bytes: Largest response body in bytes, decompressed; a larger one raises `APIResponseError`.
        headers: Headers to add; they replace client headers of the same name.
    """

    timeout: float | None
    deadline: float | None
    max_retries: int
    max_response_bytes: int
    headers: Mapping[str, str]


class WriteOptions(RequestOptions, total=False):
    """Options of methods that create, change or execute something, in addition to `RequestOptions`.

    Attributes:
        idempotency_key: Makes the call safe to repeat: for the same key and body, the API returns the first result and
            charges once. By default, each call gets a new key, which all its retries share.
    """

    idempotency_key: str


def help_on_options(annotation: str) -> str:
    """Return the section of a docstring that lists per-call options, such as `Unpack[WriteOptions]`."""
    kinds = {"RequestOptions": (RequestOptions,), "WriteOptions": (RequestOptions, WriteOptions)}
    name = annotation.removeprefix("Unpack[").removesuffix("]")
    lists = [cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2] for kind in kinds.get(name, ())]
    return "\n".join(["Options of each call:", *lists]) if any(lists) else ""


@dataclass(frozen=True, slots=True, init=False)
class Call(Generic[T]):
    """One API request and the type of its result; `client.run(call)` sends it.

    Resource methods only build calls, so one description serves both clients. Use it directly for endpoints without a
    method: `client.run(Call("GET", "/beta/things", list[Thing]))`.
    """

    method: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """Path below the base URL, with a leading slash and percent-encoded. A path that begins with `/api/` is relative
    to the API root, the parent of the base URL."""
    returns: type[T]
    """Type of the result: a model, `Page[Model]`, `list[Model]` or `dict`; `NoneType` ignores the response body."""
    params: Mapping[str, object]
    """Query parameters; None and `UNSET` are left out."""
    json: object
    """Request body: plain values, models, dates. `UNSET` entries of mappings are left out; None sends no body."""
    options: RequestOptions
    """Options for this call only."""
    enveloped: bool
    """True if the reference documents a `{"success": …, "data": …}` envelope. Both forms are accepted either way."""
    within: str
    """Field of the data that holds the result, such as `trace` in `{"data": {"trace": …}}`; empty if the data is the
    result. A page within a field has `total`, `limit` and `offset` next to it instead of `pagination`."""

    def __init__(  # noqa: PLR0917 (in the order of the fields)
        self,
        method: str,
        path: str,
        returns: type[T],
        params: Mapping[str, object] | None = None,
        json: object = None,
        options: RequestOptions | None = None,
        enveloped: bool = True,  # noqa: FBT001, FBT002 (a field like the others)
        within: str = "",
    ) -> None:
        # Slot by slot, in half the time of a frozen dataclass's own: each call makes one.
        _set_method(self, method)
        _set_path(self, path)
        _set_returns(self, returns)
        _set_params(self, {} if params is None else params)
        _set_json(self, json)
        _set_options(self, {} if options is None else options)
        _set_enveloped(self, enveloped)
        _set_within(self, within)


_set_method, _set_path, _set_returns, _set_params, _set_json, _set_options, _set_enveloped, _set_within = (
    vars(Call)[name].__set__ for name in Call.__slots__
)


def path(template: str, *ids: str) -> str:
    """Insert ids into a path, each encoded as one segment.

    Raises:
        ConfigurationError: An id is empty or not text; `DELETE /prompts/` is not `DELETE /prompts/{id}`.
    """
    return template.format(*[_segment(one, template) for one in ids])


def _segment(value: object, template: str) -> str:
    if type(value) is str and _UNRESERVED.fullmatch(value):
        return value  # as `quote` would, in a third of the time
    name = f"an id in {template}"
    text = _text_of_id(name, value)
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} is not valid text: it holds a lone surrogate") from None
    # RFC 3986, 5.2.4: "." and ".." would change the path unless they are encoded.
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def check_id(name: str, value: object) -> str:
    """Check the id of an object, text or UUID, for a path, a query or a body.

    Raises:
        ConfigurationError: The id is not text (the object itself, for example), is empty, or has outer spaces.
    """
    text = value if type(value) is str and value else _text_of_id(name, value)
    if text.strip() != text:
        problem = "is blank" if text.isspace() else "has white space around it"
        raise ConfigurationError(f"{name} {problem}: pass the id alone, such as prompt.id")
    return text


def _text_of_id(name: str, value: object) -> str:
    kind = type(value)
    if type(value) is str:
        text = value
    elif issubclass(kind, str):
        text = str.__str__(cast("str", value))
    elif issubclass(kind, UUID):
        return str(value)
    else:
        raise ConfigurationError(f"{name} must be text, not {kind_of(value)}: {_id_cure(name, value)}")
    if not text:
        hint = "; if it is live.id, this is a fallback, which has no id (see live.is_fallback)"
        raise ConfigurationError(
            f"{name} is empty: pass the id of an object, such as prompt.id{hint if name == 'prompt_id' else ''}"
        )
    return text


def kind_of(value: object) -> str:
    """Name the type of a value for a message."""
    return "None" if value is None else type(value).__name__


def _id_cure(name: str, value: object) -> str:
    """Suggest how to get the id from an object, such as `pass prompt.id` or `pass execution.prompt_id`."""
    if value is None:
        return "leave it out, or pass an id"
    kind = type(value)
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
