"""The marker for parameters that were not given, as distinct from None."""

from __future__ import annotations

from typing import Final, final


@final
class Unset:
    """Type of `UNSET`, the default of parameters that are not sent unless given.

    None is a value: `update(description=None)` clears the description, `update()` leaves it unchanged.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        """Copy and unpickle to the same instance."""
        return "UNSET"


UNSET: Final = Unset()


def body(**fields: object) -> dict[str, object]:
    """Return the fields of a body without those that were not given."""
    return {name: value for name, value in fields.items() if value is not UNSET}
