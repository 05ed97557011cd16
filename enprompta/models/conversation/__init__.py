"""The messages of prompts and their conversions, loaded on first use: most programs only render texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.models.conversation.conversions import AnthropicMessages, to_anthropic, to_langchain, to_openai
    from enprompta.models.messages import LiveMessage
else:
    __getattr__, __dir__ = lazy(
        __name__, {".conversions": "AnthropicMessages to_anthropic to_langchain to_openai", "..messages": "LiveMessage"}
    )

__all__ = ["AnthropicMessages", "LiveMessage", "to_anthropic", "to_langchain", "to_openai"]
