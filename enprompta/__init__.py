"""The official Python client for the Enprompta REST API.

from enprompta import Enprompta

client = Enprompta()  # reads ENPROMPTA_API_KEY
for prompt in client.prompts.list():
print(prompt.title)
"""

from enprompta._client import AsyncEnprompta, Enprompta
from enprompta._core.call import Call, RequestOptions, WriteOptions
from enprompta._core.response import APIResponse
from enprompta._core.unset import UNSET, Unset
from enprompta._version import __version__
from enprompta.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    Attempt,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    EnpromptaError,
    FieldError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimit,
    RateLimitError,
    TemplateError,
    UnprocessableEntityError,
    WebhookError,
    WebhookPayloadError,
    WebhookSignatureError,
    WorkflowFailedError,
)
from enprompta.pagination import AsyncPage, AsyncPager, Page

__all__ = [
    "UNSET",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncEnprompta",
    "AsyncPage",
    "AsyncPager",
    "Attempt",
    "AuthenticationError",
    "BadRequestError",
    "Call",
    "ConfigurationError",
    "ConflictError",
    "Enprompta",
    "EnpromptaError",
    "FieldError",
    "InsufficientTokensError",
    "InternalServerError",
    "NotFoundError",
    "Page",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "RequestOptions",
    "TemplateError",
    "UnprocessableEntityError",
    "Unset",
    "WebhookError",
    "WebhookPayloadError",
    "WebhookSignatureError",
    "WorkflowFailedError",
    "WriteOptions",
    "__version__",
]
