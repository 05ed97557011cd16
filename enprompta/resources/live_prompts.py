"""`client.prompts.get_live` and its kin: the prompts of a running program, kept by the client."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from enprompta._core.call import Call, check_id, path
from enprompta._core.operation import Resource, flow, operation
from enprompta._core.unset import UNSET, Unset
from enprompta.errors import ConfigurationError
from enprompta.models.prompts import LivePrompt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions
    from enprompta._core.operation import Flow
    from enprompta.cache import Fallback, LiveCache
    from enprompta.cache.entries import Request
    from enprompta.cache.keys import PromptKey

TTL = 60.0  # seconds


class LivePromptCalls(Resource):
    """Live prompts through the client's cache."""

    __slots__ = ()

    @property
    def live_cache(self) -> LiveCache:
        """The live prompts that this client and its views hold; `live_cache.metrics` tells how they serve."""
        return cast("LiveCache", self._client.live_cache)

    @flow
    def get_live(
        self,
        slug: str,
        /,
        *,
        label: str = "production",
        project: str | Unset = UNSET,
        ttl: float | None = TTL,
        fallback: Fallback | None = None,
        **options: Unpack[RequestOptions],
    ) -> Flow[LivePrompt]:
        """Give the version of a prompt that is live under a label: from memory, and the service as seldom as may be.

        The first call asks the service. Later ones are answered from memory: for `ttl` seconds with nothing else done,
        then at once too, while one request in the background looks for a newer version. When the service is away, what
        is held goes on being given; when nothing is, what `cache_dir` has; else `fallback`; else the error is raised.
        `is_stale`, `is_fallback`, `age` and `error` of the prompt tell which it is.

        Args:
            slug: The prompt's name in URLs.
            label: Which version, such as `production` or `staging`.
            project: The project to look in; not given is the account's default.
            ttl: Seconds for which a version is taken for live; up to a tenth less is used, so that a fleet does not ask
                all at once. 0 asks at every call, None never again.
            fallback: What to give when there is nothing else: a text, a list of messages, or a callable that gives one
                (without arguments, or of the slug; async in the async client). With it, no call waits longer than
                connecting may take, 5 seconds or `timeout`, and none waits after a first failure.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of the request, if this call makes one.

        Raises:
            NotFoundError: No such slug, or no version has this label, and there is no fallback.
            APIError: What any call may raise, when there is nothing else to give.
            ConfigurationError: The call cannot work, or the fallback is of no kind there is.
        """
        request = _request(self._client, _key(slug, label, project), ttl, options, fallback)
        return self.live_cache.get(request)

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
        """Fetch prompts before they are needed, several at once, as when a program starts.

        Args:
            prompts: Slugs, or pairs of slug and label.
            label: The label of those that come without one.
            project: As for `get_live`.
            ttl: As for `get_live`: what is held and younger is not asked for.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Returns:
            The prompts, in the same order.

        Raises:
            NotFoundError: One of them is not there.
            APIError: What any call may raise, when there is no snapshot of it either.
            ConfigurationError: The call cannot work.
        """
        if isinstance(prompts, str):
            raise ConfigurationError("preload takes a list of slugs: preload([slug])")
        pairs = [_pair(one, label) for one in prompts]
        pairs = [(check_id(f"prompts[{at}].slug", slug), own) for at, (slug, own) in enumerate(pairs)]
        return self.live_cache.preload(
            [_request(self._client, _key(slug, own, project), ttl, options) for slug, own in pairs]
        )

    @flow
    def invalidate(self, slug: str, /, *, label: str | None = None) -> Flow[int]:
        """Have a prompt asked for anew at its next `get_live`; what is held is then given only if that fails.

        Args:
            slug: Exactly this one.
            label: Only under this label; None for all.

        Returns:
            How many prompts that are held, one for each label and project, this concerns.

        Raises:
            Nothing: it makes no request.
        """
        yield from ()
        return self.live_cache.invalidate(slug, label=label)

    @flow
    def on_event(self, event: object, /) -> Flow[int]:
        """Invalidate the prompt that a webhook event says has changed: `receiver.on("*")(client.prompts.on_event)`.

        The API has no event of that kind today. Any whose name begins with `prompt.`, other than `prompt.executed`, and
        whose data has a `slug` or a `prompt_id` will do; every other event does nothing.

        Args:
            event: The event, as the receiver or `construct_event` gives it.

        Returns:
            How many prompts that are held this concerns.

        Raises:
            Nothing: it makes no request.
        """
        yield from ()
        return self.live_cache.on_event(event)


class PlainLivePromptCalls(Resource):
    """Live prompts past the cache, for `with_raw_response`."""

    __slots__ = ()

    @operation
    def get_live(
        self,
        slug: str,
        /,
        *,
        label: str = "production",
        project: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[LivePrompt]:
        """Fetch the version of a prompt that is live under a label from the service, whatever the cache holds.

        Args:
            slug: The prompt's name in URLs.
            label: Which version, such as `production` or `staging`.
            project: The project to look in; not given is the account's default.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            NotFoundError: No such slug, or no version has this label.
            APIError: What any call may raise.
        """
        return _call(_key(slug, label, project), options)


def _call(key: PromptKey, options: RequestOptions) -> Call[LivePrompt]:
    params = {"label": key.label, "project": key.project}
    address = path("/api/sdk/prompts/{}", key.slug)
    return Call("GET", address, LivePrompt, params=params, options=options, enveloped=False)


def _key(slug: str, label: str, project: str | Unset) -> PromptKey:
    from enprompta.cache.keys import PromptKey  # noqa: PLC0415 (the cache, 5 ms, for programs that use it)

    return PromptKey(slug, label, None if isinstance(project, Unset) else project)


def _pair(given: Any, label: str) -> tuple[str, str]:  # noqa: ANN401 (whatever the caller gave)
    """Read one of the prompts to preload.

    Raises:
        ConfigurationError: It is a tuple of other things than a slug and a label.
    """
    if not isinstance(given, tuple):
        return given, label
    pair = cast("tuple[Any, ...]", given)
    if len(pair) != 2:  # noqa: PLR2004 (a slug and a label)
        raise ConfigurationError(f"preload takes slugs, and pairs of slug and label, not {pair!r}")
    slug, own = pair
    return slug, own


def _request(
    client: Any,  # noqa: ANN401 (either client)
    key: PromptKey,
    ttl: float | None,
    options: RequestOptions,
    fallback: Fallback | None = None,
) -> Request:
    """Check what a caller asks for.

    Raises:
        ConfigurationError: The slug or the TTL makes no sense, or an option is none.
    """
    slug: Any = key.slug  # whatever the caller gave
    if not isinstance(slug, str) or not slug:
        path("/api/sdk/prompts/{}", key.slug)  # which says what is wrong with it
    given: Any = ttl
    if given is not None and not (isinstance(given, (int, float)) and 0 <= given < math.inf):
        raise ConfigurationError(f"ttl must be a number of seconds, 0 or more, or None for ever, not {ttl!r}")
    if options:
        client.settings_for(options)
    from enprompta.cache.entries import Request  # noqa: PLC0415 (as above)

    return Request(client, key, _call, ttl, fallback, options)
