"""Writes a Python module with a typed function for each prompt of a directory. Pure.

The module is laid out as `ruff format` would lay it out, and tells formatters and linters to leave it alone: with
other settings they would change it, and `enprompta codegen --check` would find it out of date.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import TYPE_CHECKING, Any, cast

from enprompta import templating
from enprompta.cli.prompts_as_code.files import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile

_HEAD = '''"""Prompts as functions. Written by `enprompta codegen`: run it again rather than change this file."""

# ruff: noqa
# fmt: off
from __future__ import annotations
'''
_INDENT = "    "
_TYPES = {"number": "float", "boolean": "bool"}
_CHECKED = frozenset({"text", "select", "number", "boolean", None})
_RESERVED = frozenset({"PromptCall", "Literal", "annotations", "str", "float", "bool"})  # what the module itself uses


def module(files: Sequence[PromptFile]) -> str:
    """Write the module of some prompts; the same files give the same text.

    Args:
        files: The prompts; each function is named after its file.
    """
    functions: list[str] = []
    names: list[str] = []
    used: set[str] = set(_RESERVED)
    for file in files:
        name = _unique(file.name.removesuffix(SUFFIX).replace("/", "_"), used, "prompt")
        names.append(name)
        functions.append("\n".join(_function(name, file.document)))
    body = "\n\n\n".join(functions)
    imports = ["from enprompta.codegen import PromptCall"]
    if any(_choices(one) for file in files for one in _declarations(file.document)):
        imports.insert(0, "from typing import Literal\n")
    public = "".join(f'{_INDENT}"{name}",\n' for name in sorted(names))
    exported = f"__all__ = [\n{public}]" if names else "__all__: list[str] = []"
    parts = [_HEAD, "\n".join(imports), "", exported]
    return "\n".join(parts) + (f"\n\n\n{body}\n" if functions else "\n")


def _function(name: str, document: Document) -> Iterator[str]:
    declared = _declarations(document)
    used = {"PromptCall"}
    parameters = {str(one["name"]): _unique(str(one["name"]), used, "value") for one in declared}
    if declared:
        yield f"def {name}("
        yield f"{_INDENT}*,"
        for one in sorted(declared, key=_is_optional):
            yield f"{_INDENT}{parameters[str(one['name'])]}: {_annotation(one)},"
        yield ") -> PromptCall:"
    else:
        yield f"def {name}() -> PromptCall:"
    yield from _docstring(document, declared, parameters)
    yield f"{_INDENT}return PromptCall("
    yield f"{_INDENT * 2}prompt_id={_literal(document.id)},"
    yield f"{_INDENT * 2}version={_literal(document.version)},"
    yield f"{_INDENT * 2}content={_literal(document.fields['content'])},"
    yield from _declared(declared)
    if parameters:
        yield f"{_INDENT * 2}variables={{"
        for variable, parameter in parameters.items():
            yield f"{_INDENT * 3}{_literal(variable)}: {parameter},"
        yield f"{_INDENT * 2}}},"
    else:
        yield f"{_INDENT * 2}variables={{}},"
    yield f"{_INDENT})"


def _declarations(document: Document) -> list[Mapping[str, Any]]:
    """Give the variables that are declared, and those that the text uses besides: texts that must be given."""
    declared: dict[str, Mapping[str, Any]] = {one["name"]: one for one in document.fields.get("variables") or ()}
    for name in templating.variables(str(document.fields["content"])):
        declared.setdefault(name, {"name": name, "type": "text", "required": True})
    return list(declared.values())


def _is_optional(variable: Mapping[str, Any]) -> bool:
    return variable.get("default") is not None or variable.get("required") is False


def _annotation(variable: Mapping[str, Any]) -> str:
    """Write a parameter's type, and its default when it need not be given."""
    kind, default = _type(variable), variable.get("default")
    if not _is_optional(variable):
        return kind
    if default is not None and _fits(variable, kind, default):
        return f"{kind} = {_literal(default)}"
    return f"{kind} | None = None"  # None is "not given": the prompt's own default steps in, or empty text


def _type(variable: Mapping[str, Any]) -> str:
    kind, choices = variable.get("type"), _choices(variable)
    if len(choices) > 1:
        lines = "".join(f"{_INDENT * 2}{_literal(choice)},\n" for choice in choices)
        return f"Literal[\n{lines}{_INDENT}]"
    if choices:
        return f"Literal[{_literal(choices[0])}]"
    return _TYPES.get(str(kind), "str") if kind in _CHECKED else "str | float | bool"


def _choices(variable: Mapping[str, Any]) -> list[str | int | bool]:
    """Give what a `select` may be; nothing when that cannot be written as a `Literal`."""
    options = variable.get("options") if variable.get("type") == "select" else None
    if not options or not all(isinstance(option, (str, int)) for option in options):
        return []
    return [option for at, option in enumerate(options) if not _is_among(option, options[:at])]


def _is_among(value: object, others: Iterable[object]) -> bool:
    return any(value == other and type(value) is type(other) for other in others)  # True is not 1


def _fits(variable: Mapping[str, Any], kind: str, default: object) -> bool:
    """Tell whether a default, which is the author's word and not held against the type, may stand in the signature."""
    if choices := _choices(variable):
        return _is_among(default, choices)
    if kind == "float":
        return isinstance(default, (int, float)) and not isinstance(default, bool)
    return isinstance(default, {"bool": bool, "str": str}.get(kind, (str, int, float)))


def _docstring(
    document: Document, declared: Iterable[Mapping[str, Any]], parameters: Mapping[str, str]
) -> Iterator[str]:
    summary = _escaped(" ".join(document.title.split()) or "A prompt without a title.")
    about = [" ".join(line.split()) for line in str(document.fields.get("description") or "").splitlines()]
    while about and not about[0]:
        del about[0]
    while about and not about[-1]:
        del about[-1]
    described = [(parameters[one["name"]], _described(one)) for one in declared]
    described = [(name, text) for name, text in described if text]
    if not about and not described:
        yield f'{_INDENT}"""{summary}"""'
        return
    yield f'{_INDENT}"""{summary}'
    for line in ["", *about] if about else []:
        yield f"{_INDENT}{_escaped(line)}" if line else ""
    if described:
        yield ""
        yield f"{_INDENT}Args:"
        yield from (f"{_INDENT * 2}{name}: {_escaped(text)}" for name, text in described)
    yield f'{_INDENT}"""'


def _described(variable: Mapping[str, Any]) -> str:
    return " ".join(str(variable.get("description") or "").split())


def _declared(declared: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    known = [{name: value for name, value in one.items() if name != "description"} for one in declared]
    if known:
        yield f"{_INDENT * 2}declared={_pretty(known, _INDENT * 2)},"


def _pretty(value: Any, indent: str) -> str:  # noqa: ANN401 (any JSON)
    """Write a value with each item on a line of its own."""
    inner = indent + _INDENT
    items: list[str] = []
    brackets = "[]"
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        items, brackets = [f"{_literal(key)}: {_pretty(one, inner)}" for key, one in pairs], "{}"
    elif isinstance(value, list):
        items = [_pretty(one, inner) for one in cast("list[Any]", value)]
    else:
        return _literal(value)
    lines = "".join(f"{inner}{item},\n" for item in items)
    return f"{brackets[0]}\n{lines}{indent}{brackets[1]}" if items else brackets


def _literal(value: object) -> str:
    """Write a value as Python does, texts in double quotes and readable."""
    if not isinstance(value, str):
        return repr(value)
    if "\n" in value:
        return f'"""{_escaped(value)}"""'
    quote = "'" if value.count('"') > value.count("'") else '"'
    escaped = _escaped(value).replace('\\"', '"').replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def _escaped(text: str) -> str:
    """Write a text for between triple quotes: what cannot be seen, or would be lost, as an escape."""
    written = "".join(_CHARACTERS.get(each) or (each if each.isprintable() else _code(each)) for each in text)
    written = re.sub(r'"(?=""|$)', '\\"', written)
    return re.sub(r" (?=\n|$)", r"\\x20", written)


_CHARACTERS = {"\\": "\\\\", "\n": "\n", "\r": "\\r", "\t": "\\t"}


def _code(character: str) -> str:
    return ascii(character)[1:-1]


def _unique(text: str, used: set[str], fallback: str) -> str:
    """Make a Python name of a text, one that is not used yet, and use it."""
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", text)).strip("_") or fallback
    name = f"{fallback}_{name}" if not name.isidentifier() else f"{name}_" if keyword.iskeyword(name) else name
    unique, number = name, 1
    while unique in used:
        number += 1
        unique = f"{name}_{number}"
    used.add(unique)
    return unique
