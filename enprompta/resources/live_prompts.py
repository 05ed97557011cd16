"""Live prompts: `client.prompts.get_live` and related methods, served through the client's cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from enprompta import cache, models, resources
from enprompta._core.call import Call, check_id, path
from enprompta._core.operation import Resource, client_of, flow, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions
    from enprompta._core.runner import Flow
    from enprompta.cache import Fallback, LiveCache, PromptKey
    from enprompta.models.live_prompts import LivePrompt
    from enprompta.rollouts import Split

TTL = 60.0  # seconds


class LivePromptCalls(Resource):
    """Live prompts through the client's cache."""

    @property
    def live_cache(self) -> LiveCache:
        """The cache of live prompts that this client and its views share; see `live_cache.metrics`."""
        return cast("LiveCache", self._client.live_cache)

    @flow
    def get_live(
        self,
        slug: str,
        /,
        *,
        label: Split | str = "production",
        project: str | Unset = UNSET,
        ttl: float | None = TTL,
        fallback: Fallback | None = None,
        **options: Unpack[RequestOptions],
    ) -> Flow[LivePrompt]:
        """Return the live version of a prompt from cache, contacting the service as rarely as possible.

        The first call fetches the prompt. Later calls return the cached prompt immediately; once it is older than
        `ttl`, one request in the background fetches the newest version. When the service is unavailable, the cached
        prompt is returned, else the snapshot in `cache_dir`, else `fallback`; without any of them the error is raised.
        The prompt's `is_stale`, `is_fallback`, `age` and `error` say which case it is.

        Args:
            slug: The prompt's name in URLs.
            label: The label of the version, such as `production` or `staging`; or a `Split`, which chooses one for each
                user, and is logged and reported to hooks.
            project: The project of the prompt; the account's default if not given.
            ttl: Seconds for which a cached prompt is fresh. Up to a tenth is subtracted at random, so that the
                processes of a fleet do not refresh at the same time. 0 fetches on every call, None never refreshes.
            fallback: The prompt to return when there is nothing else: a text, a list of messages, or a callable that
                returns one (without arguments, or with the slug; async in the async client). With a fallback, a call
                waits no longer than connecting may take (5 seconds or `timeout`), and after a failure not at all.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of the request, if this call makes one.

        Raises:
            NotFoundError: The slug is unknown or no version has this label, and there is no fallback.
            APIError: The call failed, and there is no cached prompt, snapshot or fallback.
            ConfigurationError: An argument is invalid, or the fallback has the wrong type.
        """
        chosen = label if type(label) is str else _chosen(label, slug)
        place: Any = slug, chosen, None if isinstance(project, Unset) else project  # equals its `PromptKey`
        _check(self._client, ttl, options)
        live_cache: LiveCache = self._client.live_cache
        if label is chosen and (fresh := live_cache.get_fresh(place, ttl)) is not None:
            ready: Any = (fresh,)  # the method returns what is in it; see `method_for`
            return ready
        key = cache.PromptKey(*place)
        served = live_cache.get(cache.Request(self._client, key, _call, ttl, fallback, options))
        return served if label is chosen else resources.exposures.exposed(_hooks_of(self), label, key, served)

    @flow
    def preload(
        self,
        prompts: Iterable[str | tuple[str, str]],
        /,
        *,
        label: str = "production",
        project: str | Unset = UNSET,
        ttl: float | None = TTL,
        **options: Unpack[RequestOptions],
    ) -> Flow[list[LivePrompt]]:
        """Fetch several prompts concurrently before they are needed, such as at startup.

        Args:
            prompts: Slugs, or pairs of slug and label.
            label: The label of prompts that are given without one.
            project: As for `get_live`.
            ttl: As for `get_live`; prompts that are still fresh are not fetched.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Returns:
            The prompts, in the same order.

        Raises:
            NotFoundError: One of the prompts does not exist.
            APIError: A call failed, and there is no snapshot of the prompt.
            ConfigurationError: An argument is invalid.
        """
        if isinstance(prompts, str):
            raise ConfigurationError("preload takes a list of slugs: preload([slug])")
        pairs = [_pair(one, label) for one in prompts]
        pairs = [(check_id(f"prompts[{at}].slug", slug), own) for at, (slug, own) in enumerate(pairs)]
        _check(self._client, ttl, options)
        keys = [_key(slug, own, project) for slug, own in pairs]
        return self.live_cache.preload([cache.Request(self._client, key, _call, ttl, None, options) for key in keys])

    @flow
    def invalidate(self, slug: str, /, *, label: str | None = None) -> Flow[int]:
        """Refresh a prompt at its next `get_live`; the cached version is then used only if that fails.

        Args:
            slug: The prompt's slug, matched exactly.
            label: Only the version under this label; None for all labels.

        Returns:
            The number of cached prompts that were invalidated; each label and project counts.

        Raises:
            Nothing: no request is made.
        """
        yield from ()
        return self.live_cache.invalidate(slug, label=label)

    @flow
    def on_event(self, event: object, /) -> Flow[int]:
        """Invalidate the prompt that a webhook event reports as changed: `receiver.on("*")(client.prompts.on_event)`.

        The API has no such event yet. Every event counts whose name begins with `prompt.`, except `prompt.executed`,
        and whose data has a `slug` or a `prompt_id`. Other events are ignored.

        Args:
            event: The event, from the receiver or `construct_event`.

        Returns:
            The number of cached prompts that were invalidated.

        Raises:
            Nothing: no request is made.
        """
        yield from ()
        return self.live_cache.on_event(event)


class PlainLivePromptCalls(Resource):
    """Live prompts without the cache, for `with_raw_response`."""

    @operation
    def get_live(
        self,
        slug: str,
        /,
        *,
        label: Split | str = "production",
        project: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[LivePrompt]:
        """Fetch the live version of a prompt from the service, bypassing the cache.

        Args:
            slug: The prompt's name in URLs.
            label: The label of the version, such as `production` or `staging`, or a `Split`.
            project: The project of the prompt; the account's default if not given.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            NotFoundError: The slug is unknown, or no version has this label.
            APIError: The call failed in another way.
        """
        chosen = _chosen(label, slug)
        key = _key(slug, chosen, project)
        call = _call(key, options)
        if label is chosen:
            return call
        # The method runs a flow as it runs a call; see `method_for`.
        return cast("Call[LivePrompt]", resources.exposures.exposed_raw(_hooks_of(self), label, key, call))


def _chosen(label: Split | str | None, slug: str) -> str:
    """Return the label to fetch.

    Raises:
        ConfigurationError: The label is neither text nor a `Split`.
    """
    is_plain = label is None or type(label) is str
    return cast("str", label) if is_plain else resources.exposures.chosen(label, slug)


def _hooks_of(resource: Resource) -> Sequence[object]:
    return client_of(resource)._hooks  # noqa: SLF001 (of this package's base class)


def _call(key: PromptKey, options: RequestOptions) -> Call[LivePrompt]:
    params = {"label": key.label, "project": key.project}
    address = path("/api/sdk/prompts/{}", key.slug)
    return Call("GET", address, models.LivePrompt, params=params, options=options, enveloped=False)


def _key(slug: str, label: str, project: str | Unset) -> PromptKey:
    return cache.PromptKey(slug, label, None if isinstance(project, Unset) else project)


def _pair(given: Any, label: str) -> tuple[str, str]:  # noqa: ANN401 (checked here)
    """Read one of the prompts to preload.

    Raises:
        ConfigurationError: It is a tuple, but not of a slug and a label.
    """
    if not isinstance(given, tuple):
        return given, label
    try:
        slug, own = cast("tuple[str, str]", given)
    except ValueError:
        raise ConfigurationError(f"preload takes slugs and (slug, label) pairs, not {given!r}") from None
    return slug, own


def _check(client: Any, ttl: Any, options: RequestOptions) -> None:  # noqa: ANN401 (either client, anything given)
    """Check arguments of a cached prompt.

    Raises:
        ConfigurationError: The TTL or an option is invalid.
    """
    if ttl is not None and not (isinstance(ttl, (int, float)) and 0 <= ttl < math.inf):
        raise ConfigurationError(f"ttl must be a number of seconds, 0 or more, or None to never refresh, not {ttl!r}")
    if options:
        client.settings_for(options)
