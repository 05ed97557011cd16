"""Read data files of a package through the import system, so that a fake file system in a test does not hide them."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import PurePath
from pkgutil import get_data
from typing import Any


def read_data(package: str, name: str) -> bytes:
    """Read a data file of a package; the name is its path below the package, with forward slashes.

    Raises:
        OSError: The package has no such file.
    """
    spec: Any = find_spec(package)
    path = PurePath(spec.origin).parent / name
    try:
        # Not the package's own loader: pytest's uses `open`, which a fake file system replaces.
        return SourceFileLoader(package, spec.origin).get_data(str(path))
    except OSError:
        data: Any = get_data(package, name)  # the package is in a zip file
        return bytes(data)
