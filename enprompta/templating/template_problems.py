"""Find template syntax that stays in a text, and declarations that do not match it. Pure, and linear in the text.

Templates have variables and nothing else: no conditions, loops, comments or partials. Whatever else stands between
braces is sent to the model as it is, which is rarely intended.
"""

from __future__ import annotations

import inspect
import re
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from enprompta.errors import TemplateWarning
from enprompta.templating import rendering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from enprompta.templating.rendering import Variable

_MAX_SHOWN = 40  # characters of a tag in a message
_LISTED = 5  # problems in one message
_BRACES = 2  # of a variable, on each side
# A tag ends at the next braces of either kind, so the text is read once.
_TAG = re.compile(r"(\{{2,})([^{}]*)(\}{2,})?")
_START = re.compile(r"[ \t]*\w")
_JINJA = re.compile(r"\{%[-+]?[ \t]{0,9}\w")
_SINGLE = re.compile(r"(?<![{$])\{(\w[\w.-]{0,99})\}(?!\})")
_SIGILS = {
    "#": "a section, but templates have no conditions or loops",
    "/": "the end of a section, but templates have no conditions or loops",
    "^": "an inverted section, but templates have no conditions or loops",
    "!": "a comment, but templates have no comments: the model reads it",
    ">": "a partial, but templates do not include other texts",
    "&": "an unescaped variable of Mustache: write it without the &",
    "=": "a change of delimiters, but they are always {{ and }}",
    "~": "a tag with white-space control: write it without the ~",
    "%": "a block of Jinja, but templates have no conditions or loops",
}
_WORDS = frozenset({"else", "this", "if", "endif", "each", "end"})


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One problem of a template."""

    line: int | None
    """The line, from 1; None if the problem is in the declarations."""
    column: int | None
    """The column, from 1, in characters; None if the problem is in the declarations."""
    message: str
    """The problem, and what to do."""

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}, column {self.column}: {self.message}"


def problems(text: str, declared: Iterable[Variable | Mapping[str, object]] | None = None) -> list[TemplateProblem]:
    """List template syntax that stays in a text, and declarations that do not match it.

    Args:
        text: The template.
        declared: The declarations of its variables. None or empty if nothing is declared: then the variables of the
            text are all that is known.

    Returns:
        The problems: those of the text in order, then those of the declarations. Empty if there are none.
    """
    known = [(name, fields) for name, fields in map(_fields, declared or ()) if name is not None]
    names = {name for name, _ in known}
    used = rendering.variables(text)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    found = sorted([*_tags(text), *_jinja(text), *_single_braces(text, names - set(used))])
    listed: list[TemplateProblem] = []
    for at, message in found:
        line = bisect_right(starts, at)
        listed.append(TemplateProblem(line, at - starts[line - 1] + 1, message))
    return listed + [TemplateProblem(None, None, message) for message in _declarations(used, known)]


def summary(found: list[TemplateProblem]) -> str:
    """Describe problems in one text, at most five of them."""
    lines = [str(one) for one in found[:_LISTED]]
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return "; ".join(lines) + more


def _tags(text: str) -> Iterator[tuple[int, str]]:
    for tag in _TAG.finditer(text):
        opened, inner, closed = tag[1], tag[2], tag[3]
        shown = _shown(tag[0])
        if closed is None:
            if problem := _unclosed(opened, inner, text[tag.end() : tag.end() + 1]):
                yield tag.start(), f"{shown} {problem}"
        elif rendering.is_variable(inner):
            if len(opened) > _BRACES and len(closed) > _BRACES:
                name = inner.strip()
                yield tag.start(), f"{shown} becomes the value in braces: write {{{{{name}}}}}, or add spaces inside"
            if inner.strip() in _WORDS:
                yield tag.start(), f"{shown} is a variable named {inner.strip()}: templates have no conditions or loops"
        else:
            yield tag.start(), f"{shown} {_reason(inner)}"


def _unclosed(opened: str, inner: str, following: str) -> str | None:
    """Return the problem of braces that are not closed; None for braces that are ordinary text."""
    name = inner.strip()
    if following == "}" and rendering.is_variable(inner):
        return f"has one closing brace: write {{{{{name}}}}}"
    if name[:1] in {"#", "/", "!", ">", "^"} and len(opened) == _BRACES:
        return "is not closed, and stays in the text"
    if _START.match(inner):
        return "is not closed: write }} after the name"
    return None


def _reason(inner: str) -> str:
    name = inner.strip()
    if not name:
        return "has no name, and stays in the text"
    if name[0] in _SIGILS:
        return f"stays in the text: it looks like {_SIGILS[name[0]]}"
    if any(each.isspace() for each in name):
        return "stays in the text: a name has no spaces, and templates have no helpers or filters"
    if "|" in name:
        return "stays in the text: templates have no filters"
    return (
        "stays in the text: a name has letters, digits, _ and -, and starts with none of -.; parts are joined by dots"
    )


def _jinja(text: str) -> Iterator[tuple[int, str]]:
    for found in _JINJA.finditer(text):
        yield found.start(), f"{found[0]}… stays in the text: it looks like {_SIGILS['%']}"


def _single_braces(text: str, unused: set[str]) -> Iterator[tuple[int, str]]:
    """Find `{name}` of variables that are declared and not used: the text was written for another template language."""
    if unused:
        for found in _SINGLE.finditer(text):
            if found[1] in unused:
                yield found.start(), f"{_shown(found[0])} stays in the text: write {{{{{found[1]}}}}}"


def _fields(declared: Variable | Mapping[str, object]) -> tuple[str | None, Mapping[str, object]]:
    def read(key: str) -> object:
        if isinstance(declared, Mapping):
            with suppress(Exception):  # of the mapping's own code; sending it reports the error
                return declared.get(key)
            return None
        return getattr(declared, key, None)

    name = read("name")
    return None if name is None else str(name), {key: read(key) for key in ("type", "default", "options")}


def _declarations(used: list[str], known: list[tuple[str, Mapping[str, object]]]) -> Iterator[str]:
    seen: set[str] = set()
    in_text = set(used)
    for name, fields in known:
        if name in seen:
            yield f"the variable {_quoted(name)} is declared twice: the last declaration counts"
        seen.add(name)
        if not rendering.is_variable(f"{name}") or name != name.strip():
            yield f"the declared name {_quoted(name)} cannot be written in a text"
        elif name not in in_text:
            yield f"the variable {_quoted(name)} is declared, and the text does not use it"
        if problem := rendering.misfit_of_default(fields):
            yield f"the default of {_quoted(name)} does not match its declaration: {problem}"
        if fields["type"] == "select" and not fields["options"]:
            yield f"the select {_quoted(name)} has no options, so it accepts any text"
    if known:
        for name in used:
            if name not in seen:
                yield f"the text uses {_quoted(name)}, which is not declared"


def _shown(tag: str) -> str:
    line = tag.partition("\n")[0].rstrip()
    return line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}…"


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…")


def warn(text: object, declared: object) -> None:
    """Issue one `TemplateWarning` that lists the problems of a text, if it has any, at the caller's line.

    Args:
        text: The template; anything but text has no problems here, because the request reports it.
        declared: Its declarations; anything but a list of them counts as none. If they cannot be read, nothing is
            checked, because the request reports it.
    """
    if not isinstance(text, str):
        return
    known = cast("list[Any]", declared) if isinstance(declared, (list, tuple)) else None
    found: list[TemplateProblem] = []
    with suppress(Exception):  # from a declaration's own code, or of a wrong type: the request reports it
        found = problems(text, known)
    if found:
        message = f"the prompt's text has problems, and is used as it is: {summary(found)}"
        warnings.warn(message, TemplateWarning, stacklevel=_frames_of_the_package())


def _frames_of_the_package() -> int:
    """Return the stack level of the first frame outside the package, seen from the caller of this function."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "enprompta":
        frame, level = frame.f_back, level + 1
    return level
