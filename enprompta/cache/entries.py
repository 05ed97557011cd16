"""The records of the cache: a request, a pending fetch, a cache entry."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from enprompta.cache.freshness import EMPTY, CachedPrompt
from enprompta.errors import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.call import Call, RequestOptions
    from enprompta.cache.fallback import Fallback
    from enprompta.cache.keys import PromptKey
    from enprompta.cache.snapshots import Snapshot
    from enprompta.errors import APIError
    from enprompta.models.live_prompts import LivePrompt

REFRESH_DEADLINE_SECONDS = 30.0  # maximum deadline of a background request


class Request(NamedTuple):
    """A caller's request for a live prompt, with its options."""

    client: Any
    """The client, or a view of it, that sends the request."""
    key: PromptKey
    make: Callable[[PromptKey, RequestOptions], Call[LivePrompt]]
    """Builds the call."""
    ttl: float | None
    fallback: Fallback | None
    options: RequestOptions

    def call(self, cached: CachedPrompt, options: RequestOptions) -> Call[LivePrompt]:
        """Build the call; conditional (RFC 9110, 13.1.2) when the cached value has an ETag."""
        if cached.value is None or cached.etag is None:
            return self.make(self.key, options)
        headers = {**options.get("headers", {}), "If-None-Match": cached.etag}
        return self.make(self.key, {**options, "headers": headers})

    def in_background(self) -> RequestOptions:
        """Build the options of a background request: no retries, and a deadline."""
        given = self.client.settings_for(self.options).deadline
        deadline = REFRESH_DEADLINE_SECONDS if given is None else min(REFRESH_DEADLINE_SECONDS, given)
        return {"max_retries": 0, **self.options, "deadline": deadline}


class PendingFetch:
    """A request that is in flight, shared by all callers that wait for it."""

    __slots__ = ("began", "future", "timeout_error")

    def __init__(self, began: float) -> None:
        self.began: float = began
        self.timeout_error: APITimeoutError = APITimeoutError("the service has not answered within the connect timeout")
        """The error reported to callers that stopped waiting and got a stale prompt or a fallback."""
        self.future: Future[CachedPrompt | None] = Future()
        """Resolves to the new cached value, or to None if the fetch was abandoned and another caller must repeat it."""


class CacheEntry:
    """The state of one prompt in the cache."""

    __slots__ = ("cached", "fallback", "pending", "reading")

    def __init__(self) -> None:
        self.cached: CachedPrompt = EMPTY
        self.pending: PendingFetch | None = None
        self.reading: Future[Snapshot | None] | None = None
        self.fallback: tuple[object, APIError | None, LivePrompt] | None = None
        """The last fallback used, the error it was used for, and the prompt built from it, which is reused."""
