"""Messages of `prompts/get`, from a rendered prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import mcp_types as types

from enprompta.mcp.arguments import given_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta import AsyncEnprompta
    from enprompta.mcp.catalog import CatalogEntry

ROLE = "enprompta/role"  # keys of `_meta`
PROMPT_ID = "enprompta/promptId"
VERSION = "enprompta/version"


async def render(
    client: AsyncEnprompta, entry: CatalogEntry, label: str | None, arguments: Mapping[str, str] | None
) -> types.GetPromptResult:
    """Fetch the newest version of a prompt, or the live version under a label, and fill in its variables.

    Raises:
        TemplateError: Variables are missing or unknown, or a value does not fit.
        APIError: The prompt cannot be fetched.
    """
    prompt = entry.prompt
    if label is None:
        prompt = await client.prompts.get(prompt.id)
        rendered = [("user", prompt.render(given_arguments(prompt, arguments)))]
        version = prompt.version
    else:
        live = await client.prompts.get_live(entry.slug, label=label)
        values = given_arguments(prompt, arguments)
        rendered = [(one.role, one.content) for one in live.render_messages(values)]
        version = live.version and live.version.number
    return types.GetPromptResult(
        description=prompt.description,
        messages=[message(role, content) for role, content in rendered],
        _meta={PROMPT_ID: prompt.id, VERSION: version},
    )


def message(role: str, content: object) -> types.PromptMessage:
    """Write a message for MCP, which has only the roles `user` and `assistant`.

    Any other role, such as `system`, becomes `user`, and `_meta` of the content names the role. Content that is not
    text is written as JSON.
    """
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=_as_json)
    kept: Literal["user", "assistant"] = "assistant" if role == "assistant" else "user"
    meta = None if role == kept else {ROLE: role}
    return types.PromptMessage(role=kept, content=types.TextContent(text=text, _meta=meta))


def _as_json(value: object) -> object:
    dump = getattr(value, "model_dump", None)  # a part of a message that is a model
    return dump(mode="json") if dump is not None else str(value)
