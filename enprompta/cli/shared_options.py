"""Options of every command: `--profile`, and `--quiet` on commands that have `--json`."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Use this profile's credentials.", show_default=False)
]
_WITHOUT_IDS = frozenset({"check", "doctor", "overview", "billing"})
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only ids, one per line.")]


@dataclass(slots=True)
class Shared:
    """Values of the shared options for the current command."""

    profile: str | None = None
    quiet: bool = False

    def reset(self) -> None:
        """Reset to the defaults, for a new command line."""
        self.profile, self.quiet = None, False


shared: Shared = Shared()


def add_to(app: typer.Typer) -> None:
    """Add the shared options to every command of an application and of its groups."""
    for command in app.registered_commands:
        _extend(command)
    for group in app.registered_groups:
        instance: Any = group.typer_instance
        add_to(instance)
        if instance.registered_callback is not None:
            _extend(instance.registered_callback)


def _extend(registered: Any) -> None:  # noqa: ANN401 (typer's record of a command or of a group's callback)
    registered.callback = _with_options(registered.callback)


def _with_options(function: Callable[..., object]) -> Callable[..., object]:
    """Wrap a command to add the shared options to its signature, which typer reads."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    added: dict[str, tuple[object, object]] = {"profile": (Profile, None)}
    if "as_json" in hints and function.__name__ not in _WITHOUT_IDS:
        added["quiet"] = (Quiet, False)
    kept = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, kind, default=default, annotation=hint) for name, (hint, default) in added.items()]

    @functools.wraps(function)
    def command(*arguments: Any, profile: str | None = None, quiet: bool = False, **options: Any) -> object:  # noqa: ANN401 (whatever a command takes)
        if quiet and options.get("as_json"):
            raise typer.BadParameter("Use either --json or --quiet, not both")
        shared.profile = profile or shared.profile
        shared.quiet = quiet
        return function(*arguments, **options)

    replaced: Any = command
    replaced.__signature__ = signature.replace(parameters=[*kept, *more])
    replaced.__annotations__ = {**hints, **{name: hint for name, (hint, _) in added.items()}}
    return command
