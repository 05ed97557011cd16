"""The base class of both clients: settings, credentials and the steps of a call, without I/O."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from enprompta import _core, limiters
from enprompta._client.checks import check_cache_dir, check_limiter, checked_hooks, workbench_hooks
from enprompta._client.results import read_result
from enprompta._common import log, rendered
from enprompta._common.headers import KEYED_METHODS, idempotency_key
from enprompta._core.boundary import public
from enprompta._core.call import Call
from enprompta._core.operation import public_names
from enprompta._core.runner import Answered, Raw
from enprompta._core.unset import UNSET, Unset
from enprompta._http import direct, failures
from enprompta._http.direct import body_for, library_for_url, parse_url
from enprompta._http.exchange import Exchange, ExchangeConfig
from enprompta._http.exchange.auth import ApiKeyAuth, ClientCredentials, Secret, credentials_from
from enprompta._http.exchange.retry import RetryPolicy
from enprompta._http.settings import SETTINGS, Settings, settings_from
from enprompta._version import __version__
from enprompta.errors import ConfigurationError, EnpromptaError
from enprompta.limiters.local import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    import httpx
    from typing_extensions import Self

    from enprompta._core.call import RequestOptions
    from enprompta._core.prompt_versions import Versions
    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow
    from enprompta._core.steps import HttpReply, Steps
    from enprompta.cache.live_cache import LiveCache
    from enprompta.errors import RateLimit
    from enprompta.limiters.interface import Account, Limiter
    from enprompta.models.health import Health

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_PYTHON = ".".join(map(str, sys.version_info[:3]))
_USER_AGENT = f"enprompta-python/{__version__} python/{_PYTHON}"
_UNCOUNTED = frozenset({"/health"})  # paths that cost nothing and answer while the rate limit is used up
_ANONYMOUS = ApiKeyAuth(Secret(""))


class Namespace(Generic[T_co]):
    """A resource of a client, such as `client.prompts`; its module is imported on first use."""

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
        # Created on each access: stored on the client, it would form a reference cycle.
        made: T_co = self._class(client)
        return made


class BaseClient:
    """Base class of both clients: everything that needs no I/O."""

    _settings: Settings
    _auth: ApiKeyAuth | ClientCredentials
    _account: Account
    _given_hooks: tuple[object, ...]
    _hooks: list[object]
    _limiter: Limiter | Unset | None
    _is_view: bool
    _http_client: object
    _library: ModuleType | None
    _cache_dir: str | PathLike[str] | None
    _is_async: ClassVar[bool]
    _live: dict[str, LiveCache]
    prompt_versions: Versions
    """Versions of prompts that `expect_version` has read; views share them."""
    _plan: ExchangeConfig
    _headers: httpx.Headers

    def _configure(
        self,
        credentials: Mapping[str, object],
        limiter: Limiter | Unset | None,
        hooks: Iterable[object],
        headers: Mapping[str, str] | None,
        cache_dir: str | PathLike[str] | None,
        **given: object,
    ) -> None:
        environ = os.environ
        log.configure(environ)
        self._auth = auth = credentials_from(environ, **credentials)
        if isinstance(auth, ClientCredentials):
            auth.connect(self._send_for_token)
        self._limiter = limiter
        self._given_hooks = checked_hooks(hooks)
        self._hooks = [*self._given_hooks, *workbench_hooks(self._given_hooks)]  # views share the list
        self._is_view = False
        self._cache_dir = cache_dir
        self._live = {}  # holds the cache once it is created; views share the dict
        self.prompt_versions = {}
        keeps_none = {setting.name for setting in SETTINGS if setting.keeps_none}
        chosen = {name: one for name, one in given.items() if one is not (UNSET if name in keeps_none else None)}
        settings = settings_from(environ, headers={} if headers is None else headers, **chosen)
        if limiter is None:
            self._account = limiters.NoLimiter()
        else:
            chosen_limiter: Limiter = limiters.LocalLimiter() if isinstance(limiter, Unset) else check_limiter(limiter)
            self._account = chosen_limiter.account(f"{settings.base_url} {auth.identity}")
        check_cache_dir(cache_dir)
        self._use(settings)

    def _use(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = self._make_headers(settings, library_for_url(settings.base_url, self._library))
        self._plan = self._plan_for(settings)
        parent, slash, _ = settings.base_url.rpartition("/")
        # Paths that begin with /api/ are relative to the API root, the parent of the base URL: …/api/v1 -> …/api
        self._api_root = parent if slash and not parent.endswith("/") else settings.base_url

    def _headers_for(self, settings: Settings, library: ModuleType) -> httpx.Headers:
        if settings is not self._settings:
            return self._make_headers(settings, library)
        if type(self._headers) is not library.Headers:  # the program has imported httpx since the last call
            self._headers = self._make_headers(settings, library)
        return self._headers

    def _make_headers(self, settings: Settings, library: ModuleType) -> httpx.Headers:
        """Merge the headers of every request, once for each set of settings and each library."""
        version = getattr(library, "__version__", None)
        sender = f"{library.__name__}/{version}" if version else "httpcore"
        if self._http_client == "aiohttp":
            sender = "aiohttp"
        headers = {
            "Host": parse_url(library, settings.base_url).netloc.decode("ascii"),
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",  # required on every request, also GET and DELETE
            "User-Agent": f"{_USER_AGENT} {sender}",
        }
        replaced = {name.lower() for name in settings.headers}
        merged = {name: value for name, value in headers.items() if name.lower() not in replaced}
        merged.update(settings.headers)
        if isinstance(self._auth, ApiKeyAuth):
            merged["Authorization"] = self._auth.header
        made: httpx.Headers = library.Headers(merged)
        return made

    def _plan_for(self, settings: Settings) -> ExchangeConfig:
        policy = RetryPolicy(settings.max_retries, settings.max_wait)
        return ExchangeConfig(policy, self._account, self._auth, settings.deadline, self._hooks, self._auth.secrets)

    @property
    def live_cache(self) -> LiveCache:
        """The cache of live prompts of this client and its views, created on first access."""
        cache = self._live.get("cache")
        # `setdefault` is atomic: of several threads, all get the same cache.
        return self._live.setdefault("cache", self._open_live_cache()) if cache is None else cache

    def _open_live_cache(self) -> LiveCache:
        from enprompta.cache.live_cache import open_cache  # noqa: PLC0415 (most programs do not use it)

        return open_cache(self._cache_dir, self.account_key, self._auth.secrets, is_async=self._is_async)

    def settings_for(self, options: RequestOptions) -> Settings:
        """Return the settings of a call with options."""
        return self._settings.override(options) if options else self._settings

    def _view(self, overrides: RequestOptions) -> Self:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._is_view = True
        view._use(self._settings.override(overrides))
        return view

    def _url(self, call: Call[Any]) -> str:
        if not call.path.startswith("/"):
            raise ConfigurationError(f"the path of a call must begin with a slash: {call.path!r} does not")
        if "#" in call.path:
            raise ConfigurationError(
                f"the path of a call must not contain #, which ends a URL: write {call.path!r} with %23"
            )
        root = self._api_root + call.path[4:] if call.path.startswith("/api/") else self._settings.base_url + call.path
        query = _core.body.encode_query(call.params) if call.params else ""
        return f"{root}{'&' if '?' in root else '?'}{query}" if query else root

    def _send(self, call: Call[Any]) -> Steps[HttpReply]:
        settings, plan, given = self._settings, self._plan, None
        if call.options or call.path in _UNCOUNTED:
            settings, plan, given = self._settings_of(call)
        content = b"" if call.json is None else _core.body.encode_json(call.json)
        key = idempotency_key(given) if call.method in KEYED_METHODS else None
        request = self._request(call.method, self._url(call), content, settings, key)
        if call.method != "GET":
            self._forget_version(call)
        return Exchange(request, self._name(call, settings), plan).steps()

    def _settings_of(self, call: Call[Any]) -> tuple[Settings, ExchangeConfig, object]:
        """Return the settings of a call with its options, and the idempotency key among these."""
        settings, plan = self._settings, self._plan
        options: Any = dict(call.options)
        key = options.pop("idempotency_key", None)
        if options:
            settings = settings.override(options)
            plan = self._plan_for(settings)
        if call.path in _UNCOUNTED:
            plan = plan._replace(account=limiters.NoLimiter())
        return settings, plan, key

    def _name(self, call: Call[Any], settings: Settings) -> str:
        """Return the name of a call for messages, such as `GET /prompts`."""
        name = f"{call.method} {call.path}"
        if "ep_" in name:  # redacts an API key that was passed as an id
            request = self._request(call.method, self._url(call), b"", settings)
            name = failures.mask_for(request, self._auth.secrets()).text(name)
        return name

    def _forget_version(self, call: Call[Any]) -> None:
        """Forget the version of a prompt that this client changes, before and after the change."""
        if self.prompt_versions and call.path.startswith("/prompts/") and call.method != "POST":
            self.prompt_versions.clear()

    def _request(
        self, method: str, url: str, content: bytes, settings: Settings, key: str | None = None
    ) -> httpx.Request:
        """Return the request, in the type of the library that sends it.

        Raises:
            ConfigurationError: The URL is invalid, such as one of more than 64 KiB.
        """
        library = library_for_url(url, self._library)
        parsed = parse_url(library, url)
        headers: Any = self._headers_for(settings, library)
        if content or method in KEYED_METHODS:  # RFC 9110, 8.6: also a length of 0 if the method allows a body
            headers = [*headers.raw, (b"Content-Length", b"%d" % len(content))]
        if key is not None:
            headers = [*headers, (b"Idempotency-Key", key.encode())]
        request: httpx.Request = library.Request(
            method, parsed, headers=headers, stream=library.ByteStream(content), extensions=settings.extensions
        )
        if library is not direct:
            request.read()  # passed as a stream and read at once, so that httpx adds no headers
            if content:
                request.stream = body_for(library, content)
        return request

    def _send_for_token(self, path: str, json: object, ends: float | None) -> Steps[HttpReply]:
        """Send a token request, with the same retries but without a token, a rate limit or hooks."""
        settings = self._settings
        request = self._request("POST", settings.base_url + path, _core.body.encode_json(json), settings)
        plan = self._plan._replace(account=limiters.NoLimiter(), auth=_ANONYMOUS, deadline=None, hooks=())
        return Exchange(request, f"POST {path}", plan, ends).steps()

    def repeating(self, call: Call[T], /) -> Callable[[bytes, str], Steps[Answered[T]]]:
        """Prepare a call that is sent many times, each time with another body and another valid idempotency key.

        Returns:
            A function that describes one of them as steps, without sending anything; `drive` performs them.
        """
        settings, plan, _ = self._settings_of(call)
        url, name = self._url(call), self._name(call, settings)

        def steps(content: bytes, key: str) -> Steps[Answered[T]]:
            request = self._request(call.method, url, content, settings, key)
            reply = yield from Exchange(request, name, plan).steps()
            return Answered((yield from self._read(call, reply)), reply.attempts, (reply.response.content,))

        return steps

    def _perform(self, call: Call[T]) -> Steps[T]:
        reply = yield from self._send(call)
        return (yield from self._read(call, reply))

    def _perform_raw(self, call: Call[T]) -> Steps[APIResponse[T]]:
        from enprompta._core.response import APIResponse  # noqa: PLC0415 (most calls return the result alone)

        reply = yield from self._send(call)
        response = reply.response
        return APIResponse(
            data=(yield from self._read(call, reply)),
            status_code=response.status_code,
            headers=response.headers,
            request_id=reply.request_id,
            rate_limit=limiters.parse_rate_limit(response.headers),
            attempts=reply.attempts,
            content=response.content,
        )

    def _read(self, call: Call[T], reply: HttpReply) -> Steps[T]:
        """Read the result of a call from its 2xx response."""
        if call.method != "GET":
            self._forget_version(call)
        result = yield from read_result(call, reply, self._auth.secrets, self._plan.clock)
        if rendered.observers:
            rendered.notify_received(result, digest(self.account_key))
        return result

    def flow_steps(self, flow: Flow[T], /) -> Steps[T]:
        """Describe a flow as steps: perform each call it yields and pass on its other steps."""
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Call):
                        outcome = yield from self._perform(step)
                    elif isinstance(step, Raw):
                        outcome = yield from self._perform_raw(step.call)
                    else:
                        outcome = yield step
                except EnpromptaError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(outcome)
        except StopIteration as stop:
            return stop.value
        finally:
            flow.close()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the settings; the copy opens new connections. The pickle contains the API key, so keep it secret.

        Raises:
            ConfigurationError: The client uses the caller's `http_client`, which cannot be pickled.
        """
        if self._http_client is not None and not isinstance(self._http_client, str):
            raise ConfigurationError(
                "a client with an http_client cannot be pickled, because its connections and settings would be lost: "
                "create the client where it is used"
            )
        return _unpickle, (type(self), self._arguments())

    def __copy__(self) -> Self:
        """Return a client with the same settings and its own connections, or with the same `http_client`."""
        return _unpickle(type(self), self._arguments())

    def __deepcopy__(self, memo: object) -> Self:
        """Return the same as `copy.copy`: hooks, limiter and `http_client` are shared, not copied."""
        return self.__copy__()

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        return {
            **self._auth.arguments(),
            **{setting.name: getattr(settings, setting.name) for setting in SETTINGS},
            "limiter": self._limiter,
            "default_headers": dict(settings.headers),
            "hooks": self._given_hooks,
            "cache_dir": self._cache_dir,
            "http_client": self._http_client,
        }

    @property
    def account_key(self) -> str:
        """The address and the credential, which is a secret; equal for two clients of one account."""
        return f"{self._settings.base_url} {self._auth.identity}"

    @property
    def base_url(self) -> str:
        """Base URL of the API, without a trailing slash."""
        return self._settings.base_url

    @property
    def limiter(self) -> Limiter | None:
        """The limiter that paces this client's requests; None if they are sent without waiting."""
        return limiters.LocalLimiter() if isinstance(self._limiter, Unset) else self._limiter

    @public
    def add_hook(self, hook: object, /) -> None:
        """Observe the calls of this client, its views and its origin with one more hook; see `enprompta.hooks`.

        Copies and pickles of the client do not get the hook.

        Args:
            hook: An object with one or more of the hook methods.

        Raises:
            ConfigurationError: The object is not a hook.
        """
        self._hooks.extend(checked_hooks([hook]))

    @public
    def remove_hook(self, hook: object, /) -> None:
        """Stop observing calls with a hook that `add_hook` added; does nothing if it was not added.

        Raises:
            Nothing: an unknown hook is ignored.
        """
        with suppress(ValueError):
            self._hooks.remove(hook)

    @property
    def rate_limit(self) -> RateLimit | None:
        """Rate limit from the last response; None before the first response (reference: "Rate Limits")."""
        return self._account.rate_limit

    @public
    def reset_rate_limit(self) -> None:
        """Forget what was learned about the rate limit, and lift any block at once.

        Every client with the same credential and address shares what was learned, so it is forgotten for all of them:
        in this process, or in every process that uses the same `RedisLimiter`. The next request goes alone and learns
        the budget again. Requests that wait keep their place.

        It returns at once on both clients and is not awaited: Redis is updated in the background.
        """
        self._account.reset()

    def __dir__(self) -> list[str]:
        return public_names(self)

    def __repr__(self) -> str:
        if not hasattr(self, "_settings"):  # the constructor failed, and a debugger shows its variables
            return f"<{type(self).__name__} that could not be created>"
        return f"<{type(self).__name__} {self._settings.base_url} {self._auth!r}>"


def _unpickle(cls: type[object], arguments: dict[str, object]) -> Any:  # noqa: ANN401 (an instance of `cls`)
    return cls(**arguments)


def health_call(options: RequestOptions, *, detailed: bool) -> Call[Health]:
    from enprompta.models.health import Health  # noqa: PLC0415 (imports pydantic)

    params = {"detailed": True} if detailed else {}
    return Call("GET", "/health", Health, params=params, options=options, enveloped=False)


def overrides(**given: object) -> RequestOptions:
    return cast("RequestOptions", {name: value for name, value in given.items() if value is not UNSET})
