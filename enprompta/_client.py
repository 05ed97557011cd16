"""The two clients: they assemble settings, credentials, transport and resources, and run calls."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import httpx

from enprompta._core.body import encode_json, encode_query
from enprompta._core.decode import UndecodableError, decode
from enprompta._core.response import APIResponse
from enprompta._core.unset import UNSET, Unset
from enprompta._http import log
from enprompta._http.auth import credentials_from
from enprompta._http.config import Overrides, Settings, is_header_text, settings_from
from enprompta._http.exchange import Sleep, exchange
from enprompta._http.ratelimit import LastSeen, parse_rate_limit
from enprompta._http.retry import RetryPolicy
from enprompta._http.transport import AsyncTransport, SyncTransport
from enprompta._version import __version__
from enprompta.errors import APIResponseError, ConfigurationError, EnpromptaError, RateLimit
from enprompta.pagination import AsyncPage, Page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from enprompta._core.call import Call
    from enprompta._core.operation import Flow
    from enprompta._http.auth import ApiKeyAuth
    from enprompta._http.exchange import Reply, Steps
    from enprompta.resources.executions import AsyncExecutions, AsyncRawExecutions, Executions, RawExecutions
    from enprompta.resources.prompts import AsyncPrompts, AsyncRawPrompts, Prompts, RawPrompts
    from enprompta.resources.templates import AsyncRawTemplates, AsyncTemplates, RawTemplates, Templates

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_USER_AGENT = f"enprompta-python/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
_IDEMPOTENCY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_SHOWN_BODY = 65_536  # bytes of an unreadable answer that its error keeps


class Namespace(Generic[T_co]):
    """A resource of a client, such as `client.prompts`; its module is imported when it is first used."""

    def __init__(self, resource: str, class_name: str) -> None:
        self._home = resource, class_name
        self._class: Any = None

    @overload
    def __get__(self, client: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, client: object, owner: type, /) -> T_co: ...
    def __get__(self, client: object | None, owner: type, /) -> Self | T_co:
        if client is None:
            return self
        if self._class is None:
            module, class_name = self._home
            self._class = getattr(import_module(f"enprompta.resources.{module}"), class_name)
        # Made anew each time: kept on the client, it would be a cycle that only the garbage collector ends.
        return cast("T_co", self._class(client))


class _BaseClient:
    """What both clients share: everything that needs no I/O."""

    _settings: Settings
    _auth: ApiKeyAuth
    _seen: LastSeen
    _is_view: bool
    _headers: list[tuple[bytes, bytes]]

    def _configure(self, **given: object) -> None:
        environ = os.environ
        log.configure(environ)
        self._auth = credentials_from(environ, api_key=given.pop("api_key"))
        self._seen = LastSeen()
        self._is_view = False
        headers = given.pop("default_headers")
        chosen = {name: value for name, value in given.items() if value is not None or name == "timeout"}
        if chosen["timeout"] is UNSET:
            del chosen["timeout"]
        self._use(settings_from(environ, headers={} if headers is None else headers, **chosen))

    def _use(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = self._header_list(settings)
        parent, slash, _ = settings.base_url.rpartition("/")
        # Paths below /api/ start at the API root, the parent of the base URL: …/api/v1 -> …/api
        self._api_root = parent if slash and not parent.endswith("/") else settings.base_url

    def _header_list(self, settings: Settings) -> list[tuple[bytes, bytes]]:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",  # required on every request, GET and DELETE too
            "User-Agent": _USER_AGENT,
        }
        replaced = {name.lower() for name in settings.headers}
        merged = {name: value for name, value in headers.items() if name.lower() not in replaced}
        merged.update(settings.headers)
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in merged.items()]

    def _view(self, overrides: Overrides) -> Self:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._is_view = True
        view._use(self._settings.override(overrides))
        return view

    def _url(self, call: Call[Any]) -> str:
        if not call.path.startswith("/"):
            raise ConfigurationError(f"a call's path begins with a slash, {call.path!r} does not")
        root = self._api_root + call.path[4:] if call.path.startswith("/api/") else self._settings.base_url + call.path
        query = encode_query(call.params) if call.params else ""
        return f"{root}?{query}" if query else root

    def _send(self, call: Call[Any]) -> Steps[Reply]:
        options: Any = dict(call.options) if call.options else None
        settings, headers = self._settings, self._headers
        key: object = None
        if options:
            key = options.pop("idempotency_key", None)
            if options:
                settings = settings.override(options)
                headers = self._header_list(settings)
        headers = [*headers, (b"Authorization", self._auth.header.encode("ascii"))]
        if call.method in _IDEMPOTENCY_METHODS:
            headers.append((b"Idempotency-Key", _idempotency_key(key)))
        request = httpx.Request(
            call.method,
            self._url(call),
            headers=headers,
            content=None if call.json is None else encode_json(call.json),
            extensions={"timeout": settings.timeouts},
        )
        policy = RetryPolicy(settings.max_retries, settings.max_wait)
        return exchange(request, f"{call.method} {call.path}", policy, self._seen)

    def _perform(self, call: Call[T]) -> Steps[T]:
        reply = yield from self._send(call)
        return _read(call, reply)

    def _perform_raw(self, call: Call[T]) -> Steps[APIResponse[T]]:
        reply = yield from self._send(call)
        response = reply.response
        return APIResponse(
            data=_read(call, reply),
            status_code=response.status_code,
            headers=response.headers,
            request_id=reply.request_id,
            rate_limit=parse_rate_limit(response.headers),
            attempts=reply.attempts,
        )

    def _perform_flow(self, flow: Flow[T]) -> Steps[T]:
        """Drive a flow: run each call it yields, sleep each pause."""
        try:
            wish = next(flow)
            while True:
                try:
                    if hasattr(wish, "returns"):
                        outcome = yield from self._perform(cast("Call[Any]", wish))
                    else:
                        outcome = yield Sleep(cast("Any", wish).seconds)
                except EnpromptaError as error:
                    wish = flow.throw(error)
                else:
                    wish = flow.send(outcome)
        except StopIteration as stop:
            return cast("T", stop.value)
        finally:
            flow.close()

    @property
    def base_url(self) -> str:
        """The address of the API, without a slash at its end."""
        return self._settings.base_url

    @property
    def rate_limit(self) -> RateLimit | None:
        """The request budget as the API last told it; None before the first answer (reference: "Rate Limits")."""
        return self._seen.rate_limit

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.base_url} {self._auth!r}>"


class Enprompta(_BaseClient):
    """The blocking client; threads may share one.

    Args:
        api_key: Begins with `ep_`. None reads `ENPROMPTA_API_KEY`.
        base_url: The address of the API. None reads `ENPROMPTA_BASE_URL`, else `https://enprompta.com/api/v1`. It must
            be https, unless the host is this machine.
        timeout: Seconds for each of connecting (at most 5), sending, and receiving a part of the answer. None waits
            without end. Not given: `ENPROMPTA_TIMEOUT`, else 30.
        max_retries: Tries after the first one. None reads `ENPROMPTA_MAX_RETRIES`, else 3.
        max_wait: The longest wait in seconds that the server may ask for before another try; when it asks for more,
            the error comes at once. None reads `ENPROMPTA_MAX_WAIT`, else 65.
        default_headers: Sent with every request.
        http_client: An `httpx.Client` of your own (proxies, TLS settings); you close it. None makes one.

    Raises:
        ConfigurationError: There is no key, or a setting cannot work; the text says what to do.
    """

    prompts: Namespace[Prompts] = Namespace("prompts", "Prompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[Executions] = Namespace("executions", "Executions")
    """What came of executing prompts."""
    templates: Namespace[Templates] = Namespace("templates", "Templates")
    """Prompts of the community."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Unset | None = UNSET,
        max_retries: int | None = None,
        max_wait: float | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        _check_http_client(http_client, httpx.Client)
        self._configure(
            api_key=api_key, base_url=base_url, timeout=timeout, max_retries=max_retries, max_wait=max_wait,
            default_headers=default_headers,
        )  # fmt: skip
        self._transport = SyncTransport(http_client)

    def run(self, call: Call[T], /) -> T:
        """Send a call and give what it returns; the typed way to an endpoint that has no method yet.

        Raises:
            APIError: The call failed; `attempts` tells every try.
            ConfigurationError: The call cannot be sent.
        """
        return self._bound(call, self._transport.run(self._perform(call)))

    def run_raw(self, call: Call[T], /) -> APIResponse[T]:
        """Send a call and give what it returns with status, headers and attempts."""
        response = self._transport.run(self._perform_raw(call))
        self._bound(call, response.data)
        return response

    def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        return self._transport.run(self._perform_flow(flow))

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (whatever the call returns)
        """Tell a page how to fetch the next one; give anything else back as it is."""
        return cast("Page[Any]", result).bind(call, self.run) if isinstance(result, Page) else result

    def with_options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
    ) -> Enprompta:
        """Give a view on this client with other settings: it shares connections and budget, and costs next to nothing.

        Args:
            timeout: Seconds, as for the client; None waits without end.
            max_retries: Tries after the first one.
            headers: Added to the client's, replacing those of the same name.
        """
        return self._view(_overrides(timeout=timeout, max_retries=max_retries, headers=headers))

    @property
    def with_raw_response(self) -> RawEnprompta:
        """The same methods, each giving an `APIResponse` with status, headers, request id and attempts."""
        return RawEnprompta(self)

    def close(self) -> None:
        """Close the connections; closing again, or a view, or a client with your `http_client`, does nothing."""
        if not self._is_view:
            self._transport.close()

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


class AsyncEnprompta(_BaseClient):
    """The async client, on asyncio and trio; tasks may share one. Its arguments are those of `Enprompta`.

    Args:
        api_key: Begins with `ep_`. None reads `ENPROMPTA_API_KEY`.
        base_url: The address of the API. None reads `ENPROMPTA_BASE_URL`, else `https://enprompta.com/api/v1`. It must
            be https, unless the host is this machine.
        timeout: Seconds for each of connecting (at most 5), sending, and receiving a part of the answer. None waits
            without end. Not given: `ENPROMPTA_TIMEOUT`, else 30.
        max_retries: Tries after the first one. None reads `ENPROMPTA_MAX_RETRIES`, else 3.
        max_wait: The longest wait in seconds that the server may ask for before another try; when it asks for more,
            the error comes at once. None reads `ENPROMPTA_MAX_WAIT`, else 65.
        default_headers: Sent with every request.
        http_client: An `httpx.AsyncClient` of your own (proxies, TLS settings); you close it. None makes one.

    Raises:
        ConfigurationError: There is no key, or a setting cannot work; the text says what to do.
    """

    prompts: Namespace[AsyncPrompts] = Namespace("prompts", "AsyncPrompts")
    """Create, change, list and execute prompts."""
    executions: Namespace[AsyncExecutions] = Namespace("executions", "AsyncExecutions")
    """What came of executing prompts."""
    templates: Namespace[AsyncTemplates] = Namespace("templates", "AsyncTemplates")
    """Prompts of the community."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Unset | None = UNSET,
        max_retries: int | None = None,
        max_wait: float | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        _check_http_client(http_client, httpx.AsyncClient)
        self._configure(
            api_key=api_key, base_url=base_url, timeout=timeout, max_retries=max_retries, max_wait=max_wait,
            default_headers=default_headers,
        )  # fmt: skip
        self._transport = AsyncTransport(http_client)

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
        result = await self._transport.run(self._perform(call))
        return self._bound(call, result)

    @overload
    async def run_raw(self, call: Call[Page[T]], /) -> APIResponse[AsyncPage[T]]: ...
    @overload
    async def run_raw(self, call: Call[T], /) -> APIResponse[T]: ...
    async def run_raw(self, call: Call[Any], /) -> APIResponse[Any]:
        """Send a call and give what it returns with status, headers and attempts."""
        response = await self._transport.run(self._perform_raw(call))
        return replace(response, data=self._bound(call, response.data))

    async def run_flow(self, flow: Flow[T], /) -> T:
        """Run several calls that belong together; see `enprompta._core.operation.flow`."""
        return await self._transport.run(self._perform_flow(flow))

    def _bound(self, call: Call[Any], result: Any) -> Any:  # noqa: ANN401 (whatever the call returns)
        """Make a page one that fetches the next with `await`; give anything else back as it is."""
        return AsyncPage(cast("Page[Any]", result), call, self.run) if isinstance(result, Page) else result

    def with_options(
        self,
        *,
        timeout: float | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
    ) -> AsyncEnprompta:
        """Give a view on this client with other settings: it shares connections and budget, and costs next to nothing.

        Args:
            timeout: Seconds, as for the client; None waits without end.
            max_retries: Tries after the first one.
            headers: Added to the client's, replacing those of the same name.
        """
        return self._view(_overrides(timeout=timeout, max_retries=max_retries, headers=headers))

    @property
    def with_raw_response(self) -> AsyncRawEnprompta:
        """The same methods, each giving an `APIResponse` with status, headers, request id and attempts."""
        return AsyncRawEnprompta(self)

    async def aclose(self) -> None:
        """Close the connections; closing again, or a view, or a client with your `http_client`, does nothing."""
        if not self._is_view:
            await self._transport.aclose()

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

    def __init__(self, client: Enprompta) -> None:
        self.run = self.run_raw = client.run_raw
        self.run_flow = client.run_flow


class AsyncRawEnprompta:
    """`async_client.with_raw_response`: every method gives an `APIResponse`."""

    prompts: Namespace[AsyncRawPrompts] = Namespace("prompts", "AsyncRawPrompts")
    executions: Namespace[AsyncRawExecutions] = Namespace("executions", "AsyncRawExecutions")
    templates: Namespace[AsyncRawTemplates] = Namespace("templates", "AsyncRawTemplates")

    def __init__(self, client: AsyncEnprompta) -> None:
        self.run = self.run_raw = client.run_raw
        self.run_flow = client.run_flow


def _read(call: Call[T], reply: Reply) -> T:
    """Read a 2xx answer; when it is not what was promised, say so with the request id."""
    response = reply.response
    try:
        return decode(call, response.content)
    except UndecodableError as error:
        request_id = reply.request_id
        raise APIResponseError(
            f"{call.method} {call.path} gave {response.status_code} with {error}"
            + (f" (request id: {request_id})" if request_id else ""),
            status_code=response.status_code,
            request_id=request_id,
            headers=response.headers,
            body=response.content[:_SHOWN_BODY],
            attempts=reply.attempts,
        ) from None


def _idempotency_key(given: object) -> bytes:
    if given is None:
        return os.urandom(16).hex().encode()
    if not given or not is_header_text(given):
        raise ConfigurationError("idempotency_key must be printable ASCII text on one line, and not empty")
    return cast("str", given).encode("ascii")


def _overrides(**given: Any) -> Overrides:  # noqa: ANN401 (with_options holds the types)
    return cast("Overrides", {name: value for name, value in given.items() if value is not UNSET})


def _check_http_client(http_client: object, expected: type) -> None:
    if http_client is not None and not isinstance(http_client, expected):
        raise ConfigurationError(
            f"http_client must be an httpx.{expected.__name__}, not {type(http_client).__name__} "
            "(Enprompta takes an httpx.Client, AsyncEnprompta an httpx.AsyncClient)"
        )
