"""Turn errors into one line on standard error and an exit status."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperGroup

import enprompta
from enprompta._common.streams import INTERRUPTED
from enprompta.cli.console import FAILED, err, line
from enprompta.cli.profiles import SetupError, choose
from enprompta.cli.shared_options import shared
from enprompta.cli.words import NO_CREDENTIALS, explain, in_shell_words
from enprompta.errors import ConfigurationError, EnpromptaError, TemplateWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from enprompta import Enprompta

ClientT = TypeVar("ClientT")

WRONG_USAGE = 2
NOT_CONFIGURED = 3


class Commands(TyperGroup):
    """The top-level command group; reports each error that a command raises and sets the exit status."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 (typer's own)
        """Parse a command line, after resetting the shared options.

        Raises:
            typer.Exit: Ctrl-C was pressed.
        """
        shared.reset()
        _leave_out_types_of_flags(self, typer.Context(self, **self.context_settings))
        try:
            return super().make_context(*arguments, **settings)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 (typer's context and whatever commands return)
        """Run a command.

        Raises:
            typer.Exit: The command failed; the error was reported.
        """
        try:
            with _warnings_in_one_line():
                return super().invoke(ctx)
        except EnpromptaError as error:
            if ctx.params.get("debug"):
                raise
            show_error(error)
            raise typer.Exit(status_of(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except typer.Abort as abort:  # Ctrl-C or Ctrl-D at a prompt
            interrupted = isinstance(abort.__context__, KeyboardInterrupt)
            raise typer.Exit(INTERRUPTED if interrupted else FAILED) from None


@contextmanager
def _warnings_in_one_line() -> Generator[None]:
    """Show warnings about templates like errors, in one line without Python code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TemplateWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:  # noqa: ANN401 (file and line)
            if issubclass(category, TemplateWarning):
                err.print(line(("warning  ", "bold yellow"), str(message)))
            else:
                others(message, category, *where)

        warnings.showwarning = show
        yield


def _leave_out_types_of_flags(command: Any, context: typer.Context) -> None:  # noqa: ANN401 (typer's, of any version)
    """Hide the `<bool>` that newer versions of typer show after flags in `--help`."""
    for option in (*command.params, command.get_help_option(context)):
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for each in getattr(command, "commands", {}).values():
        _leave_out_types_of_flags(each, context)


def status_of(error: EnpromptaError) -> int:
    """Return the exit status for an error."""
    if isinstance(error, SetupError):
        return NOT_CONFIGURED
    return WRONG_USAGE if isinstance(error, ConfigurationError) else FAILED


def show_error(error: EnpromptaError | str) -> None:
    """Print an error on standard error, with control characters escaped."""
    first, *more = (explain(error) if isinstance(error, EnpromptaError) else error).split("\n")
    err.print(line(("error  ", "bold red"), first))
    for each in more:
        err.print(line("       ", each))


@contextmanager
def connected(**settings: object) -> Generator[Enprompta]:
    """Make a client with the credentials of the profile or the environment, and close it.

    Raises:
        SetupError: There are no credentials, or a setting cannot work.
    """
    with make_client(enprompta.Enprompta, **settings) as client:
        yield client


def make_client(kind: Callable[..., ClientT], **settings: object) -> ClientT:
    """Make a client with the credentials of the profile or the environment.

    Raises:
        SetupError: There are no credentials, or a setting cannot work.
    """
    chosen = choose()
    if chosen.is_missing:
        raise SetupError(NO_CREDENTIALS)
    try:
        return kind(**chosen.settings, **settings)
    except ConfigurationError as error:
        raise SetupError(in_shell_words(error.message)) from None
