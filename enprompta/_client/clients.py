"""The two clients: blocking and async, the same calls over the two transports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from enprompta._client.base_client import BaseClient, Namespace, health_call, library_for, overrides
from enprompta._core.boundary import public, public_async
from enprompta._core.tracebacks import shorten
from enprompta._core.unset import UNSET, Unset
from enprompta._http.drivers import AsyncDriver, SyncDriver
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
    from enprompta.cache.background_runners import Tasks, Threads
    from enprompta.limiters.interface import Limiter
    from enprompta.models.health import Health
    from enprompta.resources.executions import AsyncExecutions, AsyncRawExecutions, Executions, RawExecutions
    from enprompta.resources.prompts import AsyncPrompts, AsyncRawPrompts, Prompts, RawPrompts
    from enprompta.resources.teams import AsyncRawTeams, AsyncTeams, RawTeams, Teams
    from enprompta.resources.templates import AsyncRawTemplates, AsyncTemplates, RawTemplates, Templates
    from enprompta.resources.usage import AsyncRawUsage, AsyncUsage, RawUsage, Usage
    from enprompta.resources.webhooks import AsyncRawWebhooks, AsyncWebhooks, RawWebhooks, Webhooks
    from enprompta.resources.workflows import AsyncRawWorkflows, AsyncWorkflows, RawWorkflows, Workflows

T = TypeVar("T")


class Enprompta(BaseClient):
    """The blocking client; threads may share one.

    Args:
        api_key: Begins with `ep_`. None reads `ENPROMPTA_API_KEY`.
        client_id: OAuth2 client credentials instead of a key. None reads `ENPROMPTA_CLIENT_ID`.
        client_secret: Its secret. None reads `ENPROMPTA_CLIENT_SECRET`.
        scopes: What the token may do, such as `["prompts:read"]`. None reads `ENPROMPTA_SCOPES` (separated by blanks),
            else leaves it to the service.
        base_url: The address of the API. None reads `ENPROMPTA_BASE_URL`, else `https://enprompta.com/api/v1`. It must
            be https, unless the host is this machine.
        timeout: Seconds for each of connecting (at most 5), sending, and receiving a part of the answer. None waits
            without end. Not given: `ENPROMPTA_TIMEOUT`, else 30.
        deadline: Seconds for a whole call: token, budget, tries, waits, and the answer to its last byte. None sets no
            bound. Not given: `ENPROMPTA_DEADLINE`, else none.
        max_retries: Tries after the first one. None reads `ENPROMPTA_MAX_RETRIES`, else 3.
        max_wait: The longest wait in seconds for the request budget, or that the server may ask for before another
            try; when more is needed, the error comes at once. None reads `ENPROMPTA_MAX_WAIT`, else 65.
        max_response_bytes: Bytes that the body of an answer may have, decompressed; a longer one is an
            `APIResponseError`. None reads `ENPROMPTA_MAX_RESPONSE_BYTES`, else 100 MB (100,000,000).
        limiter: Who lets requests go. Not given is a `LocalLimiter`, which all clients of this process with the same
            credentials and address share; a `RedisLimiter` is shared by a fleet. None sends at once.
        default_headers: Sent with every request.
        hooks: Objects told of requests, answers, retries and waits; see `enprompta.hooks`.
        cache_dir: A folder for what `prompts.get_live` gave, for a start while the service is away. None keeps it in
            memory alone.
        http_client: A `Client` of httpx or httpx2 of your own (proxies, TLS settings); you close it. None opens
            connections of its own.

    Raises:
        ConfigurationError: There is no key, or a setting cannot work; the text says what to do.
    """

    prompts: Namespace[Prompts] = Namespace("prompts", "Prompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[Executions] = Namespace("executions", "Executions")
    """What came of executing prompts."""
    templates: Namespace[Templates] = Namespace("templates", "Templates")
    """Prompts of the community."""
    workflows: Namespace[Workflows] = Namespace("workflows", "Workflows")
    """Prompts chained into steps."""
    teams: Namespace[Teams] = Namespace("teams", "Teams")
    """Teams and who is in them."""
    webhooks: Namespace[Webhooks] = Namespace("webhooks", "Webhooks")
    """Where events are sent."""
    usage: Namespace[Usage] = Namespace("usage", "Usage")
    """What was used, and what it costs."""

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
        http_client: httpx.Client | httpx2.Client | None = None,
    ) -> None:
        self._library = library_for(http_client, "Client")
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
        self._transport = SyncDriver(http_client, self._auth, self.base_url)

    def run(self, call: Call[T], /) -> T:
        """Send a call and give what it returns; the typed way to an endpoint that has no method yet.

        Raises:
            APIError: The call failed; `attempts` tells every try.
            ConfigurationError: The call cannot be sent.
        """
        try:
            return self._bound(call, self._transport.run(self._perform(call)))
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)

    def run_raw(self, call: Call[T], /) -> APIResponse[T]:
        """Send a call and give what it returns with status, headers and attempts."""
        try:
            response = self._transport.run(self._perform_raw(call))
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)
        self._bound(call, response.data)
        return response

    def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        try:
            return self._transport.run(self._perform_flow(flow))
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)

    def drive(self, steps: Steps[T], /) -> T:
        """Perform the steps of a call, such as those that `steps(call)` describes, and return its result."""
        return self._transport.run(steps)

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (whatever the call returns)
        """Tell a page how to fetch the next one; give anything else back as it is."""
        return cast("Page[Any]", result).bind(call, self.run) if isinstance(result, Page) else result

    @public
    def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health:
        """Ask how the service is; needs no permission and costs nothing.

        Args:
            detailed: Tell the parts of the service too.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: What any call may raise.
        """
        return self.run(health_call(detailed, options))

    @public
    def with_options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        deadline: float | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        max_response_bytes: int | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
    ) -> Enprompta:
        """Give a view on this client with other settings: it shares connections and budget, and costs next to nothing.

        Args:
            timeout: Seconds, as for the client; None waits without end.
            deadline: Seconds for a whole call; None sets no bound.
            max_retries: Tries after the first one.
            max_response_bytes: Bytes that the body of an answer may have, decompressed.
            headers: Added to the client's, replacing those of the same name.
        """
        return self._view(
            overrides(
                timeout=timeout, deadline=deadline, max_retries=max_retries,
                max_response_bytes=max_response_bytes, headers=headers,
            )
        )  # fmt: skip

    @property
    def with_raw_response(self) -> RawEnprompta:
        """The same methods, each giving an `APIResponse` with status, headers, request id and attempts."""
        return RawEnprompta(self)

    def close(self) -> None:
        """Close the connections; closing again, or a view, or a client with your `http_client`, does nothing."""
        if not self._is_view:
            self._transport.close()
            for cache in self._live.values():
                cache.clear()
                cast("Threads", cache.background).close()

    def _background(self) -> Threads:
        from enprompta.cache.background_runners import Threads  # noqa: PLC0415 (with the cache it is for)

        return Threads()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._transport.is_closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncEnprompta(BaseClient):
    """The async client, on asyncio and trio; tasks may share one. Its arguments are those of `Enprompta`.

    Args:
        api_key: Begins with `ep_`. None reads `ENPROMPTA_API_KEY`.
        client_id: OAuth2 client credentials instead of a key. None reads `ENPROMPTA_CLIENT_ID`.
        client_secret: Its secret. None reads `ENPROMPTA_CLIENT_SECRET`.
        scopes: What the token may do, such as `["prompts:read"]`. None reads `ENPROMPTA_SCOPES` (separated by blanks),
            else leaves it to the service.
        base_url: The address of the API. None reads `ENPROMPTA_BASE_URL`, else `https://enprompta.com/api/v1`. It must
            be https, unless the host is this machine.
        timeout: Seconds for each of connecting (at most 5), sending, and receiving a part of the answer. None waits
            without end. Not given: `ENPROMPTA_TIMEOUT`, else 30.
        deadline: Seconds for a whole call: token, budget, tries, waits, and the answer to its last byte. None sets no
            bound. Not given: `ENPROMPTA_DEADLINE`, else none.
        max_retries: Tries after the first one. None reads `ENPROMPTA_MAX_RETRIES`, else 3.
        max_wait: The longest wait in seconds for the request budget, or that the server may ask for before another
            try; when more is needed, the error comes at once. None reads `ENPROMPTA_MAX_WAIT`, else 65.
        max_response_bytes: Bytes that the body of an answer may have, decompressed; a longer one is an
            `APIResponseError`. None reads `ENPROMPTA_MAX_RESPONSE_BYTES`, else 100 MB (100,000,000).
        limiter: Who lets requests go. Not given is a `LocalLimiter`, which all clients of this process with the same
            credentials and address share; a `RedisLimiter` is shared by a fleet. None sends at once.
        default_headers: Sent with every request.
        hooks: Objects told of requests, answers, retries and waits; see `enprompta.hooks`.
        cache_dir: A folder for what `prompts.get_live` gave, for a start while the service is away. None keeps it in
            memory alone.
        http_client: An `AsyncClient` of httpx or httpx2 of your own (proxies, TLS settings); you close it. `"aiohttp"`
            sends through aiohttp, which is faster (asyncio alone, extra `aiohttp`). None opens connections of its own.

    Raises:
        ConfigurationError: There is no key, or a setting cannot work; the text says what to do.
    """

    prompts: Namespace[AsyncPrompts] = Namespace("prompts", "AsyncPrompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[AsyncExecutions] = Namespace("executions", "AsyncExecutions")
    """What came of executing prompts."""
    templates: Namespace[AsyncTemplates] = Namespace("templates", "AsyncTemplates")
    """Prompts of the community."""
    workflows: Namespace[AsyncWorkflows] = Namespace("workflows", "AsyncWorkflows")
    """Prompts chained into steps."""
    teams: Namespace[AsyncTeams] = Namespace("teams", "AsyncTeams")
    """Teams and who is in them."""
    webhooks: Namespace[AsyncWebhooks] = Namespace("webhooks", "AsyncWebhooks")
    """Where events are sent."""
    usage: Namespace[AsyncUsage] = Namespace("usage", "AsyncUsage")
    """What was used, and what it costs."""

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
        http_client: httpx.AsyncClient | httpx2.AsyncClient | Literal["aiohttp"] | None = None,
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
        """Send a call and give what it returns; the typed way to an endpoint that has no method yet.

        Raises:
            APIError: The call failed; `attempts` tells every try.
            ConfigurationError: The call cannot be sent.
        """
        try:
            result = await self._transport.run(self._perform(call))
            return self._bound(call, result)
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)

    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]:
        """Send a call and give what it returns with status, headers and attempts."""
        try:
            response = await self._transport.run(self._perform_raw(call))
            return replace(response, data=self._bound(call, response.data))
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)

    async def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        try:
            return await self._transport.run(self._perform_flow(flow))
        except EnpromptaError as error:
            shorten(error)
            raise error  # noqa: TRY201 (with the short traceback; a bare `raise` of Python 3.10 keeps the old one)

    async def drive(self, steps: Steps[T], /) -> T:
        """Perform the steps of a call, such as those that `steps(call)` describes, and return its result."""
        return await self._transport.run(steps)

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (whatever the call returns)
        """Make a page one that fetches the next with `await`; give anything else back as it is."""
        return AsyncPage(cast("Page[Any]", result), call, self.run) if isinstance(result, Page) else result

    @public_async
    async def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health:
        """Ask how the service is; needs no permission and costs nothing.

        Args:
            detailed: Tell the parts of the service too.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: What any call may raise.
        """
        return await self.run(health_call(detailed, options))

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
        """Give a view on this client with other settings: it shares connections and budget, and costs next to nothing.

        Args:
            timeout: Seconds, as for the client; None waits without end.
            deadline: Seconds for a whole call; None sets no bound.
            max_retries: Tries after the first one.
            max_response_bytes: Bytes that the body of an answer may have, decompressed.
            headers: Added to the client's, replacing those of the same name.
        """
        return self._view(
            overrides(
                timeout=timeout, deadline=deadline, max_retries=max_retries,
                max_response_bytes=max_response_bytes, headers=headers,
            )
        )  # fmt: skip

    @property
    def with_raw_response(self) -> AsyncRawEnprompta:
        """The same methods, each giving an `APIResponse` with status, headers, request id and attempts."""
        return AsyncRawEnprompta(self)

    async def aclose(self) -> None:
        """Close the connections; closing again, or a view, or a client with your `http_client`, does nothing."""
        if not self._is_view:
            for cache in self._live.values():
                cache.clear()
                await cast("Tasks", cache.background).aclose()
            await self._transport.aclose()

    def _background(self) -> Tasks:
        from enprompta.cache.background_runners import Tasks  # noqa: PLC0415 (with the cache it is for)

        return Tasks()

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer be made."""
        return self._transport.is_closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class RawEnprompta:
    """`client.with_raw_response`: every method gives an `APIResponse`."""

    prompts: Namespace[RawPrompts] = Namespace("prompts", "RawPrompts")
    executions: Namespace[RawExecutions] = Namespace("executions", "RawExecutions")
    templates: Namespace[RawTemplates] = Namespace("templates", "RawTemplates")
    workflows: Namespace[RawWorkflows] = Namespace("workflows", "RawWorkflows")
    teams: Namespace[RawTeams] = Namespace("teams", "RawTeams")
    webhooks: Namespace[RawWebhooks] = Namespace("webhooks", "RawWebhooks")
    usage: Namespace[RawUsage] = Namespace("usage", "RawUsage")

    def __init__(self, client: Enprompta) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<raw responses of {self._client!r}>"

    @public
    def run(self, call: Call[T], /) -> APIResponse[T]:
        """Send a call and give what it returns with status, headers and attempts."""
        return self._client.run_raw(call)

    @public
    def run_raw(self, call: Call[T], /) -> APIResponse[T]:
        """Do as `run` does: there is nothing rawer."""
        return self._client.run_raw(call)

    @public
    def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        return self._client.run_flow(flow)

    @public
    def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> APIResponse[Health]:
        """Ask how the service is; needs no permission and costs nothing.

        Args:
            detailed: Tell the parts of the service too.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: What any call may raise.
        """
        return self.run_raw(health_call(detailed, options))


class AsyncRawEnprompta:
    """`async_client.with_raw_response`: every method gives an `APIResponse`."""

    prompts: Namespace[AsyncRawPrompts] = Namespace("prompts", "AsyncRawPrompts")
    executions: Namespace[AsyncRawExecutions] = Namespace("executions", "AsyncRawExecutions")
    templates: Namespace[AsyncRawTemplates] = Namespace("templates", "AsyncRawTemplates")
    workflows: Namespace[AsyncRawWorkflows] = Namespace("workflows", "AsyncRawWorkflows")
    teams: Namespace[AsyncRawTeams] = Namespace("teams", "AsyncRawTeams")
    webhooks: Namespace[AsyncRawWebhooks] = Namespace("webhooks", "AsyncRawWebhooks")
    usage: Namespace[AsyncRawUsage] = Namespace("usage", "AsyncRawUsage")

    def __init__(self, client: AsyncEnprompta) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<raw responses of {self._client!r}>"

    @overload
    async def run(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run(self, call: Call[T], /) -> APIResponse[T]: ...
    @public_async
    async def run(self, call: Call[Any], /) -> APIResponse[Any]:
        """Send a call and give what it returns with status, headers and attempts."""
        return await self._client.run_raw(call)

    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    @public_async
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]:
        """Do as `run` does: there is nothing rawer."""
        return await self._client.run_raw(call)

    @public_async
    async def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        return await self._client.run_flow(flow)

    @public_async
    async def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> APIResponse[Health]:
        """Ask how the service is; needs no permission and costs nothing.

        Args:
            detailed: Tell the parts of the service too.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            APIError: What any call may raise.
        """
        return await self.run_raw(health_call(detailed, options))
