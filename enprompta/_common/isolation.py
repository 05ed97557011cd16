"""Run code of others, such as callbacks and backends, whose exceptions may be of any class."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def errors_to(handle: Callable[[Exception], object]) -> Generator[None]:
    """Pass an exception of the block to a function instead of raising it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (of any class)
        handle(error)
