"""A small application of the Enprompta API: it writes summaries and records their cost."""

from __future__ import annotations

import os

from enprompta import Enprompta, EnpromptaError
from enprompta.webhooks import PromptExecuted, WebhookReceiver

PROMPT = "Summarise in one sentence: {{text}}"
NO_SUMMARY = "(no summary at the moment)"


class Summaries:
    """Writes summaries with a prompt that it creates on first use."""

    def __init__(self) -> None:
        self._client = Enprompta()
        self._prompt_id: str | None = None

    def write(self, text: str) -> str:
        """Summarise a text; return a placeholder if the service fails."""
        try:
            if self._prompt_id is None:
                self._prompt_id = self._client.prompts.create(title="Summary", content=PROMPT).id
            execution = self._client.prompts.execute(self._prompt_id, variables={"text": text})
        except EnpromptaError:
            return NO_SUMMARY
        return execution.output or NO_SUMMARY

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Ledger:
    """Adds up the cost of executions, as reported by webhooks."""

    def __init__(self) -> None:
        self.total = 0.0
        self._receiver = WebhookReceiver(os.environ["ENPROMPTA_WEBHOOK_SECRET"])
        self._receiver.on("prompt.executed")(self._add)
        self.app = self._receiver.wsgi
        """The WSGI application that receives deliveries."""

    def _add(self, event: PromptExecuted) -> None:
        self.total += event.data.cost or 0.0
