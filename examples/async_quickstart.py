"""Execute one prompt for many values concurrently, with the async client.

With ENPROMPTA_API_KEY set, this uses the live API; otherwise it starts an emulator on this machine.
"""

import asyncio
import os
from contextlib import AsyncExitStack

from enprompta import AsyncEnprompta

CITIES = ["Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi"]


async def main() -> None:
    """Create a prompt, execute it concurrently, and delete it."""
    async with AsyncExitStack() as stack:
        if os.environ.get("ENPROMPTA_API_KEY"):
            client = await stack.enter_async_context(AsyncEnprompta())
        else:
            from enprompta.emulator import Emulator  # noqa: PLC0415 (needed only without a key)

            emulator = stack.enter_context(Emulator())
            client = await stack.enter_async_context(AsyncEnprompta(api_key=emulator.keys.pro, base_url=emulator.url))
            print(f"No ENPROMPTA_API_KEY, so this runs on an emulator at {emulator.url}\n")

        prompt = await client.prompts.create(title="City line", content="Describe {{city}} in one line.")
        executions = await asyncio.gather(
            *[client.prompts.execute(prompt.id, variables={"city": city}) for city in CITIES]
        )
        for execution in executions:
            print(execution.output)

        async for execution in client.executions.list(prompt_id=prompt.id, limit=2):
            print(f"{execution.id}: {execution.tokens} tokens, {execution.cost} USD")
        await client.prompts.delete(prompt.id)


if __name__ == "__main__":
    asyncio.run(main())
