"""Every error of the package, and the small records that errors carry.

EnpromptaError
├── ConfigurationError (ValueError)      the client or a call cannot work as set up; nothing was sent
├── TemplateError (ValueError)           variables missing from a prompt, or unknown to it
├── WorkflowFailedError                  a workflow that was waited for has failed or was cancelled
├── WebhookError
│   ├── WebhookSignatureError            not signed with the secret: answer 401
│   └── WebhookPayloadError              signed, but not an event: answer 400
└── APIError                             a call was sent, or was about to be
    ├── APIConnectionError               no answer: refused, reset, DNS, TLS, a broken reply
    │   └── APITimeoutError (TimeoutError)
    ├── APIResponseError                 a 2xx that is not what the API promises
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

Nothing foreign leaves a call: no httpx, JSON or pydantic exception. Every error pickles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

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
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "TemplateError",
    "UnprocessableEntityError",
    "WebhookError",
    "WebhookPayloadError",
    "WebhookSignatureError",
    "WorkflowFailedError",
]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the API last said of the request budget (reference: "Rate Limits")."""

    limit: int
    """Requests allowed in the window."""
    remaining: int
    """Requests left in the window."""
    reset_at: datetime
    """When the window ends, in UTC by the server's clock."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of an error's `details` (reference: "Error Response Format")."""

    field: str | None
    """The parameter that is wrong; None when the API named none."""
    message: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call: how it ended and what it cost in time."""

    number: int
    """1 for the first try."""
    duration: float
    """Seconds from sending the request to the end of its answer, or to the failure."""
    status_code: int | None = None
    """The answer's status; None when no answer came."""
    error: str | None = None
    """The failure in words; None when an answer came."""
    wait: float = 0.0
    """Seconds waited after this try, before the next one."""
    request_id: str | None = None
    """The server's id of the request; None when it gave none."""


class EnpromptaError(Exception):
    """Base of every error this package raises."""

    args: tuple[Any, ...]
    message: str
    """What happened, to what, and what to do about it."""

    def __init__(self, message: str) -> None:
        """Keep the message readable without `str()`."""
        super().__init__(message)
        self.message = message

    def add_context(self, text: str) -> None:
        """Append a clause to the message, once more is known than where the error was made."""
        self.message = f"{self.message}; {text}"
        self.args = (self.message, *self.args[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state: subclasses have keyword-only arguments that `Exception` would not pass on."""
        return _restore, (type(self), self.args), self.__dict__


def _restore(cls: type[EnpromptaError], args: tuple[Any, ...]) -> EnpromptaError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ConfigurationError(EnpromptaError, ValueError):
    """The client, or one call, is set up in a way that cannot work; nothing was sent."""

    unsent = True


class TemplateError(EnpromptaError, ValueError):
    """A prompt cannot be rendered with the variables given."""

    missing: tuple[str, ...]
    """Names the prompt needs and was not given."""
    unknown: tuple[str, ...]
    """Names that were given and the prompt does not know."""

    def __init__(self, message: str, *, missing: Sequence[str] = (), unknown: Sequence[str] = ()) -> None:
        """Name both kinds of culprit."""
        super().__init__(message)
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)


class WorkflowFailedError(EnpromptaError):
    """A workflow that was waited for with `raise_on_failure=True` has failed or was cancelled."""

    execution: Any
    """The `WorkflowExecution` as it ended, with its steps and their errors."""

    def __init__(self, message: str, *, execution: object) -> None:
        """Carry the execution, so that the caller can see which step failed."""
        super().__init__(message)
        self.execution = execution


class WebhookError(EnpromptaError):
    """Base of what can be wrong with a webhook delivery."""


class WebhookSignatureError(WebhookError):
    """The delivery is not signed with the secret: answer 401 and do not process it."""


class WebhookPayloadError(WebhookError):
    """The delivery is signed, but its body is not an event: answer 400."""


class APIError(EnpromptaError):
    """A call failed on its way to the API, at the API, or on its way back."""

    attempts: tuple[Attempt, ...]
    """Every try of the call, the first one first; empty when nothing was sent."""

    def __init__(self, message: str, *, attempts: Sequence[Attempt] = ()) -> None:
        """Carry the tries that led here."""
        super().__init__(message)
        self.attempts = tuple(attempts)


class APIConnectionError(APIError):
    """No answer came: refused, reset, DNS, TLS, or a reply that broke off."""

    unsent: bool = False
    """Whether the last try surely never left this machine: no connection was made, or none was free."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """No answer came in time."""


class APIResponseError(APIError):
    """The API answered 2xx with something other than what its reference promises."""

    status_code: int
    request_id: str | None
    """The server's id of the request, to quote to support; None when it gave none."""
    headers: Mapping[str, str]
    body: bytes
    """The body as it came, at most its first 64 KiB."""

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
        """Carry the answer that could not be read."""
        super().__init__(message, attempts=attempts)
        self.status_code = status_code
        self.request_id = request_id
        self.headers = headers or {}
        self.body = body


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error body of either dialect, read into one shape."""

    message: str | None = None
    code: str | None = None
    numeric_code: int | None = None
    details: tuple[FieldError, ...] = ()
    request_id: str | None = None
    documentation_url: str | None = None
    body: object = field(default=None, repr=False)


class APIStatusError(APIError):
    """The API answered with a status other than 2xx; each status of the reference has a subclass."""

    status_code: int
    code: str | None
    """The error's name, such as `VALIDATION_ERROR`; None when the API gave none."""
    numeric_code: int | None
    """The error's number, such as 1001; None when the API gave none."""
    details: tuple[FieldError, ...]
    """What is wrong field by field; often empty."""
    request_id: str | None
    """The server's id of the request, to quote to support; None when it gave none."""
    documentation_url: str | None
    """Where the API explains this error; None when it does not say."""
    rate_limit: RateLimit | None
    """The request budget told with this answer; None when it was not."""
    retry_after: float | None
    """Seconds the API asks to wait before another try; None when it does not ask."""
    headers: Mapping[str, str]
    body: object
    """The body as decoded JSON, else as text; None when it was empty."""

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
        """Spread the parsed error body over the attributes."""
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
    """402: the plan's tokens of this month are used up; never retried."""


class PermissionDeniedError(APIStatusError):
    """403: the plan has no API access, or the key may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such object, or this key may not see it."""


class ConflictError(APIStatusError):
    """409: the request contradicts the state of the object, or of an earlier request with the same idempotency key."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed and still makes no sense to the API."""


class RateLimitError(APIStatusError):
    """429: too many requests; `retry_after` tells how many seconds to wait."""


class InternalServerError(APIStatusError):
    """5xx: the API failed; the call was retried before this was raised."""


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
    """Tell which class stands for a status."""
    default = InternalServerError if status_code >= 500 else APIStatusError  # noqa: PLR2004 (5xx is the definition)
    return _BY_STATUS.get(status_code, default)
