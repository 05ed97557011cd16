"""Every failure raises the error class that describes it."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta._core.steps import Answer
from enprompta._http.failures.error_mapping import read_error_body, status_error, transport_error
from enprompta._http.route.proxies import Proxy
from enprompta.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    FieldError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)

CLASSES = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientTokensError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def failed(status: int = 400, body: Any = None, **headers: str) -> APIStatusError:
    """Build the error of a response; bytes are sent unchanged, None is an empty body."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    answer = Answer(status, named, content, httpx.Request("GET", "https://api.test/prompts"))
    return status_error("GET /prompts", answer, 0.0)


@pytest.mark.parametrize("status", [*range(300, 600), 600, 799, 999])
def test_every_status_has_its_class(status: int) -> None:
    """Eight statuses have a class each, 5xx and above share one, others use the base class."""
    expected = CLASSES.get(status, InternalServerError if status >= 500 else APIStatusError)
    error = failed(status)
    assert type(error) is expected
    assert error.status_code == status
    assert f"GET /prompts returned {status}" in str(error)


def test_the_references_dialect_is_read() -> None:
    """`code` is a name, `details` a list of fields with messages."""
    details = [{"field": "temperature", "message": "Must be between 0 and 2"}]
    error = failed(400, {"error": {"code": "VALIDATION_ERROR", "message": "Invalid parameters", "details": details}})
    assert error.code == "VALIDATION_ERROR"
    assert error.numeric_code is None
    assert error.details == (FieldError("temperature", "Must be between 0 and 2"),)
    assert error.body == {"error": {"code": "VALIDATION_ERROR", "message": "Invalid parameters", "details": details}}
    assert str(error) == (
        "GET /prompts returned 400 Bad Request: Invalid parameters [VALIDATION_ERROR] "
        "(temperature: Must be between 0 and 2)"
    )


def test_the_detailed_dialect_is_read() -> None:
    """`code` is a number and `type` the name; the request id and the documentation link are in the body."""
    body = {"code": 1001, "type": "AUTH_INVALID_TOKEN", "message": "Bad token", "request_id": "req_1"}
    body["documentation_url"] = "https://enprompta.com/docs/1001"
    error = failed(401, {"success": False, "error": {**body, "details": None}})
    assert isinstance(error, AuthenticationError)
    assert (error.code, error.numeric_code) == ("AUTH_INVALID_TOKEN", 1001)
    assert error.request_id == "req_1"
    assert error.documentation_url == "https://enprompta.com/docs/1001"
    assert error.details == ()
    assert str(error).endswith("Bad token [AUTH_INVALID_TOKEN] (request id: req_1)")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": None}, None),
        ({"error": "boom"}, "boom"),
        ({"error": ""}, None),
        ({"error": 42}, "42"),
        ({"error": []}, None),
        ({"error": {}}, None),
        ({"error": {"message": None}}, None),
        ({"error": {"message": ["x"]}}, None),
        ({"message": "top"}, "top"),
        ({}, None),
        ([], None),
        ("text", None),
        (None, None),
        (b" \n", None),
        (b"<html>down</html>", None),
        (b'{"error": {"mess', None),
        (b"\xff\xfe\x00", None),
        (b"[" * 50_000, None),
    ],
    ids=range(18),
)
def test_any_body_becomes_an_error_of_its_status(body: Any, message: str | None) -> None:
    """Any body gives the class of its status, and a message if it contains one."""
    error = failed(404, body)
    assert type(error) is NotFoundError
    assert error.details == ()
    assert error.numeric_code is None
    assert str(error) == f"GET /prompts returned 404 Not Found{f': {message}' if message else ''}"


@pytest.mark.parametrize(
    ("given", "code", "number"),
    [
        (1001, "1001", 1001),
        ("1001", "1001", 1001),
        ("VALIDATION_ERROR", "VALIDATION_ERROR", None),
        (True, None, None),
        (False, None, None),
        (None, None, None),
        ("", None, None),
        (1.5, "1.5", None),
        (["x"], None, None),
        ("9" * 30, "9" * 30, None),
        ("٣", "٣", None),
    ],
)
def test_a_code_is_read_as_name_and_number(given: object, code: str | None, number: int | None) -> None:
    """A number, also as digits, is name and number; a name is only a name; a boolean is no code."""
    error = failed(400, {"error": {"code": given, "message": "m"}})
    assert (error.code, error.numeric_code) == (code, number)


@pytest.mark.parametrize(
    ("details", "read"),
    [
        (None, []),
        ([], []),
        ({}, []),
        ("", []),
        ("too long", [(None, "too long")]),
        (["too long", None, 3], [(None, "too long"), (None, "3")]),
        ([{"field": "a", "message": "b"}], [("a", "b")]),
        ([{"message": "b"}], [(None, "b")]),
        ([{"field": "a"}], [("a", "")]),
        ([{"field": None, "message": None}], [(None, "None")]),
        ({"field": "a", "message": "b"}, [("a", "b")]),
        ({"a": "b", "c": ["d", "e"]}, [("a", "b"), ("c", "d; e")]),
        (7, [(None, "7")]),
    ],
)
def test_details_are_read_in_every_form(details: object, read: list[tuple[str | None, str]]) -> None:
    """Lists of objects or texts, mappings of fields to messages, one text, or nothing."""
    error = failed(400, {"error": {"code": "X", "message": "m", "details": details}})
    assert [(one.field, one.message) for one in error.details] == read


def test_an_oauth_error_is_read() -> None:
    """RFC 6749, 5.2: `error` is the code and `error_description` the message."""
    error = failed(401, {"error": "invalid_client", "error_description": "Unknown client"})
    assert (error.code, str(error)) == (
        "invalid_client",
        "GET /prompts returned 401 Unauthorized: Unknown client [invalid_client]",
    )


def test_html_is_kept_as_text_and_not_shown() -> None:
    """A proxy's page is in `body`, not in the message."""
    error = failed(502, b"<html>Bad \xff gateway</html>")
    assert error.body == "<html>Bad \ufffd gateway</html>"
    assert str(error) == "GET /prompts returned 502 Bad Gateway"


def test_the_headers_request_id_goes_first() -> None:
    """The header takes precedence, because a proxy may have written the body."""
    body = {"error": {"message": "m", "request_id": "req_body"}, "request_id": "req_top"}
    assert failed(500, body, X_Request_Id="req_header").request_id == "req_header"
    assert failed(500, body).request_id == "req_body"
    assert failed(500, {"error": "m", "request_id": "req_top"}).request_id == "req_top"
    assert "(request id: req_header)" in str(failed(500, None, X_Request_Id="req_header"))


def test_the_error_has_the_budget_and_the_wait() -> None:
    """The error of a 429 has the rate limit and the seconds to wait."""
    told = {"X_RateLimit_Limit": "60", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "42"}
    error = failed(429, None, **told)
    assert error.rate_limit is not None
    assert (error.rate_limit.limit, error.rate_limit.remaining) == (60, 0)
    assert error.retry_after == 42.0
    assert failed(429, None, Retry_After="1.5", **told).retry_after == 1.5
    assert failed(500).retry_after is None
    assert error.headers["x-ratelimit-limit"] == "60"


def test_a_redirect_says_where_to() -> None:
    """A 3xx is an error with the address that the client did not follow."""
    assert "redirects are not followed (to https://other.test/x); check base_url" in str(
        failed(301, None, Location="https://other.test/x")
    )
    assert "(to nowhere)" in str(failed(308))


def test_the_message_is_bounded() -> None:
    """A long server message is shortened; `body` has all of it."""
    fields = [{"field": f"f{n}", "message": "m" * 1_000} for n in range(20)]
    body = {"error": {"code": "C" * 9_000, "message": "M" * 9_000, "details": fields, "request_id": "R" * 9_000}}
    error = failed(400, body, Location="L" * 9_000)
    assert len(str(error)) < 8_500
    assert "; and 15 more" in str(error)
    assert len(error.details) == 20
    assert error.body == body


@pytest.mark.parametrize(
    ("raised", "expected", "says"),
    [
        (httpx.ConnectTimeout("t"), APITimeoutError, "api.test did not accept a connection in time"),
        (httpx.PoolTimeout(""), APITimeoutError, "nothing was sent"),
        (httpx.ReadTimeout("t"), APITimeoutError, "api.test sent nothing for longer than timeout allows"),
        (httpx.WriteTimeout("t"), APITimeoutError, "api.test sent nothing for longer than timeout allows"),
        (httpx.ConnectError("refused"), APIConnectionError, "cannot connect to api.test: refused"),
        (httpx.ConnectError(""), APIConnectionError, "cannot connect to api.test: ConnectError"),
        (httpx.RemoteProtocolError("cut"), APIConnectionError, "api.test sent an invalid response: cut"),
        (httpx.DecodingError("gzip"), APIConnectionError, "api.test sent an invalid response: gzip"),
        (httpx.ReadError("reset"), APIConnectionError, "the connection to api.test failed: reset"),
        (httpx.WriteError(""), APIConnectionError, "the connection to api.test failed: WriteError"),
        (httpx.ProxyError("407"), APIConnectionError, "the proxy refused to connect to api.test: 407"),
        (httpx.TooManyRedirects("loop"), APIConnectionError, "the connection to api.test failed: loop"),
        (ssl.SSLError("bad record"), APIConnectionError, "bad record"),
        (OSError(24, "Too many open files"), APIConnectionError, "Too many open files"),
        (RuntimeError("Cannot send a request, as the client has been closed."), ConfigurationError, "client is closed"),
        (RuntimeError("odd"), APIConnectionError, "the connection to api.test failed: odd"),
    ],
)
def test_every_transport_failure_is_ours(raised: Exception, expected: type[Exception], says: str) -> None:
    """The message names the call and the host."""
    error = transport_error("GET /prompts", "api.test", raised)
    assert type(error) is expected
    assert str(error).startswith("GET /prompts: ")
    assert says in str(error)


def test_a_timeout_behind_a_proxy_names_both() -> None:
    """The connection goes through the proxy, whose password is not shown."""
    proxy = Proxy("http", "proxy.test", 3128, "user", "pass1234")
    error = transport_error("GET /prompts", "api.test", httpx.ConnectTimeout("t"), proxy=proxy)
    assert str(error) == (f"GET /prompts: api.test did not accept a connection through the proxy {proxy} in time")
    assert "pass1234" not in str(error)


def test_a_timeout_is_a_timeout_error() -> None:
    """`except TimeoutError` catches it, as callers expect."""
    assert isinstance(transport_error("GET /x", "h", httpx.ReadTimeout("")), TimeoutError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "details", "field", "request_id", "error_description"])
            | st.text(max_size=3),
            inner,
        )
    ),
)


@given(
    st.sampled_from([*CLASSES, 304, 418, 500, 599]), st.binary() | json_values.map(lambda it: json.dumps(it).encode())
)
def test_any_error_body_gives_its_class(status: int, body: bytes) -> None:
    """For any body, the class is that of the status, and attributes have their types."""
    error = failed(status, body)
    assert type(error) is CLASSES.get(status, InternalServerError if status >= 500 else APIStatusError)
    assert error.code is None or isinstance(error.code, str)
    assert error.numeric_code is None or type(error.numeric_code) is int
    assert all(isinstance(one, FieldError) and isinstance(one.message, str) for one in error.details)


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 950, 980, 990, 1_000, 5_000])
def test_deep_details_are_read(depth: int) -> None:
    """Deep nesting does not overflow the stack."""
    body = b'{"error": {"details": ' + b"[" * depth + b"]" * depth + b"}}"
    assert read_error_body(body).body is not None
