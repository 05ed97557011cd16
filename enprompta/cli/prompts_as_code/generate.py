"""Generate a Python module with a typed function for each prompt of a directory. Pure.

Every value of a prompt reaches the module through `python_source`, as a literal, docstring or name. The module is
formatted like `ruff format` and disables formatters and linters: with other settings they would change it, and
`enprompta codegen --check` would report it as out of date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from enprompta import templating
from enprompta.cli.prompts_as_code.document import OUTPUT_TYPE
from enprompta.cli.prompts_as_code.files import SUFFIX
from enprompta.cli.prompts_as_code.python_source import INDENT, Names, docstring, literal

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile

_HEAD = '''"""Prompts as functions. Written by `enprompta codegen`: run it again rather than change this file."""

# ruff: noqa
# fmt: off
from __future__ import annotations
'''
_TYPES = {"number": "float", "boolean": "bool"}
_CHECKED = frozenset({"text", "select", "number", "boolean", None})
_RESERVED = frozenset({"PromptCall", "TypedPromptCall", "Literal", "annotations", "list"})  # names of the module itself


def module(files: Sequence[PromptFile]) -> str:
    """Return the source of the module, a function for each file; equal files produce equal text."""
    functions: list[str] = []
    names: list[str] = []
    # `from module import *` must not replace built-in names such as `open`.
    functions_of = Names(_RESERVED, "prompt", may_hide_builtins=False)
    types = sorted({_output_type(file.document.output)[:2] for file in files if file.document.output})
    outputs = {one: functions_of.add(one[1]) for one in types}  # first, so that no function has the same name
    for file in files:
        name = functions_of.add(file.name.removesuffix(SUFFIX).replace("/", "_"))
        names.append(name)
        functions.append("\n".join(_function(name, file.document, outputs)))
    body = "\n\n\n".join(functions)
    calls = sorted({"TypedPromptCall" if file.document.output else "PromptCall" for file in files} or {"PromptCall"})
    imports = [f"from enprompta.codegen import {', '.join(calls)}", *_imports(outputs)]
    if any(_choices(one) for file in files for one in _declarations(file.document)):
        imports.insert(0, "from typing import Literal\n")
    public = "".join(f"{INDENT}{literal(name)},\n" for name in sorted(names))
    exported = f"__all__ = [\n{public}]" if names else "__all__: list[str] = []"
    parts = [_HEAD, "\n".join(imports), "", exported]
    return "\n".join(parts) + (f"\n\n\n{body}\n" if functions else "\n")


def _output_type(output: str) -> tuple[str, str, bool]:
    """Return the module, the class, and True for a list of them."""
    found = cast("re.Match[str]", OUTPUT_TYPE.fullmatch(output))
    return found["module"], found["name"], found["list"] is not None


def _imports(outputs: Mapping[tuple[str, str], str]) -> Iterator[str]:
    if outputs:
        yield ""
    for (origin, name), alias in outputs.items():
        yield f"from {origin} import {name}" + ("" if alias == name else f" as {alias}")


def _call_type(document: Document, outputs: Mapping[tuple[str, str], str]) -> tuple[str, str, str]:
    """Return what the function returns: the class, its annotation, and the output type; empty without one."""
    if document.output is None:
        return "PromptCall", "PromptCall", ""
    origin, name, is_list = _output_type(document.output)
    kind = f"list[{outputs[origin, name]}]" if is_list else outputs[origin, name]
    return "TypedPromptCall", f"TypedPromptCall[{kind}]", kind


def _function(name: str, document: Document, outputs: Mapping[tuple[str, str], str]) -> Iterator[str]:
    call, annotation, output = _call_type(document, outputs)
    declared = _declarations(document)
    names = Names({call, "list", *outputs.values()}, "value", may_hide_builtins=True)
    parameters = {str(one["name"]): names.add(str(one["name"])) for one in declared}
    if declared:
        yield f"def {name}("
        yield f"{INDENT}*,"
        for one in sorted(declared, key=_is_optional):
            yield f"{INDENT}{parameters[str(one['name'])]}: {_annotation(one)},"
        yield f") -> {annotation}:"
    else:
        yield f"def {name}() -> {annotation}:"
    yield docstring(_docstring(document, declared, parameters))
    yield f"{INDENT}return {call}("
    yield f"{INDENT * 2}prompt_id={literal(document.id)},"
    yield f"{INDENT * 2}version={literal(document.version)},"
    yield f"{INDENT * 2}content={literal(document.fields['content'])},"
    if known := [{name: value for name, value in one.items() if name != "description"} for one in declared]:
        yield f"{INDENT * 2}declared={literal(known, INDENT * 2)},"
    if output:
        yield f"{INDENT * 2}output={output},"
    if parameters:
        yield f"{INDENT * 2}variables={{"
        for variable, parameter in parameters.items():
            yield f"{INDENT * 3}{literal(variable)}: {parameter},"
        yield f"{INDENT * 2}}},"
    else:
        yield f"{INDENT * 2}variables={{}},"
    yield f"{INDENT})"


def _declarations(document: Document) -> list[Mapping[str, object]]:
    """Return the declared variables, and the undeclared ones of the text as required texts."""
    declared: dict[str, Mapping[str, Any]] = {one["name"]: one for one in document.fields.get("variables") or ()}
    for name in templating.variables(str(document.fields["content"])):
        declared.setdefault(name, {"name": name, "type": "text", "required": True})
    return list(declared.values())


def _is_optional(variable: Mapping[str, object]) -> bool:
    return variable.get("default") is not None or variable.get("required") is False


def _annotation(variable: Mapping[str, object]) -> str:
    """Return a parameter's type, and its default if it is optional."""
    kind, default = _type(variable), variable.get("default")
    if not _is_optional(variable):
        return kind
    if default is not None and _fits(variable, kind, default):
        return f"{kind} = {literal(default)}"
    return f"{kind} | None = None"  # None means not given: the prompt's default is used, or empty text


def _type(variable: Mapping[str, object]) -> str:
    kind, choices = variable.get("type"), _choices(variable)
    if len(choices) > 1:
        lines = "".join(f"{INDENT * 2}{literal(choice)},\n" for choice in choices)
        return f"Literal[\n{lines}{INDENT}]"
    if choices:
        return f"Literal[{literal(choices[0])}]"
    return _TYPES.get(str(kind), "str") if kind in _CHECKED else "str | float | bool"


def _choices(variable: Mapping[str, Any]) -> list[str | int | bool]:
    """Return the options of a `select`; empty if they cannot be written as a `Literal`."""
    options = variable.get("options") if variable.get("type") == "select" else None
    if not options or not all(isinstance(option, (str, int)) for option in options):
        return []
    found: dict[tuple[str, str | int | bool], str | int | bool] = {
        (type(option).__name__, option): option for option in options
    }
    return list(found.values())  # keyed by type, because True == 1


def _fits(variable: Mapping[str, object], kind: str, default: object) -> bool:
    """True if a default, which need not match the declared type, fits the parameter's annotation."""
    if choices := _choices(variable):
        return any(default == one and type(default) is type(one) for one in choices)
    if kind == "float":
        return isinstance(default, (int, float)) and not isinstance(default, bool)
    return isinstance(default, {"bool": bool, "str": str}.get(kind, (str, int, float)))


def _docstring(
    document: Document, declared: Iterable[Mapping[str, Any]], parameters: Mapping[str, str]
) -> Iterator[str]:
    yield " ".join(document.title.split()) or "A prompt without a title."
    about = [" ".join(line.split()) for line in str(document.fields.get("description") or "").splitlines()]
    while about and not about[0]:
        del about[0]
    while about and not about[-1]:
        del about[-1]
    if about:
        yield ""
        yield from about
    described = [(parameters[one["name"]], " ".join(str(one.get("description") or "").split())) for one in declared]
    if any(text for _, text in described):
        yield ""
        yield "Args:"
        yield from (f"{INDENT}{name}: {text}" for name, text in described if text)
