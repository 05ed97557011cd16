"""Chain prompts into a workflow, run it, and follow its steps.

With ENPROMPTA_API_KEY set, this uses the live API; otherwise it starts an emulator on this machine.
"""

import os
from contextlib import ExitStack

from enprompta import Enprompta, WorkflowFailedError
from enprompta.models import WorkflowExecution


def show(run: WorkflowExecution) -> None:
    """Print the progress of a run; called after each change."""
    print(f"{run.status:10}", "  ".join(f"{step.step_id}: {step.status}" for step in run.steps))


def main() -> None:
    """Create three prompts and a workflow of them: two parallel steps, and one that waits for both."""
    with ExitStack() as stack:
        if os.environ.get("ENPROMPTA_API_KEY"):
            client = stack.enter_context(Enprompta())
        else:
            from enprompta.emulator import Emulator  # noqa: PLC0415 (needed only without a key)

            emulator = stack.enter_context(Emulator())
            client = stack.enter_context(Enprompta(api_key=emulator.keys.pro, base_url=emulator.url))

        outline = client.prompts.create(title="Outline", content="Outline a post about {{topic}}.")
        audience = client.prompts.create(title="Audience", content="Who reads about {{topic}}?")
        draft = client.prompts.create(title="Draft", content="For {{readers}}, write: {{outline}}")
        for prompt in (outline, audience, draft):
            stack.callback(client.prompts.delete, prompt.id)

        workflow = client.workflows.create(
            name="Blog post",
            steps=[
                {"id": "outline", "prompt_id": outline.id, "variables": {"topic": "{{input.topic}}"}},
                {"id": "readers", "prompt_id": audience.id, "variables": {"topic": "{{input.topic}}"}},
                {
                    "id": "draft",
                    "prompt_id": draft.id,
                    "variables": {"readers": "{{steps.readers.output}}", "outline": "{{steps.outline.output}}"},
                },
            ],
        )
        stack.callback(client.workflows.delete, workflow.id)
        try:
            run = client.workflows.execute_and_wait(
                workflow.id, input={"topic": "tea"}, wait_timeout=120, on_progress=show, raise_on_failure=True
            )
        except WorkflowFailedError as error:
            print(error)  # names the failed step and the reason
        else:
            print(f"\n{run.output}\n\n{run.tokens} tokens, {run.cost} USD")


if __name__ == "__main__":
    main()
