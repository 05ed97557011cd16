"""Serve the prompts of an account to an MCP client, with a budget for executions.

This runs on an emulator of the API on this machine, which it starts and stops.
Editors start the same server with `enprompta mcp`; here both ends run in one process.
"""

import anyio
from mcp import Client

from enprompta import AsyncEnprompta
from enprompta.emulator import Emulator
from enprompta.mcp import ServerOptions, create_server


async def use(service: AsyncEnprompta) -> None:
    """List, render and execute prompts as an editor or an agent does."""
    await service.prompts.create(title="Release note", content="Announce {{feature}} for {{audience}}.")
    server = create_server(service, ServerOptions(allow=["execute"], max_executions=1))
    async with Client(server) as client:
        for prompt in (await client.list_prompts()).prompts:
            print(prompt.name, "takes", [one.name for one in prompt.arguments or []])

        values = {"feature": "search", "audience": "administrators"}
        rendered = await client.get_prompt("release-note", values)
        print("rendered:", getattr(rendered.messages[0].content, "text", None))

        for _ in range(2):
            result = await client.call_tool("execute_prompt", {"prompt": "release-note", "variables": values})
            text = getattr(result.content[0], "text", "")
            print(
                "refused:" if result.is_error else "executed:", text if result.is_error else result.structured_content
            )


async def main() -> None:
    """Start an emulator, and serve its prompts."""
    with Emulator() as emulator:
        async with AsyncEnprompta(api_key=emulator.keys.team, base_url=emulator.url) as service:
            await use(service)


if __name__ == "__main__":
    anyio.run(main)
