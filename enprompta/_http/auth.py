"""Who is calling: an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class Secret:
    """A text that shows itself only to who asks by `reveal()`: never in repr, logs, tracebacks or f-strings."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class ApiKeyAuth:
    """Sends one key with every request (reference: "Authentication")."""

    def __init__(self, key: Secret) -> None:
        self.key = key
        self.header = f"Bearer {key.reveal()}"

    def __repr__(self) -> str:
        return "<API key>"


def credentials_from(environ: Mapping[str, str], *, api_key: object = None) -> ApiKeyAuth:
    """Choose the credentials: the argument first, then the environment.

    Raises:
        ConfigurationError: There are none, or they cannot be sent; the text never shows them.
    """
    if api_key is not None:
        return ApiKeyAuth(_checked(api_key, "api_key"))
    if environ.get("ENPROMPTA_API_KEY"):
        return ApiKeyAuth(_checked(environ["ENPROMPTA_API_KEY"], "ENPROMPTA_API_KEY"))
    raise ConfigurationError(
        "no credentials: pass api_key=..., or set the environment variable ENPROMPTA_API_KEY "
        "(keys are made in the dashboard under Settings, API Keys)"
    )


def _checked(value: object, name: str) -> Secret:
    """Refuse what could not stand in a header, without showing it."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{name} is empty")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(
            f"{name} holds a blank, a line break or a letter that is not ASCII, which no key has: copy it again "
            "(a file or variable it was read from may end with a line break)"
        )
    return Secret(value)
