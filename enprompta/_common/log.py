"""Log events with constant names and structured fields to the logger `enprompta`; never bodies or secrets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("enprompta")
logger.addHandler(logging.NullHandler())  # the application decides on output

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


class _Fields(dict[str, object]):
    """Fields of an event, formatted as `name=value`."""

    def __str__(self) -> str:
        pairs = self.items()
        return " ".join(
            f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}" for name, value in pairs
        )


def event(level: int, name: str, **fields: object) -> None:
    """Log one event; the log record has the attributes `event` (its name) and `fields`."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s %s", name, _Fields(fields), extra={"event": name, "fields": fields}, stacklevel=2)


def configure(environ: Mapping[str, str]) -> None:
    """Log events to standard error if `ENPROMPTA_LOG` is set; called when a client is created, not at import.

    Raises:
        ConfigurationError: The variable holds an unknown level.
    """
    wanted = environ.get("ENPROMPTA_LOG", "").strip().lower()
    if not wanted:
        return
    if wanted not in _LEVELS:
        raise ConfigurationError(f"ENPROMPTA_LOG must be one of {', '.join(_LEVELS)}, not {wanted!r}")
    logger.setLevel(_LEVELS[wanted])
    if not any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
