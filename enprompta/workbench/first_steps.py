"""Code to start with, for the service that the Workbench is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.workbench.session import Session


def _arguments(session: Session) -> str:
    return "" if session.is_live else f'api_key="ep_test_{session.account}", base_url="{session.base_url}"'


def _python(session: Session) -> str:
    return f"""from enprompta import Enprompta

with Enprompta({_arguments(session)}) as client:
    prompt = client.prompts.create(title="Greeting", content="Hello {{{{name}}}}")
    execution = client.prompts.execute(prompt.id, variables={{"name": "Ada"}})
    print(execution.output, execution.tokens, execution.cost)
"""


def _async_python(session: Session) -> str:
    return f"""import asyncio

from enprompta import AsyncEnprompta


async def main() -> None:
    async with AsyncEnprompta({_arguments(session)}) as client:
        prompt = await client.prompts.create(title="Greeting", content="Hello {{{{name}}}}")
        execution = await client.prompts.execute(prompt.id, variables={{"name": "Ada"}})
        print(execution.output, execution.tokens, execution.cost)


asyncio.run(main())
"""


def _curl(session: Session) -> str:
    key = '"$ENPROMPTA_API_KEY"' if session.is_live else f"ep_test_{session.account}"
    return f"""curl {session.base_url}/prompts \\
  -H "Authorization: Bearer "{key} \\
  -H "Content-Type: application/json" \\
  -d '{{"title": "Greeting", "content": "Hello {{{{name}}}}"}}'
"""


def tracing_example(session: Session) -> str:
    """Write the code that sends a first trace."""
    return f"""from enprompta import Enprompta
from enprompta.tracing import Tracing

client = Enprompta({_arguments(session)})
tracing = Tracing(client, service_name="shop")  # then tracing.instrument("openai")

with tracing.span("answer", kind="agent", input="Where is order 7?") as span:
    span.set_output("It is shipped.")
"""


FIRST_STEPS: dict[str, Callable[[Session], str]] = {"Python": _python, "Async Python": _async_python, "curl": _curl}
"""Functions that write the code, by the name of the language."""
