"""The YAML above a prompt's text: written the same way each time, read as the JSON part of YAML 1.2.

PyYAML reads YAML 1.1, where `yes` is a boolean, `12:30` a number and `2024-01-17` a date. Titles mean none of that, so
here only `true` and `false` are booleans and only digits are numbers. What JSON does not have is refused: anchors and
aliases (a few hundred bytes of them expand to gigabytes), tags (`!!python/name:…`, dates, bytes, sets), keys that are
not text, and keys given twice. Nesting and size are bounded before any value is built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from yaml import SafeLoader as _FastLoader
else:
    # The one in C, where PyYAML came with it, reads ten times as fast. Writing is left to the one in Python, for a
    # file must not depend on how PyYAML was built.
    _FastLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STR, _BOOL, _INT, _FLOAT, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "bool", "int", "float", "null"))
MAX_DEPTH = 32
"""Lists and mappings within one another."""
MAX_LENGTH = 1_000_000
"""Characters of front matter; a large prompt has some thousands."""
MAX_VALUES = 50_000
"""Values in front matter, names, lists and mappings included; they take time that their length does not show."""
_WIDEST = 2**31 - 1  # characters; folded lines would be one more way to write the same text


class FrontMatterError(ValueError):
    """It is not YAML, not a mapping, or uses what is refused; the text says where."""


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 (a node or event, of either parser)
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)


class _Loader(_FastLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own, filled below)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 (PyYAML's)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _STR:
                raise _refusal("a name must be text; put it in quotes", key)
            if key.value in seen:
                raise _refusal(f"{key.value!r} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        text = str(self.construct_scalar(node))
        if node.tag == _FLOAT:
            return float(text.lower().replace(".i", "i").replace(".n", "n"))  # YAML's `.inf` and `.nan`
        try:
            return int(text)
        except ValueError:  # `sys.set_int_max_str_digits` bounds what it takes, for the time this takes grows faster
            raise _refusal(f"a number of {len(text):,} digits is too long; put it in quotes", node) from None


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Write equal things twice: an alias is no way to write a prompt."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 (PyYAML's)
        """Indent the items of a list below its key."""
        del indentless
        super().increase_indent(flow, indentless=False)


for _tag, _pattern, _first in (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_INT, r"[-+]?[0-9]+", "-+0123456789"),
    (
        _FLOAT,
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    (_NULL, r"~|null|Null|NULL|", "~nN"),
    (_NULL, r"", ""),
):
    for _either in cast("tuple[Any, ...]", (_Loader, _Dumper)):  # what reads as no text must be written in quotes
        _either.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first) or [""])
_Loader.add_constructor(_INT, _Loader.construct_number)
_Loader.add_constructor(_FLOAT, _Loader.construct_number)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else "|" if "\n" in text and _can_be_lines(text) else '"'
    return cast("Any", dumper).represent_scalar(_STR, text, style=style)


def _can_be_lines(text: str) -> bool:
    """Tell whether a text may stand as lines rather than quoted: nothing that an editor would take away, or hide."""
    lines = all(line.isprintable() and not line.endswith(" ") for line in text.split("\n"))
    return lines and not text[0].isspace() and not text.endswith("\n\n")


_Dumper.add_representer(str, _represent_text)


def dump(values: Mapping[str, object]) -> str:
    """Write a mapping; the same values give the same text, on every machine."""
    write = cast("Any", yaml).dump  # some versions of its stubs leave a type open
    text: str = write(
        dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST, default_flow_style=False
    )
    return text


def load(text: str) -> dict[str, object]:
    """Read a mapping.

    Raises:
        FrontMatterError: It is not one, or uses what JSON does not have.
    """
    if len(text) > MAX_LENGTH:
        raise FrontMatterError(f"the front matter has {len(text):,} characters: {MAX_LENGTH:,} are the most")
    try:
        _check_structure(text)
        values: object = yaml.load(text, _Loader)  # noqa: S506 (a subclass of the safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 2}: " if mark else ""  # the first line is the one of dashes
        raise FrontMatterError(f"{line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FrontMatterError(" ".join(str(error).split())) from None
    if not isinstance(values, dict):
        raise FrontMatterError("what stands between the lines of dashes must be `name: value` lines")
    return cast("dict[str, object]", values)


def _check_structure(text: str) -> None:
    """Refuse what must not be built, from the parser's events: reading those takes no recursion and expands nothing."""
    depth = 0
    for number, event in enumerate(cast("Iterator[Any]", yaml.parse(text, _FastLoader))):
        if number > MAX_VALUES:
            raise _refusal(f"there are more than {MAX_VALUES:,} values", event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refusal("anchors and aliases (&name, *name) are not read: write the value out, or quote it", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal(f"tags such as {event.tag!r} are not read: leave the tag out, or quote the value", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refusal(f"lists and mappings are nested more than {MAX_DEPTH} deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
