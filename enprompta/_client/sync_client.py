"""The blocking client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from enprompta._client.base_client import BaseClient, Namespace, health_call, overrides
from enprompta._client.checks import library_for
from enprompta._core.boundary import public
from enprompta._core.operation import public_names
from enprompta._core.tracebacks import shorten
from enprompta._core.unset import UNSET, Unset
from enprompta._http.drivers import SyncDriver
from enprompta.errors import EnpromptaError
from enprompta.pagination import Page

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
    from enprompta.cache.background_runners import Threads
    from enprompta.limiters.interface import Limiter
    from enprompta.models.health import Health
    from enprompta.resources.executions import Executions, RawExecutions
    from enprompta.resources.prompts import Prompts, RawPrompts
    from enprompta.resources.teams import RawTeams, Teams
    from enprompta.resources.templates import RawTemplates, Templates
    from enprompta.resources.traces import RawTraces, Traces
    from enprompta.resources.usage import RawUsage, Usage
    from enprompta.resources.webhooks import RawWebhooks, Webhooks
    from enprompta.resources.workflows import RawWorkflows, Workflows

T = TypeVar("T")


class Enprompta(BaseClient):
    """The blocking client; threads may share one instance.

    Args:
        api_key: An API key, which begins with `ep_`. None reads `ENPROMPTA_API_KEY`.
        client_id: The id of OAuth2 client credentials, to use instead of a key. None reads `ENPROMPTA_CLIENT_ID`.
        client_secret: The secret of the client credentials. None reads `ENPROMPTA_CLIENT_SECRET`.
        scopes: Scopes of the access token, such as `["prompts:read"]`. None reads `ENPROMPTA_SCOPES` (separated by
            spaces); if that is not set, the service chooses.
        base_url: Base URL of the API. None reads `ENPROMPTA_BASE_URL`, else `https://enprompta.com/api/v1`. It must
            use https, unless the host is this machine.
        timeout: Seconds for each network operation: connecting (at most 5), sending, and receiving a part of the
            response. None sets no limit. Not given: `ENPROMPTA_TIMEOUT`, else 30.
        deadline: Seconds for a whole call, including access token, rate limit, retries and the complete response body.
            None sets no limit. Not given: `ENPROMPTA_DEADLINE`, else no limit.
        max_retries: Number of retries. None reads `ENPROMPTA_MAX_RETRIES`, else 3.
        max_wait: Longest wait in seconds for the rate limit, and longest retry delay that the server may ask for. If
            more is needed, the call fails at once. None reads `ENPROMPTA_MAX_WAIT`, else 65.
        max_response_bytes: Largest response body in bytes, decompressed; a larger one raises `APIResponseError`. None
            reads `ENPROMPTA_MAX_RESPONSE_BYTES`, else 100 MB (100,000,000).
        limiter: The rate limiter. By default a `LocalLimiter`, which all clients of this process with the same
            credentials and base URL share; a `RedisLimiter` is shared by several machines. None disables rate limiting.
        default_headers: Headers sent with every request.
        hooks: Objects that observe requests, responses, retries and waits; see `enprompta.hooks`.
        cache_dir: A folder that keeps the results of `prompts.get_live`, so that a program can start while the service
            is unavailable. None keeps them in memory only.
        http_client: A `Client` of httpx or httpx2, with its own proxy and TLS settings; the caller closes it.
            `"httpx2"` sends requests through httpx2, which trusts the certificates of the operating system (extra
            `httpx2`). None opens connections with httpx.

    Raises:
        ConfigurationError: Credentials are missing or a setting is invalid; the message says how to fix it.
    """

    _is_async = False
    prompts: Namespace[Prompts] = Namespace("prompts", "Prompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[Executions] = Namespace("executions", "Executions")
    """Inspect executions."""
    templates: Namespace[Templates] = Namespace("templates", "Templates")
    """Find and use templates of the community."""
    workflows: Namespace[Workflows] = Namespace("workflows", "Workflows")
    """Chain prompts into workflows."""
    teams: Namespace[Teams] = Namespace("teams", "Teams")
    """Manage teams and their members."""
    webhooks: Namespace[Webhooks] = Namespace("webhooks", "Webhooks")
    """Manage the endpoints that receive events."""
    traces: Namespace[Traces] = Namespace("traces", "Traces")
    """Record traces and read them."""
    usage: Namespace[Usage] = Namespace("usage", "Usage")
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
        http_client: httpx.Client | httpx2.Client | Literal["httpx2"] | None = None,
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
        """Send a call and return its result; use it for endpoints without a method.

        Raises:
            APIError: The call failed; `attempts` lists all attempts.
            ConfigurationError: The call cannot be sent.
        """
        try:
            return self._bound(call, self._transport.run(self._perform(call)))
        except EnpromptaError as error:
            shorten(error)
            raise error

    def run_raw(self, call: Call[T], /) -> APIResponse[T]:
        """Send a call and return its result with status, headers and attempts."""
        try:
            response = self._transport.run(self._perform_raw(call))
        except EnpromptaError as error:
            shorten(error)
            raise error
        self._bound(call, response.data)
        return response

    def run_flow(self, flow: Flow[T], /) -> T:
        """Run a flow of several calls; see `enprompta._core.operation.flow`."""
        try:
            return self._transport.run(self.flow_steps(flow))
        except EnpromptaError as error:
            shorten(error)
            raise error

    def drive(self, steps: Steps[T], /) -> T:
        """Perform the steps of a call, such as those that `steps(call)` describes, and return its result."""
        return self._transport.run(steps)

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (the result of the call)
        """Let a page fetch the next one; return other results unchanged."""
        return cast("Page[Any]", result).bind(call, self.run) if isinstance(result, Page) else result

    @public
    def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> Health:
        """Check the health of the service; needs no permission and is free.

        Args:
            detailed: Include the components of the service.
            **options: Options for this call, such as `timeout`; see `RequestOptions`.

        Raises:
            APIError: The call failed.
        """
        return self.run(health_call(options, detailed=detailed))

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
    def with_raw_response(self) -> RawEnprompta:
        """The same methods, returning an `APIResponse` with status, headers, request id and attempts."""
        return RawEnprompta(self)

    def close(self) -> None:
        """Close the connections. Does nothing for views, and leaves the caller's `http_client` open."""
        if not self._is_view:
            self._transport.close()
            for cache in self._live.values():
                cache.clear()
                cast("Threads", cache.background).close()

    @property
    def is_closed(self) -> bool:
        """True if the client can no longer make calls."""
        return self._transport.is_closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RawEnprompta:
    """The methods of `client.with_raw_response`, which return an `APIResponse`."""

    prompts: Namespace[RawPrompts] = Namespace("prompts", "RawPrompts")
    executions: Namespace[RawExecutions] = Namespace("executions", "RawExecutions")
    templates: Namespace[RawTemplates] = Namespace("templates", "RawTemplates")
    workflows: Namespace[RawWorkflows] = Namespace("workflows", "RawWorkflows")
    teams: Namespace[RawTeams] = Namespace("teams", "RawTeams")
    webhooks: Namespace[RawWebhooks] = Namespace("webhooks", "RawWebhooks")
    traces: Namespace[RawTraces] = Namespace("traces", "RawTraces")
    usage: Namespace[RawUsage] = Namespace("usage", "RawUsage")

    def __init__(self, client: Enprompta) -> None:
        self._client = client

    def __dir__(self) -> list[str]:
        return public_names(self)

    def __repr__(self) -> str:
        return f"<raw responses of {self._client!r}>"

    @public
    def run(self, call: Call[T], /) -> APIResponse[T]:
        """Send a call and return its result with status, headers and attempts."""
        return self._client.run_raw(call)

    @public
    def run_raw(self, call: Call[T], /) -> APIResponse[T]:
        """Equivalent to `run`."""
        return self._client.run_raw(call)

    @public
    def run_flow(self, flow: Flow[T], /) -> T:
        """Run a flow of several calls; see `enprompta._core.operation.flow`."""
        return self._client.run_flow(flow)

    @public
    def health(self, *, detailed: bool = False, **options: Unpack[RequestOptions]) -> APIResponse[Health]:
        """Check the health of the service; needs no permission and is free.

        Args:
            detailed: Include the components of the service.
            **options: Options for this call, such as `timeout`; see `RequestOptions`.

        Raises:
            APIError: The call failed.
        """
        return self.run_raw(health_call(options, detailed=detailed))
