"""Redact personal data and credentials in spans before they are sent.

Found are plain values and values in disguise: escaped for URLs, JSON, HTML or Python, in base64 or hexadecimal, with
invisible characters or digits of another script, inside JSON in a string, and split over the parts of a stream.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from enprompta.errors import ConfigurationError
from enprompta.tracing.redaction.detectors import Detectors
from enprompta.tracing.redaction.documents import Forest, Leaf, Node, rebuild
from enprompta.tracing.redaction.matches import Match, replace

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Action", "Redaction"]

Action = Literal["mask", "hash", "drop"]
DROPPED = "<dropped>"
"""In place of a value that is not sent. It is not empty, because the service drops traces with an empty output."""
MAX_SHARED = 1000
"""Resources and instrumentation scopes that are remembered with their redacted forms."""
_HASH_LENGTH = 16  # hexadecimal digits

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Tree(Protocol[T_co]):
    """The texts of a resource or scope in a forest, and the way back."""

    def rebuilt(self, value_of: Callable[[Node], object], /) -> T_co:
        """Return a copy with the redacted texts."""
        ...


class Redaction:
    """Settings of redaction: the kinds to find and the action to take; one object serves all threads.

    Args:
        emails: Redact e-mail addresses.
        phones: Redact phone numbers.
        cards: Redact payment card numbers (checked with the Luhn algorithm).
        ibans: Redact international bank account numbers (checked modulo 97).
        ips: Redact IPv4, IPv6 and MAC addresses.
        keys: Redact API keys, tokens, private keys, passwords, and values with the name of a credential.
        ssns: Redact US social security numbers.
        rules: Your own rules: compiled patterns, whose matches are redacted, and functions, which get a text and return
            it redacted. If a rule raises, the whole value is dropped, and `failures` counts it.
        action: `mask` writes the kind (`<email>`). `hash` adds a keyed hash, which is the same for the same value
            (`<email:5f1c0a93b2d4e876>`). `drop` replaces the whole value that contains a match by `<dropped>`.
        hash_key: The key of the HMAC-SHA256 for `hash`, which needs one; None for the other actions.

    Raises:
        ConfigurationError: The action is unknown, `hash` has no key, or a rule is neither a pattern nor a function.
    """

    def __init__(
        self,
        *,
        emails: bool = True,
        phones: bool = True,
        cards: bool = True,
        ibans: bool = True,
        ips: bool = True,
        keys: bool = True,
        ssns: bool = True,
        rules: Iterable[re.Pattern[str] | Callable[[str], str]] = (),
        action: Action = "mask",
        hash_key: str | bytes | None = None,
    ) -> None:
        rules = tuple(rules)
        for rule in rules:
            if not hasattr(rule, "finditer") and not callable(rule):
                raise ConfigurationError(
                    f"rules has a {type(rule).__name__}; a rule is a compiled pattern (re.compile) or a function"
                )
        if action not in {"mask", "hash", "drop"}:
            raise ConfigurationError(f"action is {action!r}; use 'mask', 'hash' or 'drop'")
        if action == "hash" and not hash_key:
            raise ConfigurationError("action='hash' needs hash_key=, the secret key of the hashes")
        patterns = tuple(cast("re.Pattern[str]", one) for one in rules if hasattr(one, "finditer"))
        self._functions = tuple(cast("Callable[[str], object]", one) for one in rules if not hasattr(one, "finditer"))
        self._detectors = Detectors(emails, phones, cards, ibans, ips, keys, ssns, patterns)
        self._action: Action = action
        self._hash_key = hash_key.encode() if isinstance(hash_key, str) else hash_key or b""
        self._failures = 0
        self._unshare()

    def _unshare(self) -> None:
        """Begin with what copies do not share."""
        self._lock = threading.Lock()
        # The original is kept, so that no other object gets its id.
        self._known: dict[int, tuple[object, object]] = {}
        self._clean: set[str] = set()

    @property
    def failures(self) -> int:
        """Number of values that were dropped because a rule failed."""
        return self._failures

    def redact_text(self, text: str) -> str:
        """Return a text with everything redacted that this object looks for; JSON stays JSON."""
        try:
            forest = Forest(self._detectors, self._clean)
            node = forest.text(text)
            return str(rebuild(node, self._search(forest)))
        except Exception:  # noqa: BLE001 (whatever fails, nothing unsearched is returned)
            self._count_failure()
            return DROPPED

    def redact_span(self, span: ReadableSpan) -> ReadableSpan:
        """Return a redacted copy of a finished span: name, attributes, events, links, status, scope and resource.

        A span in which nothing is found is returned itself.
        """
        from enprompta.tracing.redaction import spans  # noqa: PLC0415 (needs the SDK; texts do not)

        try:
            forest = Forest(self._detectors, self._clean)
            tree = spans.SpanTree(forest, span)
            redacted = self._search(forest)
            resource = self._shared(span.resource, spans.ResourceTree)
            scope = span.instrumentation_scope and self._shared(span.instrumentation_scope, spans.ScopeTree)
            if not redacted and resource is span.resource and scope is span.instrumentation_scope:
                return span
            return tree.rebuilt(lambda node: rebuild(node, redacted), resource, scope)
        except Exception:  # noqa: BLE001 (whatever fails, nothing unsearched is sent)
            self._count_failure()
            return spans.emptied(span)

    def _shared(self, part: T, tree_of: Callable[[Forest, T], Tree[T]]) -> T:
        """Redact a resource or scope, once for all its spans."""
        known = self._known.get(id(part))
        if known is None:
            forest = Forest(self._detectors, self._clean)
            tree = tree_of(forest, part)
            redacted = self._search(forest)
            known = part, tree.rebuilt(lambda node: rebuild(node, redacted)) if redacted else part
            if len(self._known) >= MAX_SHARED:
                self._known.clear()
            self._known[id(part)] = known
        return cast("T", known[1])

    def _search(self, forest: Forest) -> dict[int, str]:
        """Return the new text of each leaf that changes, by its identity."""
        failed = False
        try:
            forest.search()
        except Exception:  # noqa: BLE001 (a pattern of the caller failed)
            failed = True
        redacted: dict[int, str] = {}
        for leaf in forest.leaves:
            new = None if failed else self._redact_leaf(leaf)
            if new is None:
                self._count_failure()
                new = DROPPED
            if new != leaf.text:
                redacted[id(leaf)] = new
        return redacted

    def _redact_leaf(self, leaf: Leaf) -> str | None:
        """Return the redacted text; None if a rule failed."""
        text = leaf.text
        if leaf.matches:
            text = DROPPED if self._action == "drop" else replace(text, leaf.matches, self._placeholder)
        for function in self._functions:
            try:
                new = function(text)
            except Exception:  # noqa: BLE001 (of the caller's code)
                return None
            if not isinstance(new, str):
                return None
            text = DROPPED if self._action == "drop" and new != text else new
        return text

    def _placeholder(self, match: Match) -> str:
        if self._action == "mask":
            return f"<{match.kind}>"
        digest = hmac.new(self._hash_key, match.value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"<{match.kind}:{digest[:_HASH_LENGTH]}>"

    def _count_failure(self) -> None:
        with self._lock:
            self._failures += 1

    def __getstate__(self) -> dict[str, object]:
        """Leave out what copies do not share."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_known", "_clean"}}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore the settings."""
        self.__dict__.update(state)
        self._unshare()

    def __repr__(self) -> str:
        """Show what is searched, without the key and the rules."""
        kinds = [name for name, value in self._detectors._asdict().items() if value is True]
        return f"<Redaction {self._action} {' '.join(kinds)}>"
