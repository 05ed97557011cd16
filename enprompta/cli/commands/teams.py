"""`enprompta teams`: manage teams and their members."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from enprompta.cli import options
from enprompta.cli.console import line, out
from enprompta.cli.error_handling import connected
from enprompta.cli.options import EPILOG, All, Json, Limit, Yes, given
from enprompta.cli.output import show_listing, show_object

group: typer.Typer = typer.Typer(help="Manage teams and their members.", no_args_is_help=True)

TeamId = Annotated[str, typer.Argument(metavar="TEAM", help="The team's id.", show_default=False)]
UserId = Annotated[str, typer.Argument(metavar="USER", help="The member's user id.", show_default=False)]
Role = Literal["ADMIN", "MEMBER", "VIEWER"]
Description = Annotated[str | None, typer.Option(help="Description.")]

_MEMBERS = {"user id": "user_id", "email": "email", "name": "name", "role": "role", "joined": "joined_at"}


@group.command("list", epilog=EPILOG)
def list_teams(*, limit: Limit = 20, all_: All = False, as_json: Json = False) -> None:
    """List the teams that you belong to."""
    with connected() as client:
        columns = {"id": "id", "name": "name", "members": "member_count", "description": "description"}
        show_listing(client.teams.list, columns, limit=None if all_ else limit, as_json=as_json)


@group.command(epilog=EPILOG)
def get(team: TeamId, *, as_json: Json = False) -> None:
    """Show a team."""
    with connected() as client:
        show_object(client.teams.get(team), as_json=as_json)


@group.command(epilog=EPILOG)
def create(
    *, name: Annotated[str, typer.Option(help="Name.")], description: Description = None, as_json: Json = False
) -> None:
    """Create a team."""
    with connected() as client:
        show_object(client.teams.create(name=name, description=given(description)), as_json=as_json)


@group.command(epilog=EPILOG)
def update(
    team: TeamId,
    *,
    name: Annotated[str | None, typer.Option(help="Name.")] = None,
    description: Description = None,
    as_json: Json = False,
) -> None:
    """Update the given fields of a team."""
    if name is None and description is None:
        raise typer.BadParameter("Pass at least one field to change")
    with connected() as client:
        show_object(client.teams.update(team, name=given(name), description=given(description)), as_json=as_json)


@group.command(epilog=EPILOG)
def delete(team: TeamId, *, yes: Yes = False) -> None:
    """Delete a team."""
    options.confirm(f"Delete {team}?", yes=yes)
    with connected() as client:
        client.teams.delete(team)
    out.print(line(f"Deleted {team}."))


@group.command(epilog=EPILOG)
def members(team: TeamId, *, limit: Limit = 20, all_: All = False, as_json: Json = False) -> None:
    """List a team's members."""
    with connected() as client:
        listing = partial(client.teams.list_members, team)
        show_listing(listing, _MEMBERS, limit=None if all_ else limit, as_json=as_json)


@group.command(epilog=EPILOG)
def add_member(
    team: TeamId,
    *,
    email: Annotated[str, typer.Option(help="Email address of the new member.")],
    role: Annotated[Role | None, typer.Option(help="Role of the member.")] = None,
    as_json: Json = False,
) -> None:
    """Add a member to a team."""
    with connected() as client:
        show_object(client.teams.add_member(team, email=email, role=given(role)), as_json=as_json)


@group.command(epilog=EPILOG)
def update_member(
    team: TeamId,
    user: UserId,
    *,
    role: Annotated[Role, typer.Option(help="Role of the member.")],
    as_json: Json = False,
) -> None:
    """Change a member's role."""
    with connected() as client:
        show_object(client.teams.update_member(team, user, role=role), as_json=as_json)


@group.command(epilog=EPILOG)
def remove_member(team: TeamId, user: UserId, *, yes: Yes = False) -> None:
    """Remove a member from a team."""
    options.confirm(f"Remove {user} from {team}?", yes=yes)
    with connected() as client:
        client.teams.remove_member(team, user)
    out.print(line(f"Removed {user}."))


@group.command(epilog=EPILOG)
def leave(team: TeamId, *, yes: Yes = False) -> None:
    """Leave a team."""
    options.confirm(f"Leave {team}?", yes=yes)
    with connected() as client:
        client.teams.leave(team)
    out.print(line(f"Left {team}."))
