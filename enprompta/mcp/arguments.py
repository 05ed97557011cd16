"""The arguments of an MCP prompt, from the variables of an Enprompta prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_types import Completion, PromptArgument

from enprompta import templating
from enprompta.errors import TemplateError
from enprompta.models import PromptVariable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enprompta.models import Prompt

MAX_COMPLETIONS = 100  # the protocol's limit


def all_variables(prompt: Prompt) -> list[PromptVariable]:
    """List the declared variables, then those that only the text names."""
    declared = {one.name: one for one in prompt.variables}
    undeclared = [PromptVariable(name=name) for name in templating.variables(prompt.content) if name not in declared]
    return [*declared.values(), *undeclared]


def arguments_of(prompt: Prompt) -> list[PromptArgument]:
    """Describe every variable as an MCP argument."""
    used = set(templating.variables(prompt.content))
    return [
        PromptArgument(name=one.name, description=_description(one), required=_is_required(one, used))
        for one in all_variables(prompt)
    ]


def given_arguments(prompt: Prompt, arguments: Mapping[str, str] | None) -> dict[str, str]:
    """Leave out optional arguments that are empty: editors send a form field that is not filled in as an empty text."""
    optional = {one.name for one in arguments_of(prompt) if not one.required}
    return {name: value for name, value in (arguments or {}).items() if value or name not in optional}


def complete(prompt: Prompt, name: str, typed: str) -> Completion:
    """Suggest values of one variable: those that start with the text typed so far, then those that contain it."""
    suggestions = [text for one in all_variables(prompt) if one.name == name for text in _suggestions(one)]
    wanted = typed.casefold()
    starting = [text for text in suggestions if text.casefold().startswith(wanted)]
    containing = [text for text in suggestions if wanted in text.casefold() and text not in starting]
    found = [*starting, *containing]
    return Completion(values=found[:MAX_COMPLETIONS], total=len(found), has_more=len(found) > MAX_COMPLETIONS)


def _suggestions(variable: PromptVariable) -> list[str]:
    values: list[object] = [variable.default, *variable.options]
    if variable.type == "boolean":
        values += [True, False]
    texts = [text for text in map(_text_of, values) if text]
    return list(dict.fromkeys(texts))


def _text_of(value: object) -> str | None:
    """Write a value as the template engine does; None for a value that no template can contain."""
    try:
        return templating.render("{{value}}", {"value": value})
    except TemplateError:
        return None


def _is_required(variable: PromptVariable, used: set[str]) -> bool:
    if variable.default is not None:
        return False
    return variable.name in used if variable.required is None else variable.required


def _description(variable: PromptVariable) -> str | None:
    """Put the description, the type, the options and the default into one line."""
    parts = [variable.description.rstrip(".")] if variable.description else []
    if variable.type in {"number", "boolean"}:
        parts.append(f"A {variable.type}")
    options = [text for text in map(_text_of, variable.options) if text]
    if options:
        parts.append(f"One of: {', '.join(options[:MAX_COMPLETIONS])}")
    default = _text_of(variable.default)
    if default:
        parts.append(f"Default: {default}")
    return ". ".join(parts) or None
