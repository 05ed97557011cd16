"""The prompt directory: find prompt files, name new ones, and write them atomically."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from enprompta._common.text_files import NotTextError, decode, read_regular
from enprompta.cli.prompts_as_code.document import Document, DocumentError, parse
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = ".prompt.md"
_LONGEST_STEM = 60
_ATTRIBUTES = ".gitattributes"
_VERBATIM = f"# Line endings are part of a prompt's text: git must not change them.\n*{SUFFIX} -text\n"
# Device names on Windows, with any extension (https://learn.microsoft.com/windows/win32/fileio).
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d")


class FilesError(EnpromptaError):
    """Files are invalid or cannot be read or written; the message names each."""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt file."""

    path: Path
    name: str
    """The path relative to the directory, with `/`."""
    document: Document


def read_directory(directory: Path) -> list[PromptFile]:
    """Read every prompt file in a directory tree, sorted by name.

    Raises:
        FilesError: The directory does not exist, a file is not a valid prompt, or two files have the same id.
    """
    if not directory.is_dir():
        raise FilesError(f"{directory} is not a directory")
    files: list[PromptFile] = []
    problems: list[str] = []
    for path in _prompt_paths(directory):
        name = path.relative_to(directory).as_posix()
        try:
            files.append(PromptFile(path, name, parse(_read_text(path, name, directory), name)))
        except DocumentError as error:
            problems.append(error.message)
    by_id: dict[str, str] = {}
    for file in files:
        if file.document.id is None:
            continue
        first = by_id.setdefault(file.document.id, file.name)
        if first is not file.name:
            problems.append(f"{first} and {file.name} have the same id: remove `id:` from the new one")
    if problems:
        raise FilesError("\n".join(problems))
    return files


def new_names(titles: Iterable[tuple[str, str]], taken: Iterable[str]) -> dict[str, str]:
    """Choose file names for new prompts, the same on every machine.

    A name is derived from the title, in lower-case ASCII letters and digits. If that is empty, reserved on Windows, or
    taken, digits derived from the prompt's id are appended.

    Args:
        titles: Id and title of each prompt; earlier prompts get the shorter names.
        taken: Names that already exist.

    Returns:
        The name of each prompt's file, by its id.
    """
    used = {name.casefold() for name in taken}
    names: dict[str, str] = {}
    for prompt_id, title in titles:
        stem = slug(title)
        name = f"{stem}{SUFFIX}"
        length = 8
        while not stem or _RESERVED.fullmatch(stem) or name in used:
            digits = hashlib.sha256(prompt_id.encode()).hexdigest()[:length]
            stem, name = stem or "prompt", f"{stem or 'prompt'}-{digits}{SUFFIX}"
            if name not in used:
                break
            length += 8
        used.add(name)
        names[prompt_id] = name
    return names


def slug(title: str) -> str:
    """Convert a title to lower-case ASCII letters, digits and dashes; the result can be empty."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_STEM].rstrip("-")


def may_be_restored(name: str, directory: Path) -> bool:
    """True if an untrusted file name is free and names a prompt file below the directory.

    False for a name that leaves the directory (`..`, an absolute path, a symbolic link), that `read_directory` would
    not find, that is a device on Windows, or that is not a valid file name.
    """
    path = PurePosixPath(name)
    stems = [part.partition(".")[0].casefold() for part in path.parts]
    if not name.endswith(SUFFIX) or "\\" in name or "\0" in name or path.is_absolute() or path.as_posix() != name:
        return False
    if not all(stem and not _RESERVED.fullmatch(stem) for stem in stems):  # no stem: `..`, or a hidden file
        return False
    target = directory / name
    return target.resolve().is_relative_to(directory.resolve()) and not os.path.lexists(target)


def keep_line_ends(directory: Path) -> None:
    """Configure git not to change line endings, unless the directory already has a `.gitattributes`."""
    path = directory / _ATTRIBUTES
    if not path.exists():
        write_text(path, _VERBATIM)


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically; the old text stays until the new one is on disk.

    Raises:
        FilesError: It cannot be written; the file is left unchanged.
    """
    # In the same directory, because a rename is atomic only within one file system. The rename replaces a symbolic link
    # instead of writing to its target.
    temporary = path.with_name(f".enprompta-{secrets.token_hex(8)}.tmp")
    try:
        data = text.encode()
        _check_replaceable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except UnicodeEncodeError:
        raise FilesError(
            f"{path} cannot be written and was left unchanged: its text contains a lone surrogate, which UTF-8 lacks"
        ) from None
    except OSError as error:
        raise FilesError(f"{path} cannot be written and was left unchanged: {error.strerror or error}") from None
    finally:
        with suppress(OSError):  # it exists only after an error
            temporary.unlink()


def _check_replaceable(path: Path) -> None:
    if path.exists() and not path.is_file():  # the rename would even replace a device
        raise OSError(errno.EINVAL, "Not a regular file")


def _prompt_paths(directory: Path) -> list[Path]:
    """Find the prompt files, sorted by name; links to directories are not followed.

    Raises:
        FilesError: A directory cannot be read; skipping it would make its prompts look deleted.
    """
    found: list[Path] = []
    unread = [directory]
    while unread:
        parent = unread.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        unread.append(Path(entry.path))
                    elif entry.name.endswith(SUFFIX):
                        found.append(Path(entry.path))
        except OSError as error:
            raise FilesError(f"{parent} cannot be read: {error.strerror or error}") from None
    return sorted(found, key=lambda path: path.relative_to(directory).as_posix())


def _read_text(path: Path, name: str, directory: Path) -> str:
    try:
        name.encode()
        return decode(read_regular(path, inside=directory))
    except UnicodeEncodeError:
        raise DocumentError(f"The name of {name} is not UTF-8: rename the file") from None
    except NotTextError as error:
        raise DocumentError(f"{name} {error}") from None
    except OSError as error:
        raise DocumentError(f"{name} cannot be read: {error.strerror or error}") from None
