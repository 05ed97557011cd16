"""Every error of the package, and the small records that errors carry.

EnpromptaError
├── ConfigurationError (ValueError)      an invalid setting or argument; nothing was sent
├── TemplateError (ValueError)           variables are missing, unknown or invalid
├── VersionMismatchError                 the prompt has another version than expected; nothing was executed
├── OutputError (ValueError)             an output does not match the type that `output` asks for
├── WorkflowFailedError                  a workflow run failed or was cancelled
├── WebhookError
│   ├── WebhookSignatureError            not signed with the secret: answer 401
│   └── WebhookPayloadError              signed, but not an event: answer 400
└── APIError                             a call failed in the network or at the API
    ├── APIConnectionError               no complete response: refused, reset, DNS, TLS
    │   └── APITimeoutError (TimeoutError)
    ├── APIResponseError                 a 2xx response that does not match the reference
    └── APIStatusError                   any other status
        ├── BadRequestError              400
        ├── AuthenticationError          401
        ├── InsufficientTokensError      402
        ├── PermissionDeniedError        403
        ├── NotFoundError                404
        ├── ConflictError                409
        ├── UnprocessableEntityError     422
        ├── RateLimitError               429
        └── InternalServerError          5xx

TemplateWarning (UserWarning)            a text with template syntax that stays in it

Calls never raise exceptions of httpx, JSON or pydantic. Every error can be pickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enprompta.errors.records import Attempt, FieldError, RateLimit
else:
    __getattr__, __dir__ = lazy(__name__, {".records": "Attempt FieldError RateLimit"})

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "EnpromptaError",
    "FieldError",
    "InsufficientTokensError",
    "InternalServerError",
    "NotFoundError",
    "OutputError",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "TemplateError",
    "TemplateWarning",
    "UnprocessableEntityError",
    "VersionMismatchError",
    "WebhookError",
    "WebhookPayloadError",
    "WebhookSignatureError",
    "WorkflowFailedError",
]


class EnpromptaError(Exception):
    """Base of every error this package raises."""

    args: tuple[Any, ...]
    message: str
    """Description of what happened and what to do about it."""

    def __init__(self, message: str) -> None:
        """Keep the message readable without `str()`."""
        super().__init__(message)
        self.message = message

    def add_context(self, text: str) -> None:
        """Append a clause to the message, for context that was unknown where the error was raised."""
        self.message = f"{self.message}; {text}"
        self.args = (self.message, *self.args[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, because `Exception` does not pickle keyword-only arguments."""
        return _restore, (type(self), self.args), self.__dict__


def _restore(cls: type[EnpromptaError], args: tuple[object, ...]) -> EnpromptaError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ConfigurationError(EnpromptaError, ValueError):
    """The client or a call has an invalid setting or argument; nothing was sent."""

    unsent = True


class TemplateError(EnpromptaError, ValueError):
    """A prompt cannot be rendered with the variables given."""

    missing: tuple[str, ...]
    """Names of required variables without a value."""
    unknown: tuple[str, ...]
    """Names of given values that the prompt does not use."""

    def __init__(self, message: str, *, missing: Sequence[str] = (), unknown: Sequence[str] = ()) -> None:
        """Keep the missing and the unknown names."""
        super().__init__(message)
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)


class TemplateWarning(UserWarning):
    """A prompt's text or its declared variables have a problem: the text is sent and rendered as it is."""


class VersionMismatchError(EnpromptaError):
    """The prompt has another version than `expect_version` says; nothing was executed or charged."""

    prompt_id: str
    expected: int | str
    """The version that the call expected."""
    actual: int | str | None
    """The version that the service would have executed; None if it does not report one."""

    def __init__(
        self, message: str, *, prompt_id: str = "", expected: int | str = 0, actual: int | str | None = None
    ) -> None:
        """Keep both versions."""
        super().__init__(message)
        self.prompt_id = prompt_id
        self.expected = expected
        self.actual = actual


class OutputError(EnpromptaError, ValueError):
    """The prompt was executed, and its output does not match the type that `output` asks for.

    The execution was charged; its output is in `text`.
    """

    execution: Any
    """The `Execution` whose output does not match; None if `parse_output` was called with a text."""
    executions: tuple[Any, ...]
    """All executions of the call, in order: more than one after a repair."""
    place: str | None
    """The first place that does not match, such as `items[2].price`; None if the output has no JSON at all."""
    text: str
    """The output."""

    def __init__(self, message: str, *, execution: object = None, place: str | None = None, text: str = "") -> None:
        """Keep the execution, the place and the text."""
        super().__init__(message)
        self.execution = execution
        self.executions = () if execution is None else (execution,)
        self.place = place
        self.text = text


class WorkflowFailedError(EnpromptaError):
    """A workflow run failed or was cancelled, while waiting with `raise_on_failure=True`."""

    execution: Any
    """The final `WorkflowExecution`, with its steps and their errors."""

    def __init__(self, message: str, *, execution: object) -> None:
        """Keep the execution, which shows the step that failed."""
        super().__init__(message)
        self.execution = execution


class WebhookError(EnpromptaError):
    """Base of the errors of webhook deliveries."""


class WebhookSignatureError(WebhookError):
    """The delivery is not signed with the secret: answer 401 and do not process it."""


class WebhookPayloadError(WebhookError):
    """The delivery is signed, but its body is not an event: answer 400."""


class APIError(EnpromptaError):
    """A call failed in the network or at the API."""

    attempts: tuple[Attempt, ...]
    """Every attempt of the call, in order; empty if nothing was sent."""

    def __init__(self, message: str, *, attempts: Sequence[Attempt] = ()) -> None:
        """Keep the attempts of the call."""
        super().__init__(message)
        self.attempts = tuple(attempts)


class APIConnectionError(APIError):
    """No complete response: connection refused or reset, DNS, TLS, or an interrupted response."""

    unsent: bool = False
    """True if the last attempt was certainly not sent: no connection was made, or none was free."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """No response arrived in time."""


class APIResponseError(APIError):
    """The API sent a 2xx response that does not match its reference."""

    status_code: int
    request_id: str | None
    """The server's id of the request, for support; None if it sent none."""
    headers: Mapping[str, str]
    body: bytes
    """The raw body, at most its first 64 KiB."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Keep the response that could not be read."""
        super().__init__(message, attempts=attempts)
        self.status_code = status_code
        self.request_id = request_id
        self.headers = headers or {}
        self.body = body


class ErrorInfo:
    """The content of an error body, in either of the API's formats."""

    def __init__(
        self,
        message: str | None = None,
        code: str | None = None,
        *,
        numeric_code: int | None = None,
        details: tuple[FieldError, ...] = (),
        request_id: str | None = None,
        documentation_url: str | None = None,
        body: object = None,
    ) -> None:
        self.message: str | None = message
        self.code: str | None = code
        self.numeric_code: int | None = numeric_code
        self.details: tuple[FieldError, ...] = details
        self.request_id: str | None = request_id
        self.documentation_url: str | None = documentation_url
        self.body: object = body


class APIStatusError(APIError):
    """The API responded with a status other than 2xx; each documented status has a subclass."""

    status_code: int
    code: str | None
    """The error's name, such as `VALIDATION_ERROR`; None if the API sends none."""
    numeric_code: int | None
    """The error's number, such as 1001; None if the API sends none."""
    details: tuple[FieldError, ...]
    """Problems with individual fields; often empty."""
    request_id: str | None
    """The server's id of the request, for support; None if it sent none."""
    documentation_url: str | None
    """URL that documents this error; None if the API sends none."""
    rate_limit: RateLimit | None
    """The rate limit reported with this response; None if it was not reported."""
    retry_after: float | None
    """Seconds to wait before a retry, as requested by the API; None if it does not ask."""
    headers: Mapping[str, str]
    body: object
    """The body as decoded JSON, otherwise as text; None if it is empty."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        info: ErrorInfo | None = None,
        request_id: str | None = None,
        rate_limit: RateLimit | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Copy the parsed error body to attributes."""
        super().__init__(message, attempts=attempts)
        info = info or ErrorInfo()
        self.status_code = status_code
        self.code = info.code
        self.numeric_code = info.numeric_code
        self.details = info.details
        self.request_id = request_id or info.request_id
        self.documentation_url = info.documentation_url
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        self.headers = headers or {}
        self.body = info.body


class BadRequestError(APIStatusError):
    """400: a parameter is invalid; see `details`."""


class AuthenticationError(APIStatusError):
    """401: the API key, client secret or access token is missing, wrong or revoked."""


class InsufficientTokensError(APIStatusError):
    """402: this month's credits (the API calls them tokens) are used up; never retried."""


class PermissionDeniedError(APIStatusError):
    """403: the plan has no API access, or the credentials lack permission."""


class NotFoundError(APIStatusError):
    """404: the object does not exist, or the credentials cannot see it."""


class ConflictError(APIStatusError):
    """409: the request conflicts with the object's state, or with an earlier request with the same idempotency key."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed, but the API cannot process it."""


class RateLimitError(APIStatusError):
    """429: too many requests; wait `retry_after` seconds."""


class InternalServerError(APIStatusError):
    """5xx: the API failed; the call was retried before this was raised."""


_SERVER_ERROR = 500  # the first status code of the server's errors
_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientTokensError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_class(status_code: int) -> type[APIStatusError]:
    """Return the error class for a status code."""
    default = InternalServerError if status_code >= _SERVER_ERROR else APIStatusError
    return _BY_STATUS.get(status_code, default)
