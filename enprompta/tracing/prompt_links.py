"""Which prompt version a model call used: remembered from `render()`, or given with `tracing.prompt(...)`.

While a tracer exists, the digests of rendered texts are remembered in the process. A span whose input holds one of
these texts gets the name, version, id and label of its prompt.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from hashlib import blake2b
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, cast

from enprompta._common import rendered
from enprompta._common import semantic_conventions as names
from enprompta.models.live_prompts import LivePrompt
from enprompta.models.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.util.types import AnyValue

    from enprompta.tracing.spans_read import EndedSpan

MAX_TEXTS = 10_000
"""Rendered texts that are remembered; the least recently rendered are forgotten first."""
MAX_DEPTH = 12
"""Levels of JSON that are searched for a text."""

_INPUTS = frozenset(
    {
        names.INPUT_VALUE,
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        names.GEN_AI_PROMPT,
        "traceloop.entity.input",
    }
)
_INPUT_PREFIXES = (f"{names.LLM_INPUT_MESSAGES}.", f"{names.GEN_AI_PROMPT}.", "llm.prompts")
_MESSAGE_EVENTS = frozenset(
    {
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.content.prompt",
        "gen_ai.client.inference.operation.details",
    }
)


class PromptLink(NamedTuple):
    """The prompt version that a text came from."""

    id: str | None
    name: str | None
    version: str | None
    label: str | None

    def attributes(self) -> dict[str, str]:
        """Return the span attributes that name the prompt."""
        pairs = (
            (names.GEN_AI_PROMPT_NAME, self.name),
            (names.GEN_AI_PROMPT_VERSION, self.version),
            (names.PROMPT_ID, self.id),
            (names.PROMPT_LABEL, self.label),
        )
        return {name: value for name, value in pairs if value}


def link_of(prompt: Prompt | LivePrompt) -> PromptLink:
    """Describe a prompt; a fallback is not a version of the service and has no version or id."""
    if isinstance(prompt, LivePrompt):
        version = prompt.version.number if prompt.version is not None else None
        name = prompt.slug or prompt.name
        if prompt.is_fallback:
            return PromptLink(None, name, None, prompt.label)
        return PromptLink(prompt.id, name, None if version is None else str(version), prompt.label)
    version = prompt.version
    return PromptLink(prompt.id, prompt.slug or prompt.title, None if version is None else str(version), None)


class PromptMemory:
    """The prompts that this process has received and rendered, for all tracers together."""

    def __init__(self) -> None:
        self._users: Counter[str] = Counter()  # accounts with a tracer
        self.after_fork()

    def after_fork(self) -> None:
        """Replace the lock in a child process; what was rendered before is still known."""
        self._lock = RLock()
        if not hasattr(self, "_texts"):
            self._clear()

    def _clear(self) -> None:
        self._texts: OrderedDict[bytes, PromptLink] = OrderedDict()
        self._prompts: OrderedDict[str, tuple[PromptLink, frozenset[str]]] = OrderedDict()

    def start(self, account: str) -> None:
        """Remember prompts from now on, for the tracer of an account."""
        with self._lock:
            if not self._users:
                rendered.add_observer(self)
            self._users[account] += 1

    def stop(self, account: str) -> None:
        """Forget everything once the last tracer stops."""
        with self._lock:
            self._users -= Counter({account: 1})
            if not self._users:
                rendered.remove_observer(self)
                self._clear()

    def rendered(self, prompt: Prompt | LivePrompt, texts: Sequence[str], /) -> None:
        """Remember the texts that a prompt was rendered to."""
        link = link_of(prompt)
        for text in texts:
            bare = text.strip()
            if not bare:
                continue
            digest = _digest(bare)
            with self._lock:
                self._texts[digest] = link
                self._texts.move_to_end(digest)
                if len(self._texts) > MAX_TEXTS:
                    self._texts.popitem(last=False)

    def received(self, result: object, account: str, /) -> None:
        """Remember which account a prompt belongs to, and its name and version."""
        found = result if isinstance(result, (Prompt, LivePrompt)) else None
        prompts = [found] if found is not None else _prompts_in(getattr(result, "data", None))
        for prompt in prompts:
            with self._lock:
                _, accounts = self._prompts.pop(prompt.id, (None, frozenset[str]()))
                self._prompts[prompt.id] = link_of(prompt), accounts | {account}
                if len(self._prompts) > MAX_TEXTS:
                    self._prompts.popitem(last=False)

    def by_id(self, prompt_id: str, account: str) -> PromptLink | None:
        """Return the last known version of a prompt of an account, without a label: executions use none."""
        link, accounts = self._prompts.get(prompt_id, (None, frozenset[str]()))
        return link._replace(label=None) if link is not None and account in accounts else None

    def find(self, span: EndedSpan, account: str) -> PromptLink | None:
        """Return the prompt of the first remembered text in the input of a span."""
        if not self._texts:
            return None
        for text in _input_texts(span):
            link = self._texts.get(_digest(text.strip()))
            if link is not None and self._belongs(link, account):
                return link
        return None

    def _belongs(self, link: PromptLink, account: str) -> bool:
        """True unless the prompt may be that of another account that is traced in this process."""
        accounts = self._prompts[link.id][1] if link.id in self._prompts else frozenset(self._users)
        return account in accounts and (len(accounts) == 1 or link.id in self._prompts)


def _prompts_in(data: object) -> list[Prompt]:
    return [one for one in cast("list[object]", data) if isinstance(one, Prompt)] if isinstance(data, list) else []


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _input_texts(span: EndedSpan) -> Iterator[str]:
    """List the texts in the input of a span, those inside JSON too."""
    yield from _texts_of(span.attributes)
    for event in span.events:
        if event.name in _MESSAGE_EVENTS:
            for value in (event.attributes or {}).values():
                yield from _texts_in(value)


def _texts_of(attributes: Mapping[str, AnyValue]) -> Iterator[str]:
    for name, value in attributes.items():
        if name in _INPUTS or name.startswith(_INPUT_PREFIXES):
            yield from _texts_in(value)


def _texts_in(value: AnyValue) -> Iterator[str]:
    yield from _strings_in(value, MAX_DEPTH)
    if isinstance(value, str) and value[:1] in {"{", "[", '"'}:
        try:
            parsed: AnyValue = json.loads(value)
        except (ValueError, RecursionError):
            return
        yield from _strings_in(parsed, MAX_DEPTH)


def _strings_in(value: AnyValue, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, (dict, list, tuple)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(one, depth - 1)


MEMORY = PromptMemory()
"""One for the process, because a prompt does not know its client."""
