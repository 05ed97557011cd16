"""The small things the cache is made of: what is asked for, who is on the way, what is counted."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from enprompta.cache.freshness import EMPTY, CachedPrompt
from enprompta.errors import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta._core.call import Call, RequestOptions
    from enprompta.cache.fallback import Fallback
    from enprompta.cache.keys import PromptKey
    from enprompta.cache.snapshots import Snapshot
    from enprompta.errors import APIError
    from enprompta.models.prompts import LivePrompt

REFRESH_SECONDS = 30.0  # a request in the background may take, at most


class Request(NamedTuple):
    """What a caller asks for, and how; a tuple, for one is made at every call."""

    client: Any
    """The client, or the view on it, that sends the request."""
    key: PromptKey
    make: Callable[[PromptKey, RequestOptions], Call[LivePrompt]]
    """Builds the call."""
    ttl: float | None
    fallback: Fallback | None
    options: RequestOptions

    def call(self, held: CachedPrompt, options: RequestOptions) -> Call[LivePrompt]:
        """Build the call, which asks for nothing when what is held is still live (RFC 9110, 13.1.2)."""
        if held.value is None or held.etag is None:
            return self.make(self.key, options)
        headers = {**options.get("headers", {}), "If-None-Match": held.etag}
        return self.make(self.key, {**options, "headers": headers})

    def in_background(self) -> RequestOptions:
        """How it is asked for when nobody waits for it, or not for long: once, and with an end."""
        given = self.client.settings_for(self.options).deadline
        deadline = REFRESH_SECONDS if given is None else min(REFRESH_SECONDS, given)
        return cast("RequestOptions", {"max_retries": 0, **self.options, "deadline": deadline})


class PendingFetch:
    """One request on its way, and those who wait for it."""

    __slots__ = ("began", "gate", "late")

    def __init__(self, began: float) -> None:
        self.began: float = began
        self.late: APITimeoutError = APITimeoutError("the service has not answered yet, and is not waited for")
        """Why those who would not wait for it were given something else."""
        self.gate: Future[CachedPrompt | None] = Future()
        """Gives what is held then; None when the request was broken off, and somebody else has to make it."""


class CacheEntry:
    """One prompt's place in the cache."""

    __slots__ = ("fallback", "flight", "held", "reading")

    def __init__(self) -> None:
        self.held: CachedPrompt = EMPTY
        self.flight: PendingFetch | None = None
        self.reading: Future[Snapshot | None] | None = None
        self.fallback: tuple[object, APIError | None, LivePrompt] | None = None
        """The fallback used last, the failure it was used for, and what it came to: it is not made at every call."""
