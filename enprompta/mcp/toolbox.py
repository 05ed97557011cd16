"""Tools: descriptions for `tools/list`, and one way to call them all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import mcp_types as types
from mcp import MCPError
from pydantic import BaseModel, ConfigDict, ValidationError

from enprompta.errors import EnpromptaError
from enprompta.mcp.results import Result, bounded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from enprompta.mcp.budgets import ToolCall

READ_ONLY = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)


class ToolInput(BaseModel):
    """Base of the arguments of a tool; an unknown argument is an error, so that a misspelled one is noticed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ToolFailedError(EnpromptaError):
    """A tool did what it was asked to do, and the result is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One tool."""

    name: str
    title: str
    description: str
    takes: type[ToolInput]
    returns: type[Result]
    run: Callable[[Any, ToolCall], Awaitable[Result]]
    """Takes an instance of `takes`, and the call that it belongs to."""
    annotations: types.ToolAnnotations = field(default_factory=lambda: READ_ONLY)

    def described(self) -> types.Tool:
        """Describe the tool for `tools/list`."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.takes.model_json_schema(),
            output_schema=self.returns.model_json_schema(mode="serialization"),
            annotations=self.annotations,
        )


class Toolbox:
    """The tools of a server."""

    def __init__(self, specs: Iterable[ToolSpec], *, max_chars: int) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._max_chars = max_chars
        self.described: list[types.Tool] = [spec.described() for spec in self._specs.values()]

    async def call(self, name: str, arguments: Mapping[str, Any], call: ToolCall) -> types.CallToolResult:
        """Call a tool; what the client or the service has to say against it becomes a result with `is_error`.

        Raises:
            MCPError: The server has no such tool.
        """
        spec = self._specs.get(name)
        if spec is None:
            known = ", ".join(self._specs)
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool {name[:80]!r}; this server has {known}")
        try:
            result = await spec.run(spec.takes.model_validate(arguments), call)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            listed = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
            return self._failure(f"Invalid arguments of {name}: {listed}")
        except EnpromptaError as error:
            return self._failure(str(error))
        content = bounded(result, self._max_chars)
        text = json.dumps(content, ensure_ascii=False)
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=content)

    def _failure(self, text: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text=text[: self._max_chars])], is_error=True)
