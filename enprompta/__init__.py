"""The official Python client for the Enprompta REST API.

    from enprompta import Enprompta

    client = Enprompta()  # reads ENPROMPTA_API_KEY
    for prompt in client.prompts.list():
        print(prompt.title)

The clients, and with them httpx and pydantic, are imported on first use: the pytest plugin and the command line are
part of this package too, and run in processes that never make a call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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
    OutputError,
    PermissionDeniedError,
    RateLimit,
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
    from enprompta.pagination import AsyncPage, AsyncPager, Page
    from enprompta.rollouts import Split
else:  # hidden from type checkers: with `__getattr__` they would accept any name
    _HOMES = {
        "UNSET": "enprompta._core.unset",
        "APIResponse": "enprompta._core.response",
        "AsyncEnprompta": "enprompta._client.async_client",
        "AsyncPage": "enprompta.pagination",
        "AsyncPager": "enprompta.pagination",
        "Call": "enprompta._core.call",
        "Enprompta": "enprompta._client.sync_client",
        "Page": "enprompta.pagination",
        "RequestOptions": "enprompta._core.call",
        "Split": "enprompta.rollouts",
        "Unset": "enprompta._core.unset",
        "WriteOptions": "enprompta._core.call",
    }
    _MODULES = frozenset({"models", "pagination"})

    def __getattr__(name: str) -> object:
        """Import the module of a public name on first access."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return list(__all__)


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
