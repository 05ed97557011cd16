"""The official Python client for the Enprompta REST API.

    from enprompta import Enprompta

    client = Enprompta()  # reads ENPROMPTA_API_KEY
    for prompt in client.prompts.list():
        print(prompt.title)

The clients, and with them httpx and pydantic, are imported on first use: the pytest plugin and the command line are
part of this package too, and run in processes that never make a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy
from enprompta._version import __version__
from enprompta.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    EnpromptaError,
    InsufficientTokensError,
    InternalServerError,
    NotFoundError,
    OutputError,
    PermissionDeniedError,
    RateLimitError,
    TemplateError,
    TemplateWarning,
    UnprocessableEntityError,
    VersionMismatchError,
    WebhookError,
    WebhookPayloadError,
    WebhookSignatureError,
    WorkflowFailedError,
)

if TYPE_CHECKING:
    from enprompta._client.async_client import AsyncEnprompta
    from enprompta._client.sync_client import Enprompta
    from enprompta._core.call import Call, RequestOptions, WriteOptions
    from enprompta._core.response import APIResponse
    from enprompta._core.unset import UNSET, Unset
    from enprompta.errors import Attempt, FieldError, RateLimit
    from enprompta.pagination import AsyncPage, AsyncPager, Page
    from enprompta.rollouts import Split
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".": "models pagination",
            "._client.async_client": "AsyncEnprompta",
            "._client.sync_client": "Enprompta",
            "._core.call": "Call RequestOptions WriteOptions",
            "._core.response": "APIResponse",
            "._core.unset": "UNSET Unset",
            ".errors": "Attempt FieldError RateLimit",
            ".pagination": "AsyncPage AsyncPager Page",
            ".rollouts": "Split",
        },
    )

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
    "OutputError",
    "Page",
    "PermissionDeniedError",
    "RateLimit",
    "RateLimitError",
    "RequestOptions",
    "Split",
    "TemplateError",
    "TemplateWarning",
    "UnprocessableEntityError",
    "Unset",
    "VersionMismatchError",
    "WebhookError",
    "WebhookPayloadError",
    "WebhookSignatureError",
    "WorkflowFailedError",
    "WriteOptions",
    "__version__",
]
