"""Client settings from arguments and environment variables, validated before anything is sent."""

from __future__ import annotations

import reprlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from enprompta._common.headers import check_headers
from enprompta._common.hosts import is_host, is_loopback
from enprompta._common.values import own_error
from enprompta._core.arguments import own_code
from enprompta._core.call import RequestOptions
from enprompta._core.steps import DEFAULT_MAX_RESPONSE_BYTES
from enprompta._http.direct import library_for_url
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_BASE_URL = "https://enprompta.com/api/v1"
DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_RETRIES = 3
DEFAULT_MAX_WAIT = 65.0  # slightly more than a one-minute rate limit window
LONGEST = 2_000_000.0  # seconds, 23 days: socket timeouts are milliseconds in 31 bits
CONNECT_TIMEOUT = 5.0  # seconds; `timeout` applies if it is shorter


class Settings:
    """Validated settings of a client.

    Raises:
        ConfigurationError: A value is invalid.
    """

    base_url: str = DEFAULT_BASE_URL
    timeout: float | None = DEFAULT_TIMEOUT
    deadline: float | None = None
    max_retries: int = DEFAULT_MAX_RETRIES
    max_wait: float = DEFAULT_MAX_WAIT
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    headers: Mapping[str, str] = {}
    extensions: Mapping[str, Any]
    """`timeout` and `max_response_bytes` in the form that httpx expects with each request."""

    def __init__(self, **given: object) -> None:
        self.__dict__.update(given)
        name, value = "", None
        try:
            for setting in SETTINGS:
                name, value = setting.name, getattr(self, setting.name)
                setattr(self, name, setting.check(name, value))
            name, value = "headers", self.headers
            check_headers(value)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(own_error(value, error).at(name)) from error
        connect = CONNECT_TIMEOUT if self.timeout is None else min(CONNECT_TIMEOUT, self.timeout)
        timeouts = {"connect": connect, "read": self.timeout, "write": self.timeout, "pool": self.timeout}
        self.extensions = {"timeout": timeouts, "max_response_bytes": self.max_response_bytes}

    def override(self, overrides: RequestOptions) -> Settings:
        """Return a copy with some settings replaced and headers added.

        Raises:
            TypeError: A name is not a setting that can be overridden.
            ConfigurationError: A value is invalid.
        """
        unknown = overrides.keys() - RequestOptions.__annotations__.keys()
        if unknown:
            allowed = ", ".join(sorted(RequestOptions.__annotations__))
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}; every call also takes {allowed}")
        changes = dict(overrides)
        if "headers" in overrides:
            with own_code("headers", overrides["headers"]):
                check_headers(overrides["headers"])
            added = {name.lower() for name in overrides["headers"]}
            kept = {name: value for name, value in self.headers.items() if name.lower() not in added}
            changes["headers"] = {**kept, **overrides["headers"]}
        return Settings(**{**vars(self), **changes})


class Setting:
    """One client setting: its argument, its environment variable and its check.

    Args:
        name: Name of the constructor argument and of the field of `Settings`.
        parse: Parses the variable; raises ValueError if it is not a number.
        check: Takes a name for messages and a value; returns the value to use or raises ConfigurationError.
        keeps_none: True if None is a valid value, False if it means "not given".
    """

    def __init__(
        self, name: str, parse: Callable[[str], object], check: Callable[[str, Any], Any], *, keeps_none: bool = False
    ) -> None:
        self.name, self.parse, self.check, self.keeps_none = name, parse, check, keeps_none

    @property
    def variable(self) -> str:
        """Environment variable that is read if the argument is not given."""
        return f"ENPROMPTA_{self.name.upper()}"


def settings_from(environ: Mapping[str, str], **given: object) -> Settings:
    """Return settings from arguments, `ENPROMPTA_*` variables and defaults, in this order.

    Raises:
        ConfigurationError: A value is invalid; the message names the argument or the variable.
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
    return Settings(**values)


def check_base_url(name: str, url: object) -> str:
    """Check the base URL of the API and return it without a trailing slash.

    Args:
        name: Name of the argument or variable, for messages.
        url: The base URL.

    Raises:
        ConfigurationError: The URL is invalid, or would send credentials unencrypted over a network.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{name} must be a URL in ASCII without blanks, such as {DEFAULT_BASE_URL}")
    return _checked_url(name, url)


@lru_cache(maxsize=64)
def _checked_url(name: str, url: str) -> str:
    """Check a base URL; cached, because a call with options checks all settings."""
    example = f"such as {DEFAULT_BASE_URL}"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{name} must be a URL in ASCII without blanks, {example}")
    library = library_for_url(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        library.URL(url)  # httpx must accept it too
    except (ValueError, library.InvalidURL) as error:
        raise ConfigurationError(f"{name} is not a valid URL ({error}): use one {example}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} must not hold a user name or password: pass api_key instead")
    if parts.scheme not in {"https", "http"} or not host:
        raise ConfigurationError(f"{name} must begin with https:// and a host, {example}")
    if port == 0:  # HTTP libraries use the scheme's port instead
        raise ConfigurationError(f"{name} names port 0, to which no program can connect: use a URL {example}")
    if "?" in url or "#" in url:
        raise ConfigurationError(f"{name} must end with its path, without ? or #, {example}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{name} is http:// to {host}, which would send your credentials in clear text: "
            "use https:// (http:// is for this machine alone, such as the emulator on 127.0.0.1)"
        )
    if not is_host(host):
        raise ConfigurationError(f"{name} does not name a host, {example}")
    return url.rstrip("/")


def _check_count(name: str, value: object, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of {least} or more, not {value!r}")
    return value


def _check_size(name: str, value: object) -> int:
    return _check_count(name, value, least=1)


def _check_bound(name: str, value: object) -> float | None:
    """Check a limit in seconds; None for no limit."""
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
"""All settings that environment variables can set; used by constructors, copies, `doctor` and the docs."""
