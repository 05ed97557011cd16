"""Create a prompt, list prompts, and execute one with variables.

With ENPROMPTA_API_KEY set, this uses the live API; otherwise it starts an emulator on this machine.
"""

import os
from contextlib import ExitStack

from enprompta import Enprompta


def main() -> None:
    """Run the tour and delete what it created."""
    with ExitStack() as stack:
        if os.environ.get("ENPROMPTA_API_KEY"):
            client = stack.enter_context(Enprompta())
        else:
            from enprompta.emulator import Emulator  # noqa: PLC0415 (needed only without a key)

            emulator = stack.enter_context(Emulator())
            client = stack.enter_context(Enprompta(api_key=emulator.keys.pro, base_url=emulator.url))
            print(f"No ENPROMPTA_API_KEY, so this runs on an emulator at {emulator.url}\n")

        prompt = client.prompts.create(
            title="Release note",
            content="Write a release note about {{topic}} for {{audience}}.",
            tags=["example"],
        )
        print(f"Created   {prompt.id}: {prompt.title}, version {prompt.version}")

        for listed in client.prompts.list(search="Release note"):
            print(f"Listed    {listed.id}: {listed.content}")

        execution = client.prompts.execute(
            prompt.id,
            variables={"topic": "faster search", "audience": "administrators"},
            temperature=0.3,
            max_tokens=200,
        )
        print(f"Executed  {execution.id}: {execution.status}, {execution.tokens} tokens, {execution.cost} USD")
        print(f"Output    {execution.output}")

        client.prompts.delete(prompt.id)
        budget = client.rate_limit
        if budget is not None:
            print(f"\n{budget.remaining} of {budget.limit} requests left until {budget.reset_at:%H:%M:%S} UTC")


if __name__ == "__main__":
    main()
