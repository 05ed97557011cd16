"""Tools that read; every server has them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from enprompta import UNSET
from enprompta.errors import NotFoundError
from enprompta.mcp import results
from enprompta.mcp.toolbox import ToolInput, ToolSpec

if TYPE_CHECKING:
    from enprompta import AsyncEnprompta
    from enprompta.mcp.budgets import ToolCall
    from enprompta.mcp.catalog import PromptCatalog
    from enprompta.mcp.options import ServerOptions

MAX_LABELS = 10

PromptReference = Annotated[str, Field(min_length=1, description="Id or MCP name of the prompt.")]
Limit = Annotated[int, Field(ge=1, le=50, description="Results of one page.")]
Cursor = Annotated[str | None, Field(description="`next_cursor` of the page before; null for the first page.")]
Offset = Annotated[int, Field(ge=0, description="Characters of the text to skip, to read a long text in parts.")]


class SearchPrompts(ToolInput):
    """Arguments of `search_prompts`."""

    query: str | None = Field(default=None, description="Only prompts whose title, text or description has this text.")
    category: str | None = Field(default=None, description="Only prompts of this category.")
    limit: Limit = 20
    cursor: Cursor = None


class GetPrompt(ToolInput):
    """Arguments of `get_prompt`."""

    prompt: PromptReference
    offset: Offset = 0


class GetVersions(ToolInput):
    """Arguments of `prompt_versions`."""

    prompt: PromptReference
    labels: list[str] = Field(
        default=["production", "staging"], max_length=MAX_LABELS, description="Labels to look up; one request each."
    )


class ListExecutions(ToolInput):
    """Arguments of `list_executions`."""

    prompt: str | None = Field(default=None, description="Id or MCP name; only executions of this prompt.")
    start_date: date | None = Field(default=None, description="Only from this day on.")
    end_date: date | None = Field(default=None, description="Only up to this day.")
    limit: Limit = 20
    cursor: Cursor = None


class GetExecution(ToolInput):
    """Arguments of `get_execution`."""

    execution_id: str = Field(min_length=1)
    offset: Offset = 0


class GetUsage(ToolInput):
    """Arguments of `usage`: none."""


class ReadTools:
    """The tools that read, on one client."""

    def __init__(self, client: AsyncEnprompta, catalog: PromptCatalog, options: ServerOptions) -> None:
        self._client = client
        self._catalog = catalog
        self._options = options

    async def search_prompts(self, given: SearchPrompts, _: ToolCall) -> results.PromptPage:
        """Search the prompts of the account."""
        page = await self._client.prompts.list(
            search=given.query or UNSET,
            category=given.category or self._options.category or UNSET,
            team_id=self._options.team_id or UNSET,
            limit=given.limit,
            cursor=given.cursor or UNSET,
        )
        found = [results.PromptSummary.of(one, self._catalog.name_of(one.id)) for one in page.data]
        return results.PromptPage(prompts=found, next_cursor=page.pagination.next_cursor)

    async def get_prompt(self, given: GetPrompt, _: ToolCall) -> results.PromptDetail:
        """Fetch one prompt."""
        prompt = await self._client.prompts.get(await self._catalog.id_of(given.prompt))
        return results.PromptDetail.of(prompt, self._catalog.name_of(prompt.id), given.offset)

    async def prompt_versions(self, given: GetVersions, _: ToolCall) -> results.PromptVersions:
        """Fetch the newest version of a prompt, and the versions of some labels."""
        entry = await self._catalog.find(given.prompt)
        prompt = await self._client.prompts.get(given.prompt if entry is None else entry.prompt.id)
        slug = prompt.id if entry is None else entry.slug
        versions = [(label, await self._labelled(slug, label)) for label in given.labels]
        return results.PromptVersions(
            id=prompt.id,
            title=prompt.title,
            newest=prompt.version,
            labels=[
                results.LabelledVersion(
                    label=label, version=version, is_newest=version is not None and str(version) == str(prompt.version)
                )
                for label, version in versions
            ],
        )

    async def list_executions(self, given: ListExecutions, _: ToolCall) -> results.ExecutionPage:
        """List executions."""
        page = await self._client.executions.list(
            prompt_id=await self._catalog.id_of(given.prompt) if given.prompt else UNSET,
            start_date=given.start_date or UNSET,
            end_date=given.end_date or UNSET,
            limit=given.limit,
            cursor=given.cursor or UNSET,
        )
        found = [results.ExecutionSummary.of(one) for one in page.data]
        return results.ExecutionPage(executions=found, next_cursor=page.pagination.next_cursor)

    async def get_execution(self, given: GetExecution, _: ToolCall) -> results.ExecutionDetail:
        """Fetch one execution."""
        return results.ExecutionDetail.of(await self._client.executions.get(given.execution_id), given.offset)

    async def usage(self, _: GetUsage, __: ToolCall) -> results.UsageResult:
        """Fetch the usage of the account."""
        return results.UsageResult.of(await self._client.usage.get())

    async def _labelled(self, slug: str, label: str) -> int | str | None:
        """Fetch the version under a label from the service, past the cache; None when the label is not set."""
        try:
            response = await self._client.with_raw_response.prompts.get_live(slug, label=label)
        except NotFoundError:
            return None
        version = response.data.version
        return version and version.number

    def specs(self) -> list[ToolSpec]:
        """Describe the tools."""
        return [
            ToolSpec(
                name="search_prompts", title="Search prompts", run=self.search_prompts,
                description="Search the account's prompts; returns summaries without the texts. One request.",
                takes=SearchPrompts, returns=results.PromptPage,
            ),
            ToolSpec(
                name="get_prompt", title="Get a prompt", run=self.get_prompt,
                description="Fetch the newest version of a prompt: its text, variables and metadata. One request.",
                takes=GetPrompt, returns=results.PromptDetail,
            ),
            ToolSpec(
                name="prompt_versions", title="Get versions of a prompt", run=self.prompt_versions,
                description="Show the newest version number of a prompt and the versions that labels such as "
                "`production` point at. One request, and one for each label.",
                takes=GetVersions, returns=results.PromptVersions,
            ),
            ToolSpec(
                name="list_executions", title="List executions", run=self.list_executions,
                description="List executions of the account's prompts, newest first. One request.",
                takes=ListExecutions, returns=results.ExecutionPage,
            ),
            ToolSpec(
                name="get_execution", title="Get an execution", run=self.get_execution,
                description="Fetch one execution: its output, cost, model and variables. One request.",
                takes=GetExecution, returns=results.ExecutionDetail,
            ),
            ToolSpec(
                name="usage", title="Get usage", run=self.usage,
                description="Show plan, credits, executions and cost of the current period. One request.",
                takes=GetUsage, returns=results.UsageResult,
            ),
        ]  # fmt: skip
