"""Problems of templates on the command line: of prompt files, of other texts, and of prompts of the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from enprompta import templating
from enprompta.cli import options
from enprompta.cli.console import err, line
from enprompta.cli.error_handling import connected
from enprompta.cli.prompts_as_code.document import parse
from enprompta.cli.prompts_as_code.files import SUFFIX, read_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from enprompta.cli.prompts_as_code.document import Document
    from enprompta.cli.prompts_as_code.files import PromptFile
    from enprompta.templating import TemplateProblem


def of_target(target: str) -> Iterator[tuple[str, TemplateProblem]]:
    """Check one target: a directory of prompt files, a file, `-` for standard input, or a prompt's id.

    Yields:
        The place for a message, such as `welcome.prompt.md:7:3`, and the problem.
    """
    path = Path(target)
    if target != "-" and path.is_dir():
        yield from of_files(read_directory(path), path)
    elif target.endswith(SUFFIX):
        yield from of_document(parse(options.read_text(target), target), target)
    elif target == "-" or path.exists():
        yield from _of_text(options.read_text(target), (), target)
    else:
        with connected() as client:
            prompt = client.prompts.get(target)
        yield from _of_text(prompt.content, prompt.variables, prompt.id)


def of_files(files: Iterable[PromptFile], directory: Path) -> Iterator[tuple[str, TemplateProblem]]:
    """Check prompt files."""
    for file in files:
        yield from of_document(file.document, str(directory / file.name))


def of_document(document: Document, name: str) -> Iterator[tuple[str, TemplateProblem]]:
    """Check a prompt file; lines are those of the file."""
    declared: list[dict[str, Any]] = document.fields.get("variables") or []
    return _of_text(str(document.fields["content"]), declared, name, document.content_line - 1)


def _of_text(text: str, declared: Any, name: str, lines_before: int = 0) -> Iterator[tuple[str, TemplateProblem]]:  # noqa: ANN401
    for one in templating.problems(text, declared):
        yield name if one.line is None else f"{name}:{one.line + lines_before}:{one.column}", one


def warn_of_files(files: Iterable[PromptFile], directory: Path) -> None:
    """Show the problems of prompt files on standard error; the command continues."""
    for place, problem in of_files(files, directory):
        show_warning(f"{place}: {problem.message}")


def show_warning(text: str) -> None:
    """Print a warning on standard error, with control characters escaped."""
    err.print(line(("warning  ", "bold yellow"), text))
