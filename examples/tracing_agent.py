"""Trace an agent with tools: each step is a span, errors included, and personal data is redacted.

This uses an emulator of the API on this machine; the agent's model is a function here. Needs
`pip install "enprompta[emulator,tracing]"`.
"""

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.tracing import Redaction, Tracing

ORDERS = {7: "shipped to jane@example.com"}


def main() -> None:
    """Run the agent, then read its trace back."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        with Tracing(client, service_name="support", redact=Redaction()) as tracing:

            @tracing.observe(name="look_up", kind="tool")
            def look_up(order: int) -> str:
                return ORDERS[order]

            @tracing.observe(name="model", kind="llm")
            def model(question: str, facts: list[str]) -> dict[str, object]:
                numbers = [int(word) for word in question.split() if word.isdigit()]
                return {"text": facts[0]} if facts else {"call": "look_up", "order": numbers[0]}

            @tracing.observe(name="agent", kind="agent", session_id="chat-1")
            def agent(question: str) -> str:
                call = model(question, [])
                try:
                    facts = [look_up(int(str(call["order"])))]
                except KeyError:
                    facts = ["No order has this number."]
                return str(model(question, facts)["text"])

            print(agent("Where is order 7"))
            print(agent("Where is order 8"))
            tracing.flush()
            print("spans sent:", tracing.stats.sent, "with redacted values:", tracing.stats.redacted)
        for trace in client.traces.list(session_id="chat-1"):
            steps = client.traces.get(trace.id).spans or []
            print(trace.output, [(step.name, step.status) for step in steps])


if __name__ == "__main__":
    main()
