"""Files that come with a package, read in the way that imports are: a fake file system of a test does not hide them."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import PurePath
from pkgutil import get_data
from typing import Any


def read_data(package: str, name: str) -> bytes:
    """Read a file that comes with a package.

    Args:
        package: The package that the file lies in.
        name: Its path below the package, with forward slashes.

    Raises:
        OSError: The package has no such file.
    """
    spec: Any = find_spec(package)
    path = PurePath(spec.origin).parent / name
    try:
        # Not the loader of the package: pytest's reads through `open`, which a fake file system replaces.
        return SourceFileLoader(package, spec.origin).get_data(str(path))
    except OSError:
        data: Any = get_data(package, name)  # of a package in a zip file
        return bytes(data)
