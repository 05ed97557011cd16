"""Read the texts of messages: JSON lists of both conventions, and messages whose parts are separate attributes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict, is_list
from enprompta.emulator.wire import list_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Where a message of either convention keeps its text, or a list of parts that do.
_INNER = (
    "content", "text", "parts", "contents", "message", "message_content", "document", "embedding", "prompt",
    "completion", "result", "response",
)  # fmt: skip
_CALL_TYPES = frozenset({"tool_call", "tool_use", "function_call", "function"})
_MAX_DEPTH = 20
_MAX_DIGITS = 5

Tree = dict[str, object]


def text_of(value: object) -> str:
    """Return the text of a value; JSON stays JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parsed(value: object) -> object:
    """Return a value; text that is a JSON object or list is decoded."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def text_of_messages(value: object) -> str:
    """Return the texts of messages; tool calls as JSON if there is no text; empty if there is neither."""
    texts: list[str] = []
    calls: list[object] = []
    _collect(parsed(value), texts, calls, 0)
    return "\n".join(texts) if texts else json.dumps(calls, ensure_ascii=False) if calls else ""


def _collect(node: object, texts: list[str], calls: list[object], depth: int) -> None:
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, str):
        texts += [node] if node else []
    elif is_list(node):
        for one in node:
            _collect(one, texts, calls, depth + 1)
    elif is_dict(node):
        fields = node
        if fields.get("type") in _CALL_TYPES or ("content" not in fields and "arguments" in fields):
            calls.append(fields)
            return
        calls += [fields[name] for name in ("tool_calls", "function_call") if fields.get(name)]
        for name in _INNER:
            _collect(fields.get(name), texts, calls, depth + 1)


def unflattened(attributes: Mapping[str, object], prefixes: Sequence[str]) -> list[object]:
    """Put together a list whose parts are separate attributes: `llm.input_messages.0.message.content`."""
    for prefix in prefixes:
        tree: Tree = {}
        for name, value in attributes.items():
            path = name[len(prefix) :].split(".") if name.startswith(prefix) else [""]
            if _is_index(path[0]) and len(path) <= _MAX_DEPTH:
                _put(tree, path, value)
        if tree:
            return list_of(_with_lists(tree))
    return []


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _put(tree: Tree, path: Sequence[str], value: object) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        if not is_dict(inner):
            inner = tree[name] = Tree()
        tree = inner
    tree[path[-1]] = value


def _with_lists(node: object) -> object:
    """Turn objects whose names are all numbers into lists."""
    if not is_dict(node):
        return node
    fields = {name: _with_lists(one) for name, one in node.items()}
    if fields and all(_is_index(name) for name in fields):
        return [fields[name] for name in sorted(fields, key=int)]
    return fields
