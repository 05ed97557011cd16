"""Values as trees: attributes, lists, and JSON inside strings, down to the texts that are searched.

Texts of one kind, such as the parts of a streamed answer, are also searched as one: a value that is split over them is
found and redacted in each.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from enprompta.tracing.redaction.credentials import is_credential_name
from enprompta.tracing.redaction.matches import Match
from enprompta.tracing.redaction.numbers import digits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from enprompta.tracing.redaction.detectors import Detectors

MAX_DEPTH = 64
"""Levels of nesting, JSON in strings included; deeper JSON is searched as text."""
_SHORTEST_NUMBER = 10**11
"""Numbers from this on are searched for cards."""
_STREAM_LENGTH = 40
"""Characters; texts of one kind that are shorter on average are read as parts of a stream."""

_LARGEST_WHOLE = 1e19  # larger numbers have more digits than a card
_INDEXES = frozenset({"index", "choice", "choice_index", "gen_ai.choice.index"})
_NUMBER = re.compile(r"\d+")
_PHONE_NAME = re.compile(
    r"(?:^|[._\-\s])(?:\w{1,20}[_\-])?(?:phone|mobile|tel|telephone|fax|whatsapp|msisdn)(?:[_\-]?(?:number|no))?$",
    re.IGNORECASE,
)
_SSN_NAME = re.compile(r"(?:^|[._\-\s])(?:ssn|social_security(?:_number)?)$", re.IGNORECASE)
_MIN_PHONE, _SSN_LENGTH = 6, 9


MAX_CACHED_NAME = 200
"""Characters; longer names are not cached, so that the caches stay small."""
MAX_CACHED_VALUE = 32
"""Characters; most longer values occur once."""
MAX_CLEAN = 10_000
"""Names and short values that are remembered because nothing is found in them."""


class _Name(NamedTuple):
    """A name, as far as it says something about its value."""

    is_credential: bool
    is_phone: bool
    is_ssn: bool
    shape: str
    """The name with every number replaced by `#`."""
    numbers: tuple[int, ...]

    @property
    def is_telling(self) -> bool:
        return self.is_credential or self.is_phone or self.is_ssn


def _read_name(name: str) -> _Name:
    return _Name(
        is_credential_name(name),
        _PHONE_NAME.search(name) is not None,
        _SSN_NAME.search(name) is not None,
        _NUMBER.sub("#", name),
        tuple(int(one[:9]) for one in _NUMBER.findall(name)),
    )


_read_known_name = lru_cache(maxsize=4096)(_read_name)


def _name(name: str) -> _Name:
    return _read_known_name(name) if len(name) <= MAX_CACHED_NAME else _read_name(name)


class TooDeep(Exception):  # noqa: N818 (it does not leave this module)
    """JSON is nested too deeply to be searched as a tree."""


class Leaf:
    """One text of a tree, and what was found in it.

    Args:
        text: The text.
        path: Where it stands, with every number replaced by `#`, so that parts of one list have the same path.
        name: The name next to it: the attribute's or the field's.
        order: The numbers of the path.
        value: What the text was written from, if it was no text.
    """

    __slots__ = ("is_key", "matches", "name", "order", "path", "text", "value")

    def __init__(self, text: str, path: str, name: str, order: tuple[int, ...], value: object = None) -> None:
        self.text: str = text
        self.path: str = path
        self.name: str = name
        self.order: tuple[int, ...] = order
        self.value: Any = value
        self.is_key: bool = False
        self.matches: list[Match] = []


class Forest:
    """All texts of one span or one value, which are searched together.

    Args:
        detectors: What to search for.
        clean: Names and short values in which they find nothing; is added to.
    """

    def __init__(self, detectors: Detectors, clean: set[str]) -> None:
        self._detectors = detectors
        self._clean = clean
        self.leaves: list[Leaf] = []

    def text(self, text: str, path: str = "", name: str = "", order: tuple[int, ...] = (), depth: int = 0) -> Node:
        """Add a text; one that is JSON is taken apart."""
        if text[:1] in '{["' and text.strip()[-1:] in '}]"' and len(text) > 1:
            leaves = len(self.leaves)
            try:
                parsed: Any = json.loads(text, object_pairs_hook=Pairs)
                if not isinstance(parsed, str) or parsed:
                    return JsonText(text, self.add(parsed, path, name, order, depth + 1))
            except (ValueError, RecursionError, TooDeep):
                del self.leaves[leaves:]
        return self._leaf(text, path, name, order)

    def _leaf(self, text: str, path: str, name: str, order: tuple[int, ...], value: object = None) -> Leaf:
        leaf = Leaf(text, path, name, order, value)
        self.leaves.append(leaf)
        return leaf

    def key(self, text: str, path: str) -> Leaf:
        """Add a name, which is searched by itself."""
        leaf = self._leaf(text, path, "", ())
        leaf.is_key = True
        return leaf

    def add(self, value: object, path: str, name: str, order: tuple[int, ...] = (), depth: int = 0) -> Node:
        """Add a value of any kind; the result is given to `rebuild` later."""
        if depth > MAX_DEPTH:
            raise TooDeep
        node: Node
        if isinstance(value, str):
            node = self.text(value, path, name, order, depth)
        elif isinstance(value, bytes):
            node = self.text(value.decode("utf-8", "replace"), path, name, order, depth)
        elif isinstance(value, bool) or value is None:
            node = Constant(value)
        elif isinstance(value, (int, float)):
            node = self._number(value, path, name, order)
        elif isinstance(value, Pairs):
            node = self.mapping(value, path, order, depth)
        elif isinstance(value, (list, tuple)):
            items = cast("Sequence[object]", value)
            nodes = [self.add(item, f"{path}.#", name, (*order, at), depth + 1) for at, item in enumerate(items)]
            node = Items(items, nodes)
        else:  # no attribute has another type; its text is searched, and sent in its place
            node = self.text(str(value), path, name, order, depth)
        return node

    def _number(self, value: float, path: str, name: str, order: tuple[int, ...]) -> Node:
        if abs(value) < _SHORTEST_NUMBER and not _name(name).is_telling:
            return Constant(value)
        is_whole = abs(value) < _LARGEST_WHOLE and value == int(value)
        return self._leaf(str(int(value) if is_whole else value), path, name, order, value)

    def mapping(self, pairs: Iterable[tuple[str, object]], path: str, order: tuple[int, ...], depth: int) -> Fields:
        """Add the fields of an object or the attributes of a span."""
        pairs = list(pairs)
        # The field that numbers the choices separates their streams.
        order += tuple(value for key, value in pairs if key in _INDEXES and isinstance(value, int))
        fields: list[tuple[Leaf, Node]] = []
        for key, value in pairs:
            named = _name(key)
            leaf = self.key(key, path)
            fields.append((leaf, self.add(value, f"{path}.{named.shape}", key, order + named.numbers, depth + 1)))
        return Fields(fields)

    def search(self) -> None:
        """Search every text, and the texts of one kind as one."""
        groups: defaultdict[str, list[Leaf]] = defaultdict(list)
        for leaf in self.leaves:
            leaf.matches += self._in_leaf(leaf)
            if not leaf.is_key and leaf.text:
                groups[leaf.path].append(leaf)
        for group in groups.values():
            if len(group) > 1:
                self._search_group(group)
        values = [leaf for leaf in self.leaves if not leaf.is_key and leaf.text and leaf.value is None]
        if len(groups) > 1:
            _spread(values, self._detectors.find_across, lambda match, parts: not _is_known(match, parts))

    def _in_leaf(self, leaf: Leaf) -> list[Match]:
        text, name = leaf.text, leaf.name
        if not text:
            return []
        if leaf.value is not None:
            found = [one for one in self._detectors.find(text) if one.kind in {"card", "redacted"}]
        elif len(text) > (MAX_CACHED_NAME if leaf.is_key else MAX_CACHED_VALUE):
            found = self._detectors.find(text)
        elif text in self._clean:
            found = []
        else:
            found = self._detectors.find(text)
            if not found:
                if len(self._clean) >= MAX_CLEAN:
                    self._clean.clear()
                self._clean.add(text)
        if name:
            kind = self._kind_by_name(name, text)
            if kind:
                found.append(Match(0, len(text), kind, text))
        return found

    def _kind_by_name(self, name: str, text: str) -> str | None:
        """Return the kind of a value that only its name gives away."""
        named = _name(name)
        if self._detectors.keys and named.is_credential:
            return "key"
        if self._detectors.phones and named.is_phone and len(digits_of(text)) >= _MIN_PHONE:
            return "phone"
        if self._detectors.ssns and named.is_ssn and len(digits_of(text)) == _SSN_LENGTH:
            return "ssn"
        return None

    def _search_group(self, group: list[Leaf]) -> None:
        orders = [group]
        arranged = sorted(group, key=lambda leaf: leaf.order)
        if arranged != group:
            orders.append(arranged)
        streams: defaultdict[tuple[int, ...], list[Leaf]] = defaultdict(list)
        for leaf in group:
            streams[leaf.order[1:]].append(leaf)
        if 1 < len(streams) < len(group):
            orders += streams.values()
        for leaves in orders:
            if len(leaves) > 1:
                is_stream = sum(len(leaf.text) for leaf in leaves) < _STREAM_LENGTH * len(leaves)
                _spread(
                    leaves,
                    self._detectors.find,
                    lambda match, parts, is_stream=is_stream: (
                        is_stream or match.kind != "email" or not _is_known(match, parts)
                    ),
                )


class Pairs(list["tuple[str, object]"]):
    """The fields of a JSON object in their order, with repeated names."""


class Constant:
    """A value without text."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value: object = value


class Items:
    """A list."""

    __slots__ = ("nodes", "original")

    def __init__(self, original: Sequence[object], nodes: list[Node]) -> None:
        self.original: Sequence[object] = original
        self.nodes: list[Node] = nodes


class Fields:
    """An object, or attributes."""

    __slots__ = ("fields",)

    def __init__(self, fields: list[tuple[Leaf, Node]]) -> None:
        self.fields: list[tuple[Leaf, Node]] = fields


class JsonText:
    """A text that is JSON."""

    __slots__ = ("node", "original")

    def __init__(self, original: str, node: Node) -> None:
        self.original: str = original
        self.node: Node = node


Node: TypeAlias = Leaf | Constant | Items | Fields | JsonText


def rebuild(node: Node, redacted: Mapping[int, str]) -> object:
    """Return the value of a node; `redacted` has the new texts of leaves, by their identity."""
    if isinstance(node, Leaf):
        new = redacted.get(id(node))
        return new if new is not None else node.text if node.value is None else node.value
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Items):
        items = [rebuild(one, redacted) for one in node.nodes]
        if any(isinstance(one, str) for one in items) and all(isinstance(one, (int, float)) for one in node.original):
            items = [str(one) for one in items]  # the elements of an attribute have one type
        return tuple(items) if isinstance(node.original, tuple) else items
    if isinstance(node, Fields):
        return {rebuild(key, redacted): rebuild(value, redacted) for key, value in node.fields}
    if not _is_changed(node.node, redacted):
        return node.original
    return json.dumps(rebuild(node.node, redacted), ensure_ascii=False)


def _is_changed(node: Node, redacted: Mapping[int, str]) -> bool:
    if isinstance(node, Leaf):
        return id(node) in redacted
    if isinstance(node, Items):
        return any(_is_changed(one, redacted) for one in node.nodes)
    if isinstance(node, Fields):
        return any(_is_changed(key, redacted) or _is_changed(value, redacted) for key, value in node.fields)
    return isinstance(node, JsonText) and _is_changed(node.node, redacted)


def _spread(
    leaves: list[Leaf],
    find: Callable[[str], Iterable[Match]],
    is_wanted: Callable[[Match, list[tuple[Leaf, int, int]]], bool],
) -> None:
    """Search texts as one, and add what stands in more than one of them to each."""
    bounds = list(accumulate((len(leaf.text) for leaf in leaves), initial=0))
    for match in find("".join(leaf.text for leaf in leaves)):
        first, last = bisect_right(bounds, match.start) - 1, bisect_right(bounds, match.end - 1) - 1
        if first == last:
            continue
        parts = [
            (leaves[at], max(match.start - bounds[at], 0), min(match.end, bounds[at + 1]) - bounds[at])
            for at in range(first, last + 1)
        ]
        if is_wanted(match, parts):
            for leaf, start, end in parts:
                leaf.matches.append(match._replace(start=start, end=end))


def _is_known(match: Match, parts: list[tuple[Leaf, int, int]]) -> bool:
    """True if a part of the match was found in one of its texts alone."""
    del match
    return any(one.start < end and start < one.end for leaf, start, end in parts for one in leaf.matches)
