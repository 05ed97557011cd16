"""Rollouts of live prompts: the label that a `Split` chooses, and the report of the version that was served."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from enprompta._common import log
from enprompta._core.arguments import text
from enprompta._core.runner import Raw
from enprompta.hooks import notify
from enprompta.rollouts import Exposure, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enprompta._core.call import Call
    from enprompta._core.response import APIResponse
    from enprompta._core.runner import Flow
    from enprompta.cache import PromptKey
    from enprompta.models.live_prompts import LivePrompt


def chosen(label: object, slug: str) -> str:
    """Return the label to fetch.

    Raises:
        ConfigurationError: The label is neither text nor a `Split`.
    """
    return label.choose(slug) if isinstance(label, Split) else text("label", label)


def exposed(hooks: Sequence[object], label: object, key: PromptKey, served: Flow[LivePrompt]) -> Flow[LivePrompt]:
    """Serve a live prompt and report it."""
    live = yield from served
    _report(hooks, label, key, live)
    return live


def exposed_raw(
    hooks: Sequence[object], label: object, key: PromptKey, call: Call[LivePrompt]
) -> Flow[APIResponse[LivePrompt]]:
    """Fetch a live prompt and report it."""
    response: APIResponse[LivePrompt] = yield Raw(call)
    _report(hooks, label, key, response.data)
    return response


def _report(hooks: Sequence[object], label: object, key: PromptKey, live: LivePrompt) -> None:
    """Log which version a unit got, and report it to the hooks; nothing if the label is not a `Split`."""
    if isinstance(label, Split):
        version = None if live.version is None or live.is_fallback else live.version.number
        salt = key.slug if label.salt is None else label.salt
        record = Exposure(key.slug, key.label, version, label.unit, salt, live.is_fallback)
        log.event(
            logging.INFO, "prompt_exposed", slug=record.slug, label=record.label, version=record.version,
            unit=record.unit_hash, is_fallback=record.is_fallback,
        )  # fmt: skip
        notify(hooks, "on_exposure", record)
