__all__ = ['APIConnectionError', 'APIError', 'APIResponseError', 'APIStatusError', 'APITimeoutError', 'Attempt', 'AuthenticationError', 'BadRequestError', 'ConfigurationError', 'ConflictError', 'EnpromptaError', 'FieldError', 'InsufficientTokensError', 'InternalServerError', 'NotFoundError', 'OutputError', 'PermissionDeniedError', 'RateLimit', 'RateLimitError', 'TemplateError', 'TemplateWarning', 'UnprocessableEntityError', 'VersionMismatchError', 'WebhookError', 'WebhookPayloadError', 'WebhookSignatureError', 'WorkflowFailedError']
class APIConnectionError(APIError):
    unsent: bool
class APIError(EnpromptaError):
    def __init__(self, message: str, *, attempts: Sequence[Attempt] = ()) -> None: ...
    attempts: tuple[Attempt, ...]
class APIResponseError(APIError):
    def __init__(self, message: str, *, status_code: int, request_id: str | None = None, headers: Mapping[str, str] | None = None, body: bytes = b'', attempts: Sequence[Attempt] = ()) -> None: ...
    body: bytes
    headers: Mapping[str, str]
    request_id: str | None
    status_code: int
class APIStatusError(APIError):
    def __init__(self, message: str, *, status_code: int, info: ErrorInfo | None = None, request_id: str | None = None, rate_limit: RateLimit | None = None, retry_after: float | None = None, headers: Mapping[str, str] | None = None, attempts: Sequence[Attempt] = ()) -> None: ...
    body: object
    code: str | None
    details: tuple[FieldError, ...]
    documentation_url: str | None
    headers: Mapping[str, str]
    numeric_code: int | None
    rate_limit: RateLimit | None
    request_id: str | None
    retry_after: float | None
    status_code: int
class APITimeoutError(APIConnectionError, TimeoutError):
    pass
class Attempt:
    def __init__(self, number: int, duration: float, status_code: int | None = None, error: str | None = None, wait: float = 0.0, request_id: str | None = None) -> None: ...
    duration: float
    error: str | None
    number: int
    request_id: str | None
    status_code: int | None
    wait: float
class AuthenticationError(APIStatusError):
    pass
class BadRequestError(APIStatusError):
    pass
class ConfigurationError(EnpromptaError, ValueError):
    unsent = True
class ConflictError(APIStatusError):
    pass
class EnpromptaError(Exception):
    def __init__(self, message: str) -> None: ...
    def add_context(self, text: str) -> None: ...
    args: tuple[Any, ...]
    message: str
class FieldError:
    def __init__(self, field: str | None, message: str) -> None: ...
    field: str | None
    message: str
class InsufficientTokensError(APIStatusError):
    pass
class InternalServerError(APIStatusError):
    pass
class NotFoundError(APIStatusError):
    pass
class OutputError(EnpromptaError, ValueError):
    def __init__(self, message: str, *, execution: object = None, place: str | None = None, text: str = '') -> None: ...
    execution: Any
    executions: tuple[Any, ...]
    place: str | None
    text: str
class PermissionDeniedError(APIStatusError):
    pass
class RateLimit:
    def __init__(self, limit: int, remaining: int, reset_at: datetime) -> None: ...
    limit: int
    remaining: int
    reset_at: datetime
class RateLimitError(APIStatusError):
    pass
class TemplateError(EnpromptaError, ValueError):
    def __init__(self, message: str, *, missing: Sequence[str] = (), unknown: Sequence[str] = ()) -> None: ...
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
class TemplateWarning(UserWarning):
    pass
class UnprocessableEntityError(APIStatusError):
    pass
class VersionMismatchError(EnpromptaError):
    def __init__(self, message: str, *, prompt_id: str = '', expected: int | str = 0, actual: int | str | None = None) -> None: ...
    actual: int | str | None
    expected: int | str
    prompt_id: str
class WebhookError(EnpromptaError):
    pass
class WebhookPayloadError(WebhookError):
    pass
class WebhookSignatureError(WebhookError):
    pass
class WorkflowFailedError(EnpromptaError):
    def __init__(self, message: str, *, execution: object) -> None: ...
    execution: Any
