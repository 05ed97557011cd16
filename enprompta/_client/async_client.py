"""The async client."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from enprompta._client.base_client import BaseClient, Namespace, health_call, overrides
from enprompta._client.checks import library_for
from enprompta._core.boundary import public, public_async
from enprompta._core.operation import public_names
from enprompta._core.tracebacks import shorten
from enprompta._core.unset import UNSET, Unset
from enprompta._http.drivers import AsyncDriver
from enprompta.errors import EnpromptaError
from enprompta.pagination import AsyncPage, Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike
    from types import TracebackType

    import httpx
    import httpx2
    from typing_extensions import Self, Unpack

    from enprompta._core.call import Call, RequestOptions
    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow
    from enprompta._core.steps import Steps
    from enprompta.cache.background_runners import Tasks
    from enprompta.limiters.interface import Limiter
    from enprompta.models.health import Health
    from enprompta.resources.executions import AsyncExecutions, AsyncRawExecutions
    from enprompta.resources.prompts import AsyncPrompts, AsyncRawPrompts
    from enprompta.resources.teams import AsyncRawTeams, AsyncTeams
    from enprompta.resources.templates import AsyncRawTemplates, AsyncTemplates
    from enprompta.resources.traces import AsyncRawTraces, AsyncTraces
    from enprompta.resources.usage import AsyncRawUsage, AsyncUsage
    from enprompta.resources.webhooks import AsyncRawWebhooks, AsyncWebhooks
    from enprompta.resources.workflows import AsyncRawWorkflows, AsyncWorkflows

T = TypeVar("T")


class AsyncEnprompta(BaseClient):
    """The async client for asyncio and trio; tasks may share one instance.

    Takes the arguments of `Enprompta` except for `http_client`.

    Args:
        http_client: An `AsyncClient` of httpx or httpx2, with its own proxy and TLS settings; the caller closes it.
            `"aiohttp"` sends requests through aiohttp, which is faster (asyncio only, extra `aiohttp`).
            `"httpx2"` sends them through httpx2, which trusts the certificates of the operating system (extra
            `httpx2`). None opens connections with httpx.

    Raises:
        ConfigurationError: Credentials are missing or a setting is invalid; the message says how to fix it.
    """

    _is_async = True
    prompts: Namespace[AsyncPrompts] = Namespace("prompts", "AsyncPrompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[AsyncExecutions] = Namespace("executions", "AsyncExecutions")
    """Inspect executions."""
    templates: Namespace[AsyncTemplates] = Namespace("templates", "AsyncTemplates")
    """Find and use templates of the community."""
    workflows: Namespace[AsyncWorkflows] = Namespace("workflows", "AsyncWorkflows")
    """Chain prompts into workflows."""
    teams: Namespace[AsyncTeams] = Namespace("teams", "AsyncTeams")
    """Manage teams and their members."""
    webhooks: Namespace[AsyncWebhooks] = Namespace("webhooks", "AsyncWebhooks")
    """Manage the endpoints that receive events."""
    traces: Namespace[AsyncTraces] = Namespace("traces", "AsyncTraces")
    """Record traces and read them."""
    usage: Namespace[AsyncUsage] = Namespace("usage", "AsyncUsage")
    """Read usage and costs."""

    @public
    def __init__(
        self,
        *,
        api_key: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        scopes: Sequence[str] | None = None,
        base_url: str | None = None,
        timeout: float | Unset | None = UNSET,
        deadline: float | Unset | None = UNSET,
        max_retries: int | None = None,
        max_wait: float | None = None,
        max_response_bytes: int | None = None,
        limiter: Limiter | Unset | None = UNSET,
        default_headers: Mapping[str, str] | None = None,
        hooks: Iterable[object] = (),
        cache_dir: str | PathLike[str] | None = None,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | Literal["aiohttp", "httpx2"] | None = None,
    ) -> None:
        self._library = library_for(http_client, "AsyncClient")
        self._http_client = http_client
        self._configure(
            {"api_key": api_key, "client_id": client_id, "client_secret": client_secret, "scopes": scopes},
            limiter,
            hooks,
            default_headers,
            cache_dir,
            base_url=base_url, timeout=timeout, deadline=deadline, max_retries=max_retries, max_wait=max_wait,
            max_response_bytes=max_response_bytes,
        )  # fmt: skip
        self._transport = AsyncDriver(http_client, self._auth, self.base_url)

    @overload
    async def run(self, call: Call[Page[T]], /) -> AsyncPage[T]: ...
    @overload
    async def run(self, call: Call[T], /) -> T: ...
    async def run(self, call: Call[Any], /) -> Any:
        """Send a call and return its result; use it for endpoints without a method.

        Raises:
            APIError: The call failed; `attempts` lists all attempts.
            ConfigurationError: The call cannot be sent.
        """
        try:
            result = await self._transport.run(self._perform(call))
            return self._bound(call, result)
        except EnpromptaError as error:
            shorten(error)
            raise error

    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]:
        """Send a call and return its result with status, headers and attempts."""
        try:
            response = await self._transport.run(self._perform_raw(call))
            return replace(response, data=self._bound(call, response.data))
        except EnpromptaError as error:
            shorten(error)
            raise error

    async def run_flow(self, flow: Flow[T], /) -> T:
        """Run a flow of several calls; see `enprompta._core.operation.flow`."""
        try:
            return await self._transport.run(self.flow_steps(flow))
        except EnpromptaError as error:
            shorten(error)
            raise error

    async def drive(self, steps: Steps[T], /) -> T:
        """Perform the steps of a call, such as those that `steps(call)` describes, and return its result."""
        return await self._transport.run(steps)

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (the result of the call)
        """Convert a page to one that fetches the next with `await`; return other results unchanged."""
        return AsyncPage(cast("Page[Any]", result), call, self.run) if isinstance(result, Page) else result

    @public_async
    async def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health:
        """Check the health of the service; needs no permission and is free.

        Args:
            detailed: Include the components of the service.
            **options: Options for this call, such as `timeout`; see `RequestOptions`.

        Raises:
            APIError: The call failed.
        """
        return await self.run(health_call(options, detailed=detailed))

    @public
    def with_options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        deadline: float | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        max_response_bytes: int | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
    ) -> AsyncEnprompta:
        """Return a client with other settings that shares the connections and the rate limit of this one.

        Args:
            timeout: Seconds for each network operation; None for no limit.
            deadline: Seconds for a whole call; None for no limit.
            max_retries: Number of retries.
            max_response_bytes: Largest response body in bytes, decompressed.
            headers: Headers to add; they replace those of the same name.
        """
        return self._view(
            overrides(
                timeout=timeout, deadline=deadline, max_retries=max_retries,
                max_response_bytes=max_response_bytes, headers=headers,
            )
        )  # fmt: skip

    @property
    def with_raw_response(self) -> AsyncRawEnprompta:
        """The same methods, returning an `APIResponse` with status, headers, request id and attempts."""
        return AsyncRawEnprompta(self)

    async def aclose(self) -> None:
        """Close the connections. Does nothing for views, and leaves the caller's `http_client` open."""
        if not self._is_view:
            for cache in self._live.values():
                cache.clear()
                await cast("Tasks", cache.background).aclose()
            await self._transport.aclose()

    @property
    def is_closed(self) -> bool:
        """True if the client can no longer make calls."""
        return self._transport.is_closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncRawEnprompta:
    """The methods of `async_client.with_raw_response`, which return an `APIResponse`."""

    prompts: Namespace[AsyncRawPrompts] = Namespace("prompts", "AsyncRawPrompts")
    executions: Namespace[AsyncRawExecutions] = Namespace("executions", "AsyncRawExecutions")
    templates: Namespace[AsyncRawTemplates] = Namespace("templates", "AsyncRawTemplates")
    workflows: Namespace[AsyncRawWorkflows] = Namespace("workflows", "AsyncRawWorkflows")
    teams: Namespace[AsyncRawTeams] = Namespace("teams", "AsyncRawTeams")
    webhooks: Namespace[AsyncRawWebhooks] = Namespace("webhooks", "AsyncRawWebhooks")
    traces: Namespace[AsyncRawTraces] = Namespace("traces", "AsyncRawTraces")
    usage: Namespace[AsyncRawUsage] = Namespace("usage", "AsyncRawUsage")

    def __init__(self, client: AsyncEnprompta) -> None:
        self._client = client

    def __dir__(self) -> list[str]:
        return public_names(self)

    def __repr__(self) -> str:
        return f"<raw responses of {self._client!r}>"

    @overload
    async def run(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run(self, call: Call[T], /) -> APIResponse[T]: ...
    @public_async
    async def run(self, call: Call[Any], /) -> APIResponse[Any]:
        """Send a call and return its result with status, headers and attempts."""
        return await self._client.run_raw(call)

    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    @public_async
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]:
        """Equivalent to `run`."""
        return await self._client.run_raw(call)

    @public_async
    async def run_flow(self, flow: Flow[T], /) -> T:
        """Run a flow of several calls; see `enprompta._core.operation.flow`."""
        return await self._client.run_flow(flow)

    @public_async
    async def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> APIResponse[Health]:
        """Check the health of the service; needs no permission and is free.

        Args:
            detailed: Include the components of the service.
            **options: Options for this call, such as `timeout`; see `RequestOptions`.

        Raises:
            APIError: The call failed.
        """
        return await self.run_raw(health_call(options, detailed=detailed))
