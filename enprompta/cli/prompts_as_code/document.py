"""A prompt as a file: YAML front matter, a line of dashes, then the exact text.

    ---
    id: pmt_8c1f
    title: Welcome mail
    variables:
      - name: topic
        type: text
        required: true
    version: 3
    ---
    Write about {{topic}}.

The file ends with one line feed that is not part of the text, as editors and git expect. If the text itself ends with a
line feed, the file ends with two. Everything else below the dashes is part of the text, including carriage returns,
trailing spaces and more lines of dashes.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from enprompta._common.narrowing import JSON, is_dict, is_list
from enprompta.cli.prompts_as_code import frontmatter
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enprompta.models.prompts import Prompt

ALWAYS = ("title", "description", "category", "tags", "teamId", "content")
"""Fields that every file defines; a field that the file leaves out is empty."""
OPTIONAL = ("variables", "visibility")
"""Fields that are left unchanged at the service if the file leaves them out."""
_KEYS = ("id", "title", "description", "category", "tags", "variables", "visibility", "teamId", "output", "version")
_EMPTY: Mapping[str, object] = {"description": None, "category": None, "tags": [], "teamId": None}
_OF_VARIABLE: tuple[tuple[str, type, str], ...] = (
    ("type", str, "text"),
    ("required", bool, "true or false"),
    ("description", str, "text; put it in quotes"),
    ("options", list, "a list"),
)
OUTPUT_TYPE = re.compile(
    r"(?P<list>list\[)?(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)(?(list)\])", re.ASCII
)
"""The type of a prompt's output: `module:Class`, or `list[module:Class]`."""
_DASHES = "---"
_BLOCK = re.compile(
    r"\ufeff?---[ \t]*\r?\n(?P<yaml>(?:(?!---[ \t]*(?:\r?\n|\Z))[^\n]*\n)*)---[ \t]*(?:\r?\n|\Z)(?P<content>(?s:.*))\Z"
)
_WHOLE = 2.0**53
# Conflict markers. The ======= between the sides is ignored, because it is also an underline in Markdown.
_CONFLICT = re.compile(r"(?:^|\r)(?:<{7}(?!<)|>{7}(?!>))", re.MULTILINE)


class DocumentError(EnpromptaError, ValueError):
    """A file is not a valid prompt; the message names the file and the problem."""


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a prompt, as read from a file or from the service."""

    fields: Mapping[str, Any]
    """Values by wire name: all of `ALWAYS`, and those of `OPTIONAL` that the file contains."""
    id: str | None = None
    """The prompt's id; None if the service does not have the prompt yet."""
    version: int | None = None
    """The service's version at the last pull or push."""
    output: str | None = field(default=None, compare=False)
    """The Python type of the output, such as `app.models:Summary`; it stays in the file, and the service has no such
    field."""
    source: str | None = field(default=None, compare=False, repr=False)
    """The text of the file that the document was read from."""

    @property
    def title(self) -> str:
        """The prompt's title."""
        return str(self.fields["title"])

    def digest(self) -> str:
        """Return a hash of the fields, without the id and the version."""
        text = json.dumps(canonical(self.fields), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def conflict_line(self) -> int | None:
        """The 1-based number of the first conflict marker line; None if there is none."""
        return _conflict_line(self.source or "")

    @property
    def content_line(self) -> int:
        """The 1-based line of the file on which the prompt's text starts; 1 if it was not read from a file."""
        found = _BLOCK.match(self.source or "")
        return 1 if found is None else found.string.count("\n", 0, found.start("content")) + 1

    def differs_from(self, other: Document) -> list[str]:
        """List the fields of this document that differ from another document."""
        return [name for name in (*ALWAYS, *OPTIONAL) if name in self.fields and not _says(name, self, other)]

    def completed_by(self, other: Document) -> Document:
        """Return a copy that takes missing optional fields from another document."""
        fields = {name: other.fields[name] for name in OPTIONAL if name in other.fields and name not in self.fields}
        return replace(self, fields={**self.fields, **fields})


def of_prompt(prompt: Prompt) -> Document:
    """Convert a prompt of the service to a document."""
    declared = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in prompt.variables]
    fields: dict[str, object] = {
        "title": prompt.title,
        "description": prompt.description,
        "category": prompt.category,
        "tags": list(prompt.tags),
        "variables": [{name: value for name, value in one.items() if value != []} for one in declared],
        "visibility": prompt.visibility,
        "teamId": prompt.team_id,
        "content": prompt.content,
    }
    present = {name: value for name, value in fields.items() if name not in OPTIONAL or value}
    return Document(present, prompt.id, prompt.version)


def render(document: Document) -> str:
    """Return the text of a prompt's file; equal documents produce equal files."""
    fields = document.fields
    named: dict[str, object] = {
        "id": document.id,
        **{name: fields.get(name) for name in _KEYS if name not in {"id", "output", "version"}},
        "output": document.output,
        "version": document.version,
    }
    values = {name: one for name, one in named.items() if one is not None and one != []}
    return f"{_DASHES}\n{frontmatter.dump(values)}{_DASHES}\n{fields['content']}\n"


def parse(text: str, name: str) -> Document:
    """Parse the text of a prompt file, with its line endings unchanged; the name is for errors.

    Raises:
        DocumentError: It is not a valid prompt.
    """
    found = _BLOCK.match(text)
    # Markers in the prompt text may be intended; in the front matter they are the likely cause of a parse error.
    marked = _conflict_line(text if found is None else text[: found.end("yaml")])
    if marked is not None:
        raise DocumentError(conflict_in(name, marked))
    if found is None:
        raise DocumentError(f"{name} must start with front matter: a line ---, `title: …`, and another line ---")
    try:
        values = frontmatter.load(found["yaml"])
    except frontmatter.FrontMatterError as error:
        raise DocumentError(f"{name}, {error}") from None
    if unknown := [key for key in values if key not in _KEYS]:
        raise DocumentError(f"{name} has the unknown field {unknown[0]!r}: use {', '.join(_KEYS)}")
    if problem := next(filter(None, _problems(values)), None):
        raise DocumentError(f"{name}: {problem}")
    content = found["content"]
    fields = {**_EMPTY, **{key: value for key, value in values.items() if value is not None}}
    fields["content"] = content.removesuffix("\n")
    prompt_id, version, output = (fields.pop(key, None) for key in ("id", "version", "output"))
    return Document(
        fields, cast("str | None", prompt_id), cast("int | None", version), cast("str | None", output), text
    )


def conflict_in(name: str, line: int) -> str:
    """Return the error text for a file with conflict markers."""
    return f"{name}, line {line} is a conflict marker: finish the merge, or indent the line if it is text"


def with_identity(document: Document, prompt_id: str, version: int | None) -> str:
    """Return a document's file with another id and version, keeping everything else, such as comments."""
    text = document.source
    if text is not None:
        head_end = cast("re.Match[str]", _BLOCK.match(text)).end("yaml")
        head, rest = text[:head_end], text[head_end:]
        newline = "\r\n" if head.partition("\n")[0].endswith("\r") else "\n"
        head = _set_line(head, "id", prompt_id, first=True, newline=newline)
        if version is not None:
            head = _set_line(head, "version", str(version), first=False, newline=newline)
        text = head + rest
        try:
            expected = replace(document, id=prompt_id, version=document.version if version is None else version)
            if parse(text, "") == expected:
                return text
        except DocumentError:  # the front matter uses a form that a line edit cannot change
            pass
    return render(replace(document, id=prompt_id, version=version))


def canonical(value: JSON) -> JSON:
    """Normalize values that are equal in JSON, such as 1.0 and 1, for comparison."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE:
        return int(value)
    if is_dict(value):
        return {name: canonical(one) for name, one in value.items()}
    if is_list(value):
        return [canonical(one) for one in value]
    return value


def _conflict_line(text: str) -> int | None:
    found = _CONFLICT.search(text)
    return None if found is None else text.count("\n", 0, found.end()) + 1


def _set_line(head: str, key: str, value: str, *, first: bool, newline: str) -> str:
    value = frontmatter.dump({key: int(value) if key == "version" else value}).removesuffix("\n")
    changed, count = re.subn(rf"^{key}:[^\r\n]*", lambda _: value, head, count=1, flags=re.MULTILINE)
    if count:
        return changed
    if not first:
        return f"{head}{value}{newline}"
    start = head.index("\n") + 1
    return f"{head[:start]}{value}{newline}{head[start:]}"


def _says(name: str, one: Document, other: Document) -> bool:
    mine, theirs = one.fields[name], other.fields.get(name)
    if name != "variables":
        return bool(mine == theirs)
    declared: list[dict[str, Any]] = theirs or []
    return len(mine) == len(declared) and all(map(_is_declared, mine, declared))


def _is_declared(mine: Mapping[str, object], theirs: Mapping[str, object]) -> bool:
    """Compare two variables; the service chooses `type` and `required` if a file leaves them out."""
    chosen = {key: theirs[key] for key in ("type", "required") if key in theirs and mine.get(key) is None}
    declared = {key: value for key, value in mine.items() if value is not None and value != []}
    return _text(canonical({**chosen, **declared})) == _text(canonical(dict(theirs)))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)  # distinguishes True from 1, unlike `==`


def _problems(values: Mapping[str, object]) -> Iterator[str | None]:
    if values.get("title") is None:
        yield "title is missing"
    for name in ("id", "title", "description", "category", "visibility", "teamId"):
        if not isinstance(values.get(name), (str, type(None))):
            yield f"{name} must be text; put it in quotes"
    if isinstance(values.get("version"), bool) or not isinstance(values.get("version"), (int, type(None))):
        yield "version must be a whole number"
    if (output := values.get("output")) is not None and (
        not isinstance(output, str)
        or OUTPUT_TYPE.fullmatch(output) is None
        or any(map(keyword.iskeyword, re.findall(r"\w+", output)))
    ):
        yield "output must be a Python type, such as app.models:Summary or list[app.models:Summary]"
    tags: object = values.get("tags") or []
    if not is_list(tags) or not all(isinstance(tag, str) for tag in tags):
        yield "tags must be a list of texts; put each in quotes"
    variables: object = values.get("variables") or []
    if not is_list(variables):
        yield "variables must be a list, each with a name"
    else:
        yield from map(_problem_of_variable, variables)


def _problem_of_variable(variable: object) -> str | None:
    """Return the problem with a variable's declaration; None if it is valid."""
    if not is_dict(variable) or not isinstance(variable.get("name"), str):
        return "each of the variables must have a name, such as `- name: topic`"
    for key, kind, must in _OF_VARIABLE:
        if not isinstance(variable.get(key), (kind, type(None))):
            return f"variable {variable['name']!r}: {key} must be {must}"
    return None
