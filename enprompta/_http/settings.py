"""Settings: from arguments, then from the environment, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast
from urllib.parse import urlsplit

import httpx

from enprompta._common.headers import is_header_text
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_BASE_URL = "https://enprompta.com/api/v1"
DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_RETRIES = 3
DEFAULT_MAX_RESPONSE_BYTES = 100_000_000
DEFAULT_MAX_WAIT = 65.0  # a minute window and a little: longer waits are the caller's to decide
LONGEST = 2_000_000.0  # seconds, 23 days: sockets take their time-out as milliseconds in 31 bits
CONNECT_TIMEOUT = 5.0  # a host that is there accepts within this; `timeout` applies where it is shorter

_RESERVED_HEADERS = {
    "authorization": "it is made from api_key, or from client_id and client_secret",
    "content-type": "the API takes JSON only",
    "idempotency-key": "pass idempotency_key= to the call: one key for many calls would make them one",
    "host": "it is taken from base_url",
    "content-length": "it is computed",
    "transfer-encoding": "bodies are sent whole",
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: token


class Overrides(TypedDict, total=False):
    """Settings that a view or one call may have of its own."""

    timeout: float | None
    deadline: float | None
    max_retries: int
    max_response_bytes: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """How calls are made; validated, so that the transport need not."""

    base_url: str = DEFAULT_BASE_URL
    timeout: float | None = DEFAULT_TIMEOUT
    deadline: float | None = None
    max_retries: int = DEFAULT_MAX_RETRIES
    max_wait: float = DEFAULT_MAX_WAIT
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeouts: Mapping[str, float | None] = field(init=False, repr=False)
    """`timeout` in the form httpx takes with each request."""

    def __post_init__(self) -> None:
        """Check every value, and say what is allowed.

        Raises:
            ConfigurationError: A value cannot work.
        """
        for setting in SETTINGS:
            object.__setattr__(self, setting.name, setting.check(setting.name, getattr(self, setting.name)))
        check_headers(self.headers)
        connect = CONNECT_TIMEOUT if self.timeout is None else min(CONNECT_TIMEOUT, self.timeout)
        timeouts = {"connect": connect, "read": self.timeout, "write": self.timeout, "pool": self.timeout}
        object.__setattr__(self, "timeouts", timeouts)

    def override(self, overrides: Overrides) -> Self:
        """Give a copy with some settings replaced and headers added.

        Raises:
            TypeError: A name is not a setting.
            ConfigurationError: A value cannot work.
        """
        unknown = overrides.keys() - Overrides.__annotations__.keys()
        if unknown:
            allowed = ", ".join(sorted(Overrides.__annotations__))
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}; every call also takes {allowed}")
        changes = dict(overrides)
        if "headers" in overrides:
            check_headers(overrides["headers"])
            added = {name.lower() for name in overrides["headers"]}
            kept = {name: value for name, value in self.headers.items() if name.lower() not in added}
            changes["headers"] = {**kept, **overrides["headers"]}
        return replace(self, **changes)  # type: ignore[arg-type] # the TypedDict above holds the types


class Setting(NamedTuple):
    """One setting of a client: an argument, a variable of the environment, and the check of both."""

    name: str
    """The argument of the constructor, and the field of `Settings`."""
    parse: Callable[[str], object]
    """Reads the variable's text; a ValueError says that it is no number."""
    check: Callable[[str, Any], Any]
    """Called with a name for messages and a value; returns the value to use, or raises ConfigurationError."""
    keeps_none: bool = False
    """True if None is a value, False if it means that the argument was not given."""

    @property
    def variable(self) -> str:
        """The variable of the environment that is read when the argument is not given."""
        return f"ENPROMPTA_{self.name.upper()}"


def settings_from(environ: Mapping[str, str], **given: object) -> Settings:
    """Fill in what was not given from `ENPROMPTA_*` variables, then from the defaults.

    Raises:
        ConfigurationError: A value cannot work; the text names the argument or the variable.
    """
    values = dict(given)
    for setting in SETTINGS:
        text = environ.get(setting.variable, "").strip()
        if setting.name in values or not text:
            continue
        try:
            value = setting.parse(text)
        except ValueError:
            raise ConfigurationError(f"{setting.variable} must be a number, not {reprlib.repr(text)}") from None
        values[setting.name] = setting.check(setting.variable, value)
    return Settings(**values)  # type: ignore[arg-type] # checked in __post_init__, whatever the caller gave


def check_base_url(name: str, url: object) -> str:
    """Check the address of the API, and return it without a slash at its end.

    Args:
        name: The argument or variable it comes from, for messages.
        url: The address.

    Raises:
        ConfigurationError: It is no URL, or would send the credentials in clear text over a network.
    """
    example = f"such as {DEFAULT_BASE_URL}"
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{name} must be a URL in ASCII without blanks, {example}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx.URL(url)  # what will be asked to use it must understand it too
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigurationError(f"{name} is not a valid URL ({error}): use one {example}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} must not hold a user name or password: pass api_key instead")
    if parts.scheme not in {"https", "http"} or not host:
        raise ConfigurationError(f"{name} must begin with https:// and a host, {example}")
    if "?" in url or "#" in url:
        raise ConfigurationError(f"{name} must end with its path, without ? or #, {example}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{name} is http:// to {host}, which would send your credentials in clear text: "
            "use https:// (http:// is for this machine alone, such as the emulator on 127.0.0.1)"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_headers(headers: object) -> None:
    """Refuse headers that cannot be sent, or that the client sets itself.

    Raises:
        ConfigurationError: The text names the header, never its value.
    """
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not a header name")
        if name.lower() in _RESERVED_HEADERS:
            raise ConfigurationError(f"header {name} cannot be set: {_RESERVED_HEADERS[name.lower()]}")
        if not is_header_text(value):
            raise ConfigurationError(
                f"the value of header {name} must be printable ASCII on one line, without blanks round it"
            )


def _check_count(name: str, value: Any, least: int = 0) -> int:  # noqa: ANN401 (whatever the caller gave)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of {least} or more, not {value!r}")
    return value


def _check_size(name: str, value: Any) -> int:  # noqa: ANN401 (as above)
    return _check_count(name, value, least=1)


def _check_bound(name: str, value: Any) -> float | None:  # noqa: ANN401 (as above)
    """Check the seconds that something may take; None sets no bound."""
    return None if value is None else _check_seconds(name, value, is_positive=True)


def _check_seconds(name: str, value: Any, *, is_positive: bool = False) -> float:  # noqa: ANN401 (as above)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= LONGEST or (is_positive and value == 0):
        bound = "more than 0" if is_positive else "0 or more"
        raise ConfigurationError(
            f"{name} must be a number of seconds, {bound} and at most {LONGEST:,.0f}, not {reprlib.repr(value)}"
        )
    return value


SETTINGS = (
    Setting("base_url", str, check_base_url),
    Setting("timeout", float, _check_bound, keeps_none=True),
    Setting("deadline", float, _check_bound, keeps_none=True),
    Setting("max_retries", int, _check_count),
    Setting("max_wait", float, _check_seconds),
    Setting("max_response_bytes", int, _check_size),
)
"""Every setting that a variable of the environment may hold. Constructors, copies, `doctor` and the docs follow it."""
