r"""Rollouts: give each user one of several labels of a prompt, always the same one.

    live = client.prompts.get_live("welcome", label=Split({"production": 9, "canary": 1}, unit=user_id))

The choice is a pure function of the salt, the unit and the weights, so it is the same in every process, on every
machine and in every language. For each label, with SHA-256 over UTF-8 and big-endian numbers:

    digest = sha256(salt + "\0" + label + "\0" + unit)
    u      = ((first 8 bytes of digest as a number >> 11) + 0.5) / 2**53        between 0 and 1
    score  = -ln(u) / weight

The label with the lowest score wins (weighted rendezvous hashing). A label gets its share of the units, whatever the
order of the labels. If one weight grows, units move only to that label; if it shrinks, only away from it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from enprompta._common.narrowing import is_mapping
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["Exposure", "Split"]

_DIGEST = 16  # characters of a hashed unit


@dataclass(frozen=True, slots=True, init=False)
class Split:
    """Labels with weights, and the unit that always gets the same one of them.

    Args:
        weights: The weight of each label, any positive numbers: 9 and 1 are the same as 0.9 and 0.1.
        unit: What stays with its label: the id of a user, an account or a session, as text, int or UUID.
        salt: A name that keeps rollouts independent of each other. None uses the slug of the prompt, so the users in
            the canary of one prompt are not those of another; pass the same salt to give them the same share of both.

    Raises:
        ConfigurationError: There is no label, a weight is not a positive number, or the unit is empty.
    """

    weights: Mapping[str, float]
    unit: str
    salt: str | None

    def __init__(self, weights: Mapping[str, float], *, unit: str | int | UUID, salt: str | None = None) -> None:
        put = object.__setattr__
        put(self, "weights", MappingProxyType(_checked_weights(weights)))
        put(self, "unit", _checked_unit(unit))
        if salt is not None and not isinstance(cast("object", salt), str):
            raise ConfigurationError(f"salt must be text or None, not {type(salt).__name__}")
        put(self, "salt", salt)

    def choose(self, slug: str = "") -> str:
        """Return the label of the unit.

        Args:
            slug: The prompt's slug, which is the salt if the split has none.
        """
        salt = slug if self.salt is None else self.salt
        return min(self.weights, key=lambda label: (self._score(salt, label), label))

    def _score(self, salt: str, label: str) -> float:
        text = f"{salt}\0{label}\0{self.unit}".encode(errors="surrogatepass")
        number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 11
        return -math.log((number + 0.5) / 2**53) / self.weights[label]

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.weights.items())), self.unit, self.salt))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), dict(self.weights), unit=self.unit, salt=self.salt), ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class Exposure:
    """A live prompt that was served to a unit, for the hook `on_exposure`."""

    slug: str
    label: str
    """The label that was chosen for the unit."""
    version: int | str | None
    """The version that was served; None if the service does not report it, and for a fallback."""
    unit: str
    """The unit of the split, such as a user's id."""
    salt: str
    """The salt of the choice."""
    is_fallback: bool
    """True if your fallback was served instead of the label's version."""

    @property
    def unit_hash(self) -> str:
        """A hash of salt and unit, for logs and spans, which never contain the unit itself."""
        text = f"{self.salt}\0{self.unit}".encode(errors="surrogatepass")
        return hashlib.sha256(text).hexdigest()[:_DIGEST]


def _checked_weights(weights: Any) -> dict[str, float]:  # noqa: ANN401 (any argument)
    if not is_mapping(weights) or not weights:
        raise ConfigurationError('a Split needs labels with weights, such as {"production": 9, "canary": 1}')
    checked: dict[str, float] = {}
    for label, weight in weights.items():
        if not isinstance(label, str) or not label:
            raise ConfigurationError(f"the labels of a Split must be text, and not empty: {label!r} is not")
        try:
            number = math.nan if isinstance(weight, (bool, str, bytes)) else float(weight)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not 0 < number < math.inf:
            raise ConfigurationError(
                f"the weight of {label!r} must be a positive number, not {weight!r}: leave out a label that "
                "no unit should get"
            )
        checked[label] = number
    return checked


def _checked_unit(unit: object) -> str:
    if isinstance(unit, UUID) or (hasattr(unit, "__index__") and not isinstance(unit, bool)):
        return str(unit)
    if not isinstance(unit, str):
        kind = "None" if unit is None else type(unit).__name__
        raise ConfigurationError(f"unit must be text, an int or a UUID, not {kind}: for anonymous users, a session id")
    if not unit:
        raise ConfigurationError("unit is empty, so all such users would get the same label: pass a session id instead")
    return str.__str__(unit)
