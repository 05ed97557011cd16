"""Read outputs into types: a value, an output that does not match, and a repair.

The example starts and stops an emulator of the API on this machine. It echoes prompts, so the texts below are answers.
"""

from typing import Any

from pydantic import BaseModel

from enprompta import Enprompta, OutputError
from enprompta.emulator import Emulator


class Review(BaseModel):
    """The answer that the prompt asks for."""

    stars: int
    reasons: list[str]


def main() -> None:
    """Execute prompts with a type."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
        answer = 'Sure!\n```json\n{"stars": {{stars}}, "reasons": ["warm", "quiet"]}\n```\nAnything else?'
        prompt = client.prompts.create(title="Review", content=answer)

        done = client.prompts.execute(prompt.id, variables={"stars": "4"}, output=Review)
        print(f"{done.parsed.stars} stars: {', '.join(done.parsed.reasons)}; ${done.cost}")

        try:
            client.prompts.execute(prompt.id, variables={"stars": '"four"'}, output=Review)
        except OutputError as error:
            print(f"misfit at {error.place}, charged as {error.execution.id[:4]}…: {error.text!r:.20}…")

        # The note about the problem contains a JSON Schema, which this echo then "answers" with.
        empty = client.prompts.create(title="Repaired", content="Please answer. {{output_error}}")
        repaired = client.prompts.execute(empty.id, variables={"output_error": ""}, output=dict[str, Any], repair=1)
        print(f"repaired: {repaired.parsed}, {repaired.credits} credits, {len(repaired.executions)} executions")

        rows = [{"stars": "5"}, {"stars": "none"}]
        for result in client.prompts.execute_many(prompt.id, rows, output=Review, ordered=True):
            value = result.execution.parsed.stars if result.ok and result.execution else type(result.error).__name__
            print(f"row {result.index}: {value}")


if __name__ == "__main__":
    main()
