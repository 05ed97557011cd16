"""The difference between "not given" and None."""

from __future__ import annotations

from typing import Final, final


@final
class Unset:
    """The type of `UNSET`: a parameter that was not given, and so is not sent.

    None is a value of its own: `update(description=None)` clears the description, `update()` leaves it alone.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        """Copy and unpickle to the one instance."""
        return "UNSET"


UNSET: Final = Unset()
