"""Observers of rendered prompts: tracing links a model call to the prompt version whose text it sends.

Without an observer, rendering pays for one look at an empty tuple.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class RenderObserver(Protocol):
    """Is called with each rendered prompt and each prompt that a client receives."""

    def rendered(self, prompt: Any, texts: Sequence[str], /) -> None:  # noqa: ANN401 (a `Prompt` or `LivePrompt`)
        """Handle the texts that a prompt was rendered to."""
        ...

    def received(self, result: Any, account: str, /) -> None:  # noqa: ANN401 (any result of a call)
        """Handle the result of a call; `account` is a digest of its address and credential."""
        ...


observers: tuple[RenderObserver, ...] = ()
"""Replaced as a whole, so that it can be read without a lock."""


def add_observer(observer: RenderObserver) -> None:
    """Start calling an observer."""
    global observers  # noqa: PLW0603 (one list for the process: prompts do not know their client)
    observers = (*observers, observer)


def remove_observer(observer: RenderObserver) -> None:
    """Stop calling an observer."""
    global observers  # noqa: PLW0603 (as above)
    observers = tuple(one for one in observers if one is not observer)


def notify_rendered(prompt: object, texts: Sequence[str]) -> None:
    """Call every observer with a rendered prompt."""
    for observer in observers:
        observer.rendered(prompt, texts)


def notify_received(result: object, account: str) -> None:
    """Call every observer with the result of a call."""
    for observer in observers:
        observer.received(result, account)
