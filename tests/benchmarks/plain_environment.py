"""A virtual environment that holds packages and their dependencies, and nothing else.

A development environment slows down starts that have nothing to do with it: httpx imports click and rich if they are
installed, and httpcore imports trio. Programs that measure a start run in an environment as `pip install` makes it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

REPOSITORY = Path(__file__).parents[2]


def closure(name: str, seen: set[str]) -> Iterator[str]:
    """List a distribution and everything it requires, extras of this package left out."""
    key = name.lower().replace("_", "-")
    if key in seen:
        return
    seen.add(key)
    yield name
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from closure(requirement.name, seen)


def top_level(name: str) -> Iterator[Path]:
    """List the modules and packages of a distribution."""
    if name == "enprompta":
        yield REPOSITORY / "enprompta"
        return
    found = distribution(name)
    for first in sorted({file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}):
        yield Path(str(found.locate_file(first)))


def is_installed(name: str) -> bool:
    """True if a distribution is installed in the environment that runs this."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


class PlainEnvironment:
    """A virtual environment in a temporary folder, which links to packages of the one that runs this.

    Args:
        names: The distributions to have, with what they require.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        root = Path(self._folder.name)
        venv.create(root, symlinks=os.name != "nt", with_pip=False)
        self.python = str(root / ("Scripts" if os.name == "nt" else "bin") / "python")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = root / "Lib" / "site-packages" if os.name == "nt" else root / "lib" / version / "site-packages"
        seen: set[str] = set()
        for name in self._names:
            for one in closure(name, seen):
                for path in top_level(one):
                    (site / path.name).symlink_to(path)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
