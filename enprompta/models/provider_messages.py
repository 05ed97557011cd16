"""The methods of prompts that convert their messages to what the packages of model providers take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta import templating
from enprompta.models import conversation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from openai.types.chat import ChatCompletionMessageParam

    from enprompta.models.conversation import AnthropicMessages, LiveMessage


class ProviderMessages:
    """The conversions of a prompt, for classes that can render messages."""

    __slots__ = ()

    if TYPE_CHECKING:  # each class has its own

        def _provider_messages(self, values: Mapping[str, object]) -> list[LiveMessage]: ...
        def _message_templates(self) -> Sequence[LiveMessage]: ...

    def to_openai(
        self, values: Mapping[str, object] | None = None, /, **variables: object
    ) -> list[ChatCompletionMessageParam]:
        """Fill in the variables; returns the `messages` of OpenAI's `chat.completions.create`.

        Images in Anthropic's form are converted. The package openai is not needed.

        Args:
            values: Values by name, for names that are not valid Python names.
            **variables: Values by name; these override those in `values`.

        Raises:
            TemplateError: Variables are missing, unknown or invalid, or a message has a role that OpenAI does not have.
        """
        return conversation.to_openai(self._provider_messages(templating.rendering.merged(values, variables)))

    def to_anthropic(self, values: Mapping[str, object] | None = None, /, **variables: object) -> AnthropicMessages:
        """Fill in the variables; returns `system` and `messages` of Anthropic's `messages.create`.

        Images in OpenAI's form are converted. The package anthropic is not needed.

        Args:
            values: Values by name, for names that are not valid Python names.
            **variables: Values by name; these override those in `values`.

        Raises:
            TemplateError: Variables are missing, unknown or invalid; or a message has a role that Anthropic does not
                have, a system message follows another one, or the first message is not the user's.
        """
        return conversation.to_anthropic(self._provider_messages(templating.rendering.merged(values, variables)))

    def to_langchain(self) -> list[tuple[str, str | list[Any]]]:
        """Return what LangChain's `ChatPromptTemplate.from_messages` takes, with the variables left open.

        Variables become `{name}`, and other braces are doubled. A dot in a name becomes `_`, because LangChain has no
        such names. Defaults and types of variables are not part of the result. The package langchain is not needed.

        Raises:
            TemplateError: A message has a role that LangChain does not have in templates.
        """
        return conversation.to_langchain(self._message_templates())
