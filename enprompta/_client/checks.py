"""Checks of the arguments of both clients."""

from __future__ import annotations

from importlib.util import find_spec
from os import PathLike, environ
from typing import TYPE_CHECKING, Any, Literal, cast

from enprompta._http import direct
from enprompta._http.senders.base import library_named, library_of
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

_NAMED = {"Client": ("httpx2",), "AsyncClient": ("httpx2", "aiohttp")}  # values of `http_client` that name a library


def library_for(http_client: object, kind: Literal["Client", "AsyncClient"]) -> ModuleType | None:
    """Return the library of an `http_client`: httpx or httpx2. None without one: each URL says what sends it.

    Raises:
        ConfigurationError: `http_client` is of another type, or the named library is not installed.
    """
    if http_client is None:
        return None
    if isinstance(http_client, str) and http_client in _NAMED[kind]:
        if find_spec(http_client) is None:
            needs = f'needs the extra `{http_client}`: pip install "enprompta[{http_client}]"'
            raise ConfigurationError(f'http_client="{http_client}" {needs}')
        return direct if http_client == "aiohttp" else library_named(http_client)
    library = library_of(http_client)
    if not isinstance(http_client, getattr(library, kind)):
        others = " or ".join([f"httpx2.{kind}", *(f'"{one}"' for one in _NAMED[kind])])
        raise ConfigurationError(
            f"http_client must be an httpx.{kind}, {others}, not {type(http_client).__name__} "
            "(Enprompta takes an httpx.Client, AsyncEnprompta an httpx.AsyncClient)"
        )
    return library


def checked_hooks(hooks: object) -> tuple[object, ...]:
    if hooks == ():
        return ()
    from enprompta.hooks import check_hooks  # noqa: PLC0415 (few programs use hooks)

    return check_hooks(hooks)


def workbench_hooks(given: tuple[object, ...]) -> tuple[object, ...]:
    """Return the hook that reports to the Workbench named by `ENPROMPTA_WORKBENCH`, unless one is given."""
    workbench = environ.get("ENPROMPTA_WORKBENCH", "").strip()
    if not workbench:
        return ()
    from enprompta.exchanges import ProgramHook  # noqa: PLC0415 (only while debugging)

    return () if any(isinstance(one, ProgramHook) for one in given) else (ProgramHook(workbench),)


def check_limiter(limiter: object) -> Any:  # noqa: ANN401 (any argument)
    """Reject objects without an `account` method, such as the URL of a Redis server."""
    if isinstance(limiter, type) or not callable(getattr(limiter, "account", None)):
        given = f"the class {limiter.__name__}" if isinstance(limiter, type) else type(limiter).__name__
        raise ConfigurationError(f"limiter must be LocalLimiter(), RedisLimiter(url), or None for none, not {given}")
    return limiter


def check_cache_dir(cache_dir: object) -> None:
    if cache_dir is not None and (not isinstance(cache_dir, (str, PathLike)) or not str(cast("object", cache_dir))):
        raise ConfigurationError(f"cache_dir must be the path of a folder, not {cache_dir!r}")
