"""Render templates and validate values; the package documents what a template is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from enprompta._common import values as conversions
from enprompta.errors import FieldError, TemplateError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

# No part can match a "{", so a failed match is never scanned again: linear time.
_VARIABLE = re.compile(r"\{\{\s*(\w[\w-]*(?:\.\w[\w-]*)*)\s*\}\}")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*\Z")

_KEYS = ("name", "type", "required", "default", "options")
_LISTED = 10  # maximum names and values in a message; the error's attributes contain all names
_SHOWN = 80  # characters of a name or value in a message
_MAX_CACHED = 65_536  # characters of a text whose parts are cached
_COMPARED = 500  # maximum names compared for a suggestion, which is slow


class Variable(Protocol):
    """The interface of a declaration, as in `PromptVariable`; a mapping with these keys is accepted too."""

    @property
    def name(self) -> str:
        """The name between the braces."""
        ...

    @property
    def type(self) -> str | None:
        """`text`, `number`, `boolean` or `select`; any other type, and None, accepts every value."""
        ...

    @property
    def required(self) -> bool | None:
        """True: a value or default is required. False: defaults to empty text. None: required if the text uses it."""
        ...

    @property
    def default(self) -> object:
        """The value to use if none is given; None if there is no default."""
        ...

    @property
    def options(self) -> Sequence[object] | None:
        """The values that a `select` accepts; None or empty accepts any."""
        ...


def variables(text: str) -> list[str]:
    """List the variable names of a text, without duplicates, in order of first use."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Split a text: each piece is ordinary text and the variable that follows it, which is None for the last one."""
    end = 0
    for found in _VARIABLE.finditer(text):
        yield text[end : found.start()], found[1]
        end = found.end()
    yield text[end:], None


def is_variable(inner: str) -> bool:
    """True if `{{`, this text and `}}` are a variable."""
    return _VARIABLE.fullmatch(f"{{{{{inner}}}}}") is not None


def misfit_of_default(fields: Mapping[str, object]) -> str | None:
    """Return why the default of a declaration does not match its own type and options; None if it does."""
    declaration = _Declaration.of({"name": "", **fields})
    if declaration.default is None:
        return None
    try:
        return declaration.misfit(conversions.text(declaration.default))
    except conversions.RefusedValueError as refused:
        return refused.reason


def render(
    text: str, values: Mapping[str, object], declared: Iterable[Variable | Mapping[str, object]] | None = None
) -> str:
    """Fill in the variables of a text.

    Args:
        text: The template.
        values: A value for each name; the module documentation describes the conversion to text.
        declared: The declarations, with types, defaults and options. None if nothing is declared: then exactly the
            names in the text are required and known.

    Raises:
        TemplateError: Variables are missing or unknown (both are listed, with suggestions), or a value does not match
            its declaration.
    """
    return render_all([text], values, declared)[0]


def render_all(
    texts: Sequence[str],
    values: Mapping[str, object],
    declared: Iterable[Variable | Mapping[str, object]] | None = None,
) -> list[str]:
    """Fill in the variables of several texts that share one set of values, such as a prompt's messages.

    A name is unknown only when none of the texts uses it and nothing declares it.

    Args:
        texts: The templates.
        values: As in `render`.
        declared: As in `render`.

    Returns:
        The rendered texts, in the same order.

    Raises:
        TemplateError: As in `render`.
    """
    findings = _examine(texts, merged(values, {}), declared)
    if findings.any:
        raise findings.error()
    return [_filled(_parts(text), findings.filled) for text in texts]


def merged(values: Mapping[str, object] | None, variables: Mapping[str, object]) -> dict[str, object]:
    """Combine the two arguments of a `render` method; `variables` override `values`.

    Raises:
        TemplateError: `values` is not a mapping of names to values, or its own code failed.
    """
    if values is None:
        return {**variables}
    try:
        found = conversions.entries(values)
    except conversions.RefusedValueError as refused:
        problem, cause = refused.at("values"), refused.__cause__
    else:
        found.update(variables)
        return found
    raise TemplateError(problem) from cause


def _filled(parts: tuple[str, ...], values: Mapping[str, str]) -> str:
    whole = list(parts)
    whole[1::2] = [values[name] for name in parts[1::2]]
    return "".join(whole)


def _parts(text: str) -> tuple[str, ...]:
    """Split a text at its variables: every second part is a name."""
    return _split(text) if len(text) <= _MAX_CACHED else tuple(_VARIABLE.split(text))


@lru_cache(maxsize=128)  # programs render the same few prompts again and again
def _split(text: str) -> tuple[str, ...]:
    return tuple(_VARIABLE.split(text))


def validate(
    declared: Iterable[Variable | Mapping[str, object]], values: Mapping[str, object], text: str = ""
) -> list[FieldError]:
    """List everything that is wrong with the values, without raising.

    Args:
        declared: The prompt's variables.
        values: The values to check.
        text: The template, whose names are also known and required; empty to use only the declarations.

    Returns:
        One `FieldError` per problem, with the variable's name as `field`: missing variables first, then unknown ones,
        then invalid values. Empty if the values are valid.
    """
    findings = _examine([text], values, declared)
    return [
        *(FieldError(name, "Required variable is missing") for name in findings.missing),
        *(FieldError(name, "Unknown variable" + findings.hint(name, at=i)) for i, name in enumerate(findings.unknown)),
        *findings.invalid,
    ]


class _Declaration(NamedTuple):
    """A declaration, read from either form."""

    name: str
    type: str | None = None
    required: bool | None = None
    default: object = None
    options: Sequence[object] = ()

    @classmethod
    def of(cls, declared: Variable | Mapping[str, object]) -> _Declaration:
        name: Any
        kind: Any
        required: Any
        options: Any
        if isinstance(declared, Mapping):
            name, kind, required, default, options = map(declared.get, _KEYS)
        else:
            name, kind = getattr(declared, "name", None), getattr(declared, "type", None)
            required, default = getattr(declared, "required", None), getattr(declared, "default", None)
            options = getattr(declared, "options", None)
        return cls(str(name), kind, required, default, options or ())

    def misfit(self, text: str) -> str | None:
        """Return why a value, as text, does not match the declaration; None if it matches.

        Text that looks like a number or a boolean matches those types, because CSV rows contain only text.
        """
        if self.type == "number" and not _NUMBER.match(text):
            return f"Must be a number, not {_show(text)}"
        if self.type == "boolean" and text.strip().lower() not in {"true", "false"}:
            return f"Must be true or false, not {_show(text)}"
        if self.type == "select":
            options = [_text_or_none(option) for option in self.options]
            if options and None not in options and text not in options:
                return f"Must be one of {_listing([_show(option or '') for option in options])}, not {_show(text)}"
        return None


@dataclass(frozen=True, slots=True)
class _Findings:
    """The result of validating values against texts and declarations."""

    missing: list[str]
    unknown: list[str]
    invalid: list[FieldError]
    filled: dict[str, str]
    """The text for each name."""
    known: Collection[str]

    @property
    def any(self) -> bool:
        return bool(self.missing or self.unknown or self.invalid)

    def hint(self, name: str, *, at: int) -> str:
        """Suggest a similar name, for the names that fit into a message."""
        if at >= _LISTED:
            return ""
        # A missing name is the most likely intention.
        near = _near(name, self.missing) or _near(name, self.known)
        return f" (did you mean {_show(near)}?)" if near else ""

    def error(self) -> TemplateError:
        sentences: list[str] = []
        if self.missing:
            sentences.append(f"Missing variables: {_listing([_show(name) for name in self.missing[:_LISTED]])}")
            sentences[-1] += _and_more(self.missing)
        if self.unknown:
            listed = [_show(name) + self.hint(name, at=i) for i, name in enumerate(self.unknown[:_LISTED])]
            sentences.append(f"Unknown variables: {_listing(listed)}{_and_more(self.unknown)}")
        if self.invalid:
            listed = [f"{_show(wrong.field or '')}: {wrong.message}" for wrong in self.invalid[:_LISTED]]
            sentences.append(f"Invalid values: {'; '.join(listed)}{_and_more(self.invalid)}")
        return TemplateError(". ".join(sentences), missing=self.missing, unknown=self.unknown)


def _examine(
    texts: Iterable[str], values: Mapping[str, object], declared: Iterable[Variable | Mapping[str, object]] | None
) -> _Findings:
    used: dict[str, None] = {}
    for text in texts:
        used.update(dict.fromkeys(_parts(text)[1::2]))
    declarations = {it.name: it for it in map(_Declaration.of, declared or ())}
    known = {**used, **dict.fromkeys(declarations)}
    findings = _Findings([], [name for name in values if name not in known], [], {}, known)
    for name in known:
        declaration = declarations.get(name) or _Declaration(name)
        given = values.get(name)
        value = declaration.default if given is None else given
        if value is None:
            if declaration.required or (declaration.required is None and name in used):
                findings.missing.append(name)
            findings.filled[name] = ""
            continue
        try:
            text = value if type(value) is str else conversions.text(value)
        except conversions.RefusedValueError as refused:
            text, wrong = "", refused.reason[0].upper() + refused.reason[1:]
        else:
            # A default is the prompt author's choice, so it is not validated.
            wrong = None if given is None else declaration.misfit(text)
        if wrong:
            findings.invalid.append(FieldError(name, wrong))
        findings.filled[name] = text
    return findings


def _text_or_none(value: object) -> str | None:
    """Convert a declared option to text; None if it cannot be converted."""
    try:
        return conversions.text(value)
    except conversions.RefusedValueError:
        return None


def _near(name: str, candidates: Collection[str]) -> str | None:
    """Find the candidate most similar to a name; None if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 (needed when something is wrong, and slow to import)

    if len(name) > _SHOWN:
        return None
    short = [candidate for candidate in islice(candidates, _COMPARED) if len(candidate) <= _SHOWN]
    by_folded = {candidate.casefold(): candidate for candidate in reversed(short)}
    found = get_close_matches(name.casefold(), by_folded)
    return by_folded[found[0]] if found else None


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _listing(items: Sequence[str]) -> str:
    return ", ".join(items[:_LISTED]) + _and_more(items)


def _and_more(items: Sequence[object]) -> str:
    return f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
