"""Settings come from arguments, then the environment, then defaults; each error says what is allowed."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from enprompta import ConfigurationError
from enprompta._common.hosts import is_loopback
from enprompta._http.settings import Settings, check_base_url, settings_from

SECRET = "hunter2"


def test_defaults_are_those_documented() -> None:
    """The defaults are the public API, 30 s, 3 retries and waits of up to 65 s."""
    settings = settings_from({})
    assert settings.base_url == "https://enprompta.com/api/v1"
    assert (settings.timeout, settings.max_retries, settings.max_wait) == (30.0, 3, 65.0)
    assert settings.max_response_bytes == 100_000_000
    assert settings.headers == {}


def test_the_environment_fills_in() -> None:
    """Each number and the address can come from `ENPROMPTA_*`; surrounding blanks are ignored."""
    environ = {
        "ENPROMPTA_BASE_URL": " https://api.test/v1/ ",
        "ENPROMPTA_TIMEOUT": "2.5",
        "ENPROMPTA_MAX_RETRIES": "0\n",
        "ENPROMPTA_MAX_WAIT": "7",
        "ENPROMPTA_MAX_RESPONSE_BYTES": "1000",
    }
    settings = settings_from(environ)
    assert settings.base_url == "https://api.test/v1"
    assert (settings.timeout, settings.max_retries, settings.max_wait) == (2.5, 0, 7.0)
    assert settings.max_response_bytes == 1_000


def test_arguments_go_before_the_environment() -> None:
    """A variable is not read if the argument is given, including None for no timeout."""
    environ = {"ENPROMPTA_TIMEOUT": "soon", "ENPROMPTA_MAX_RETRIES": "9", "ENPROMPTA_BASE_URL": "nonsense"}
    settings = settings_from(environ, timeout=None, max_retries=1, base_url="https://api.test")
    assert (settings.timeout, settings.max_retries, settings.base_url) == (None, 1, "https://api.test")


def test_empty_variables_are_not_given() -> None:
    """`ENPROMPTA_TIMEOUT=` in a shell means the default."""
    assert settings_from({"ENPROMPTA_TIMEOUT": "", "ENPROMPTA_MAX_RETRIES": " "}).timeout == 30.0


@pytest.mark.parametrize("name", ["TIMEOUT", "MAX_RETRIES", "MAX_WAIT"])
def test_a_variable_that_is_no_number_is_named(name: str) -> None:
    """The error names the variable and shows its value, which is not a secret."""
    with pytest.raises(ConfigurationError, match=f"ENPROMPTA_{name} must be a number, not 'many'"):
        settings_from({f"ENPROMPTA_{name}": "many"})


@pytest.mark.parametrize("name", ["TIMEOUT", "MAX_WAIT"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e400"])
def test_a_variable_is_checked_like_an_argument(name: str, value: str) -> None:
    """Values that `float()` accepts may still be invalid durations."""
    with pytest.raises(ConfigurationError, match=f"ENPROMPTA_{name} must be a number of seconds"):
        settings_from({f"ENPROMPTA_{name}": value})


BAD_SECONDS: list[Any] = [math.nan, math.inf, -math.inf, -1, -0.1, True, False, "30", b"3", [], Decimal(3), 1j]
BAD_SECONDS += [10**400, 1e300, 2_000_001, object()]


@pytest.mark.parametrize("value", [*BAD_SECONDS, 0, 0.0])
def test_an_invalid_timeout_is_refused(value: Any) -> None:
    """A timeout is a positive number of seconds that a socket can hold."""
    with pytest.raises(
        ConfigurationError, match="timeout must be a number of seconds, more than 0 and at most 2,000,000"
    ):
        Settings(timeout=value)


@pytest.mark.parametrize("value", [*BAD_SECONDS, 0])
def test_an_invalid_deadline_is_refused(value: Any) -> None:
    """A deadline is a positive number of seconds, or None for no limit."""
    with pytest.raises(ConfigurationError, match="deadline must be a number of seconds, more than 0"):
        Settings(deadline=value)
    assert Settings(deadline=None).deadline is None
    assert settings_from({"ENPROMPTA_DEADLINE": "9"}).deadline == 9.0


@pytest.mark.parametrize("value", [*BAD_SECONDS, None])
def test_an_invalid_max_wait_is_refused(value: Any) -> None:
    """`max_wait` is a number of seconds; 0 never waits for the server."""
    with pytest.raises(ConfigurationError, match="max_wait must be a number of seconds, 0 or more"):
        Settings(max_wait=value)
    assert Settings(max_wait=0).max_wait == 0


@pytest.mark.parametrize("value", [-1, 1.0, math.nan, True, False, "3", None, object()])
def test_an_invalid_number_of_retries_is_refused(value: Any) -> None:
    """The number of retries is an integer from 0."""
    with pytest.raises(ConfigurationError, match="max_retries must be a whole number of 0 or more"):
        Settings(max_retries=value)
    assert Settings(max_retries=0).max_retries == 0
    with pytest.raises(ConfigurationError, match="max_response_bytes must be a whole number of 1 or more"):
        Settings(max_response_bytes=value)
    with pytest.raises(ConfigurationError, match="not 0"):
        Settings(max_response_bytes=0)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (30.0, {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 30.0}),
        (2, {"connect": 2, "read": 2, "write": 2, "pool": 2}),
        (None, {"connect": 5.0, "read": None, "write": None, "pool": None}),
    ],
)
def test_a_timeout_bounds_each_phase(timeout: float | None, expected: dict[str, float | None]) -> None:
    """Connecting takes 5 s at most, because a reachable host accepts within that."""
    assert Settings(timeout=timeout).extensions["timeout"] == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://enprompta.com/api/v1",
        "https://api.test",
        "https://api.test:8443/x",
        "https://[2001:db8::1]/v1",
        "http://127.0.0.1:8787/api/v1",
        "http://localhost",
        "http://LocalHost/x",
        "http://api.localhost:1",
        "http://[::1]:80/api/v1",
        "http://127.9.9.9",
        "HTTPS://API.test/v1",
    ],
)
def test_https_and_this_machine_are_accepted(url: str) -> None:
    """HTTPS may go anywhere, HTTP only to loopback addresses; a trailing slash is removed."""
    assert check_base_url("base_url", url) == url
    assert check_base_url("base_url", url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://enprompta.com/api/v1",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://10.0.0.1",
        "http://0.0.0.0:80",
        "http://notlocalhost",
        "http://[2001:db8::1]/",
        "http://169.254.169.254",
        "http://127.1",
    ],
)
def test_clear_text_over_a_network_is_refused_with_the_reason(url: str) -> None:
    """The error says what would happen and what to use."""
    with pytest.raises(ConfigurationError, match=r"would send your credentials in clear text: use https://"):
        check_base_url("base_url", url)


@pytest.mark.parametrize(
    "url",
    [
        None,
        b"https://api.test",
        "",
        "api.test",
        "api.test/api/v1",
        "ftp://api.test",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://api.test/v1?x=1",
        "https://api.test/v1#top",
        "https://api.test/v1?",
        "https://api.test/v1#",
        "https://api.test/v1/?",
        "https://api.test/?#",
        "https://@api.test",
        "https://user@api.test",
        "https://:pw@api.test",
        "https://api.test:99999",
        "https://api.test:0",
        "https://api.test:00/v1",
        "https://api.test:x",
        "https://[::1",
        "https://[zz]/",
        "https://1.2.3.999/",
        "https://127.1",
        "https://api..test",
        "https://.api.test",
        "https://./v1",
        f"https://{'a' * 64}.test",
        f"https://{'a.' * 130}test",
        "https://a%2eb.test",
        "https://a,b.test",
        "https://api .test",
        "https://api.test/\n",
        "https://żółw.test",
        "https://api.test\t/",
        "https://" + "a" * 70_000,
    ],
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    """The error begins with the name of the setting and shows an example or the cure."""
    with pytest.raises(ConfigurationError, match=r"^base_url .*(such as https://enprompta.com/api/v1|pass api_key)"):
        check_base_url("base_url", url)


def test_a_password_in_the_address_is_not_shown() -> None:
    """Errors end up in logs."""
    with pytest.raises(ConfigurationError) as caught:
        check_base_url("base_url", f"https://me:{SECRET}@api.test")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.3", True),
        ("::1", True),
        ("localhost.test", False),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
        ("::", False),
        ("", False),
        ("127.0.0.1.test", False),
    ],
)
def test_loopback_is_recognized_by_name_and_address(host: str, loopback: bool) -> None:  # noqa: FBT001
    """RFC 6761, 6.3: `localhost` and its subdomains never leave the machine."""
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "CONTENT-TYPE",
        "Idempotency-Key",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
    ],
)
def test_headers_that_the_client_sets_cannot_be_set(name: str) -> None:
    """The error says what sets the header, and never shows the value."""
    with pytest.raises(ConfigurationError, match=f"header {name} cannot be set: ") as caught:
        Settings(headers={name: SECRET})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\0", "ż", " a", "a ", "\t", "\x7f", 1, None, b"x", ["x"]])
def test_header_values_that_cannot_be_sent_are_refused(value: Any) -> None:
    """A value is one line of printable ASCII without surrounding blanks; the error names only the header."""
    with pytest.raises(ConfigurationError, match="the value of header X-Team must be printable ASCII on one line"):
        Settings(headers={"X-Team": value})


@pytest.mark.parametrize("name", ["", "X Team", "X:Team", "X\nTeam", "Żółw", "(x)", None, 1, b"X-Team"])
def test_header_names_that_are_none_are_refused(name: Any) -> None:
    """RFC 9110, 5.6.2: a name is a token."""
    with pytest.raises(ConfigurationError, match="is not a valid header name"):
        Settings(headers={name: "x"})


@pytest.mark.parametrize("headers", [None, "X-Team: a", [("X-Team", "a")], 1])
def test_headers_must_be_a_mapping(headers: Any) -> None:
    """The error names the type of anything else."""
    with pytest.raises(ConfigurationError, match="headers must be a mapping of names to values, not "):
        Settings(headers=headers)


def test_ordinary_headers_are_kept() -> None:
    """Names may contain every token character; values may be empty."""
    headers = {"X-Team": "a b", "x_!#$%&'*+.^`|~": "", "User-Agent": "mine/1"}
    assert Settings(headers=headers).headers == headers


def test_overrides_replace_settings_and_add_headers() -> None:
    """Headers with the same name, in any case, are replaced; the others stay."""
    base = Settings(timeout=3, max_retries=1, headers={"X-Team": "a", "X-Two": "2"})
    view = base.override({"timeout": None, "headers": {"x-team": "b"}})
    assert (view.timeout, view.max_retries) == (None, 1)
    assert view.headers == {"X-Two": "2", "x-team": "b"}
    assert view.extensions["timeout"]["read"] is None
    assert base.headers == {"X-Team": "a", "X-Two": "2"}
    assert vars(base.override({})) == vars(base)


def test_overrides_are_checked() -> None:
    """A view or a call accepts the same values as a client."""
    with pytest.raises(ConfigurationError, match="timeout must be"):
        Settings().override({"timeout": -1})
    with pytest.raises(ConfigurationError, match="header Host cannot be set"):
        Settings().override({"headers": {"Host": "x"}})
    with pytest.raises(ConfigurationError, match="headers must be a mapping"):
        Settings().override({"headers": None})  # type: ignore[typeddict-item]


def test_an_unknown_override_is_a_type_error() -> None:
    """The error lists the keywords that every call accepts."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'retries'; every call also takes .*max_retries"):
        Settings().override({"retries": 3})  # type: ignore[typeddict-unknown-key]
