"""YAML front matter: written deterministically, and read as the JSON subset of YAML 1.2.

PyYAML implements YAML 1.1, where `yes` is a boolean, `12:30` a number and `2024-01-17` a date. In titles these are
text, so this module reads only `true` and `false` as booleans and only digits as numbers. It refuses what JSON lacks:
anchors and aliases (which can expand to gigabytes), tags (`!!python/name:…`, dates, bytes, sets), keys that are not
text, and duplicate keys. Nesting and size are checked before any value is built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from enprompta._common.narrowing import is_dict

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from yaml import SafeLoader as _FastLoader
else:
    # The C loader is ten times as fast, but optional. Files are written by the Python dumper only, so that they do not
    # depend on how PyYAML was built.
    _FastLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STR, _BOOL, _INT, _FLOAT, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "bool", "int", "float", "null"))
MAX_DEPTH = 32
"""Maximum nesting of lists and mappings."""
MAX_LENGTH = 1_000_000
"""Maximum characters of front matter; large prompts have a few thousand."""
MAX_VALUES = 50_000
"""Maximum values in front matter, including names, lists and mappings; parsing time depends on their number."""
_WIDEST = 2**31 - 1  # characters; prevents folded lines, so that a text is always written the same way


class FrontMatterError(ValueError):
    """The front matter is not YAML, is not a mapping, or uses a refused feature; the message says where."""


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 (a node or event of either parser)
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)


class _Loader(_FastLoader):
    yaml_implicit_resolvers: dict[str, object] = {}  # noqa: RUF012 (PyYAML's own, filled below)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 (PyYAML's)
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
        except ValueError:  # more digits than `sys.set_int_max_str_digits` allows
            raise _refusal(f"a number of {len(text):,} digits is too long; put it in quotes", node) from None


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Never write aliases for equal values."""
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
    for _either in cast(
        "tuple[Any, ...]", (_Loader, _Dumper)
    ):  # the dumper quotes texts that would be read as another type
        _either.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first) or [""])
_Loader.add_constructor(_INT, _Loader.construct_number)
_Loader.add_constructor(_FLOAT, _Loader.construct_number)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else "|" if "\n" in text and _can_be_lines(text) else '"'
    return cast("Any", dumper).represent_scalar(_STR, text, style=style)


def _can_be_lines(text: str) -> bool:
    """True if a text can be written as a block: it has nothing that an editor would remove or hide."""
    lines = all(line.isprintable() and not line.endswith(" ") for line in text.split("\n"))
    return lines and not text[0].isspace() and not text.endswith("\n\n")


_Dumper.add_representer(str, _represent_text)


def dump(values: Mapping[str, object]) -> str:
    """Serialize a mapping; equal values produce equal text on every machine."""
    write = cast("Any", yaml).dump  # some versions of the type stubs are incomplete
    text: str = write(
        dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST, default_flow_style=False
    )
    return text


def load(text: str) -> dict[str, object]:
    """Parse a mapping.

    Raises:
        FrontMatterError: It is not a mapping, or uses a feature that JSON does not have.
    """
    if len(text) > MAX_LENGTH:
        raise FrontMatterError(f"the front matter has {len(text):,} characters: the maximum is {MAX_LENGTH:,}")
    try:
        _check_structure(text)
        values: object = yaml.load(text, _Loader)  # noqa: S506 (a subclass of the safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 2}: " if mark else ""  # counting the line of dashes
        raise FrontMatterError(f"{line}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise FrontMatterError(" ".join(str(error).split())) from None
    if not is_dict(values):
        raise FrontMatterError("the lines between the dashes must be `name: value` lines")
    return values


def _check_structure(text: str) -> None:
    """Refuse unsupported features in the parser's events, which need no recursion and expand no aliases."""
    depth = 0
    for number, event in enumerate(cast("Iterator[Any]", yaml.parse(text, _FastLoader))):
        if number > MAX_VALUES:
            raise _refusal(f"there are more than {MAX_VALUES:,} values", event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refusal("anchors and aliases (&name, *name) are not supported: repeat the value, or quote it", event)
        if getattr(event, "tag", None) is not None:
            raise _refusal(f"tags such as {event.tag!r} are not supported: remove the tag, or quote the value", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refusal(f"lists and mappings are nested more than {MAX_DEPTH} deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
