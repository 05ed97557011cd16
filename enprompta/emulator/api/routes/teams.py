"""Routes of teams and their members."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from enprompta.emulator.api.request_context import NO_CONTENT, Context, PathId, Response, ok, page
from enprompta.emulator.api.request_models import (
    Description,
    NotNull,
    Omittable,
    PageQuery,
    RequestModel,
    Text100,
    one_of,
)
from enprompta.emulator.errors import FORBIDDEN, ApiError
from enprompta.emulator.stores import teams

if TYPE_CHECKING:
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("Must be an email address, such as ada@example.com")
    return text


# The length is that of RFC 5321, section 4.5.3.1.3, less the angle brackets.
Email = Annotated[str, Field(min_length=1, max_length=254), AfterValidator(_email)]
Role = Annotated[str, one_of(teams.ROLES)]


class _TeamChanges(RequestModel, frozen=True):
    name: Omittable[Text100] = None
    description: Description | None = None


class _NewTeam(_TeamChanges, frozen=True):
    name: NotNull[Text100] = Field()


class _NewMember(RequestModel, frozen=True):
    email: NotNull[Email]
    role: NotNull[Role] = teams.MEMBER


class _MemberChange(RequestModel, frozen=True):
    role: NotNull[Role]


@router.get("/teams")
async def list_teams(context: Context) -> Response:
    """List the account's teams, newest first."""
    return page(context, teams.listing(context.account), context.query(PageQuery), teams.wire)


@router.post("/teams")
async def create_team(context: Context) -> Response:
    """Create a team."""
    body = context.read(_NewTeam)
    row = teams.create(context.services.database, context.account, body.name, body.description, context.now)
    return ok(teams.wire(row), status=201)


@router.get("/teams/{team_id}")
async def get_team(context: Context, team_id: PathId) -> Response:
    """Fetch a team."""
    return ok(teams.wire(teams.get(context.services.database, context.account, team_id)))


@router.put("/teams/{team_id}")
async def update_team(context: Context, team_id: PathId) -> Response:
    """Update the given fields; null clears an optional one."""
    database = context.services.database
    teams.require(database, context.account, team_id, teams.MANAGERS)
    values = context.read(_TeamChanges, required=True).values()
    return ok(teams.wire(teams.update(database, context.account, team_id, values, context.now)))


@router.delete("/teams/{team_id}", **NO_CONTENT)
async def delete_team(context: Context, team_id: PathId) -> None:
    """Delete a team."""
    database = context.services.database
    teams.require(database, context.account, team_id, frozenset({teams.OWNER}))
    teams.delete(database, team_id)


@router.post("/teams/{team_id}/leave", **NO_CONTENT)
async def leave_team(context: Context, team_id: PathId) -> None:
    """Leave a team."""
    teams.get(context.services.database, context.account, team_id)
    _remove(context, team_id, context.account.user_id)


@router.get("/teams/{team_id}/members")
async def list_members(context: Context, team_id: PathId) -> Response:
    """List a team's members, newest first."""
    teams.get(context.services.database, context.account, team_id)
    return page(context, teams.members(team_id), context.query(PageQuery), teams.member_wire)


@router.post("/teams/{team_id}/members")
async def add_member(context: Context, team_id: PathId) -> Response:
    """Add a person to a team."""
    services = context.services
    own = teams.require(services.database, context.account, team_id, teams.MANAGERS)
    body = context.read(_NewMember)
    _check_owner_change(own, body.role)
    with services.database.transaction():
        row = teams.add(services.database, team_id, body.email, body.role, context.now)
        _publish(context, teams.accounts_in(services.database, team_id), "team.member_added", teams.event(row))
    return ok(teams.member_wire(row), status=201)


@router.put("/teams/{team_id}/members/{user_id}")
async def update_member(context: Context, team_id: PathId, user_id: PathId) -> Response:
    """Change the role of a member."""
    database = context.services.database
    own = teams.require(database, context.account, team_id, teams.MANAGERS)
    member = teams.get_member(database, team_id, user_id)
    role = context.read(_MemberChange).role
    _check_owner_change(own, role)
    _check_owner_change(own, member["role"])
    return ok(teams.member_wire(teams.set_role(database, team_id, user_id, role)))


@router.delete("/teams/{team_id}/members/{user_id}", **NO_CONTENT)
async def remove_member(context: Context, team_id: PathId, user_id: PathId) -> None:
    """Remove a person from a team."""
    teams.require(context.services.database, context.account, team_id, teams.MANAGERS)
    _remove(context, team_id, user_id)


def _remove(context: Context, team_id: str, user_id: str) -> None:
    database = context.services.database
    with database.transaction():
        account_ids = teams.accounts_in(database, team_id)  # before the removal, to include the removed member
        member = teams.remove(database, team_id, user_id)
        _publish(context, account_ids, "team.member_removed", teams.event(member))


def _publish(context: Context, account_ids: list[str], event: str, data: JSONObject) -> None:
    """Publish an event to the webhooks of several accounts."""
    services = context.services
    for account_id in account_ids:
        services.events.publish(services.accounts.by_id(account_id), event, data)


def _check_owner_change(own: str, role: str) -> None:
    """Raise a 403 if an account that is not an owner gives or takes the role OWNER."""
    if role == teams.OWNER != own:
        raise ApiError(FORBIDDEN, "Insufficient permissions: only an OWNER of the team may add or change owners")
