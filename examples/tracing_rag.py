"""Trace an answer from documents: a retrieval, a runtime prompt and a call of the openai package, linked to the prompt.

This uses an emulator of the API, and a stand-in for the model's API, on this machine. Needs
`pip install "enprompta[emulator,tracing]" openai openinference-instrumentation-openai`. In production, use
`Enprompta()` and `OpenAI()` with your keys.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from openai import OpenAI

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.tracing import Tracing

DOCUMENTS = {"tea": "Green tea steeps for two minutes.", "coffee": "Coffee takes four minutes."}


class Model(BaseHTTPRequestHandler):
    """Answers every question."""

    def do_POST(self) -> None:
        """Answer a chat completion."""
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "Two minutes."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def main() -> None:
    """Answer a question within a session, then read the trace back."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    Thread(target=server.serve_forever, daemon=True).start()
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.team, base_url=emulator.url) as client:
        client.prompts.create(title="Answer", content="Answer {{question}} from: {{documents}}")
        with (
            Tracing(client, service_name="docs") as tracing,
            OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1") as openai,
        ):
            tracing.instrument("openai")

            @tracing.observe(kind="retrieval")
            def search(question: str) -> list[str]:
                return [text for topic, text in DOCUMENTS.items() if topic in question]

            question = "How long does tea steep?"
            with tracing.span("answer", session_id="chat-1", input=question) as span:
                live = client.prompts.get_live("answer", fallback="Answer {{question}} from: {{documents}}")
                text = str(live.render(question=question, documents="\n".join(search(question))))
                reply = openai.chat.completions.create(model="small", messages=[{"role": "user", "content": text}])
                span.set_output(reply.choices[0].message.content)
            tracing.flush()
            print("spans sent:", tracing.stats.sent, "dropped:", tracing.stats.dropped)
        for trace in client.traces.list(session_id="chat-1"):
            print(trace.session_id, "->", trace.output)
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
