"""A server on loopback that answers as the APIs of OpenAI and Anthropic do, streams and tool calls included."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}


def chat(answer: str | None) -> dict[str, Any]:
    """A chat completion; None calls a tool instead of answering."""
    message = {"role": "assistant", "content": answer} if answer is not None else {
        "role": "assistant", "content": None, "tool_calls": [CALL]}  # fmt: skip
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if answer is None else "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }  # fmt: skip


def chunks(answer: str | None) -> list[dict[str, Any]]:
    """The same as a stream."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "small-1"}
    if answer is None:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [{"index": 0, **CALL}]}]
    else:
        deltas = [{"role": "assistant", "content": ""}, *({"content": one} for one in answer.split(" "))]
    return [
        *({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]


def message(answer: str | None) -> dict[str, Any]:
    """A message of Anthropic's API."""
    content = [{"type": "text", "text": answer}] if answer is not None else [
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"order": 7}}]  # fmt: skip
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "content": content,
        "stop_reason": "end_turn" if answer is not None else "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 2},
    }  # fmt: skip


def message_events(answer: str) -> list[dict[str, Any]]:
    """The same as a stream."""
    return [
        {"type": "message_start", "message": {**message(""), "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": answer}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]  # fmt: skip


class ModelServer:
    """Answers `answer`; None calls a tool."""

    def __init__(self) -> None:
        self.answer: str | None = "fine, thanks"
        self.asked: list[dict[str, Any]] = []
        models = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                models.asked.append(asked)
                is_chat, answer = self.path.endswith("/chat/completions"), models.answer
                if asked.get("stream"):
                    events = chunks(answer) if is_chat else message_events(answer or "")
                    lines = [
                        (f"event: {one['type']}\n" if "type" in one else "") + f"data: {json.dumps(one)}\n\n"
                        for one in events
                    ]
                    body = "".join([*lines, "data: [DONE]\n\n"] if is_chat else lines).encode()
                    kind = "text/event-stream"
                else:
                    body, kind = json.dumps(chat(answer) if is_chat else message(answer)).encode(), "application/json"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
