"""Routes of teams and their members."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 (FastAPI reads the annotation at run time)

from enprompta.emulator.api.request_context import Context, PathId, no_content, ok, page
from enprompta.emulator.errors import FORBIDDEN, ApiError
from enprompta.emulator.stores import teams
from enprompta.emulator.stores.paging import PageRequest

if TYPE_CHECKING:
    from enprompta.emulator.api.request_models import Fields
    from enprompta.emulator.wire import JSONObject

router: APIRouter = APIRouter(prefix="/api/v1")

_MAX_NAME = 100
_MAX_DESCRIPTION = 2_000
_MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")


@router.get("/teams")
async def list_teams(context: Context) -> Response:
    """List the account's teams, newest first."""
    query = context.query()
    request = PageRequest.read(query)
    query.check()
    rows, pagination = teams.listing(context.account).page(context.services.database, request)
    return page([teams.wire(row) for row in rows], pagination)


@router.post("/teams")
async def create_team(context: Context) -> Response:
    """Create a team."""
    values = _read_team(context.fields(), new=True)
    name, description = str(values["name"]), values["description"]
    row = teams.create(context.services.database, context.account, name, description, context.now)
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
    values = _read_team(context.fields(required=True), new=False)
    return ok(teams.wire(teams.update(database, context.account, team_id, values, context.now)))


@router.delete("/teams/{team_id}")
async def delete_team(context: Context, team_id: PathId) -> Response:
    """Delete a team."""
    database = context.services.database
    teams.require(database, context.account, team_id, frozenset({teams.OWNER}))
    teams.delete(database, team_id)
    return no_content()


@router.post("/teams/{team_id}/leave")
async def leave_team(context: Context, team_id: PathId) -> Response:
    """Leave a team."""
    teams.get(context.services.database, context.account, team_id)
    return _remove(context, team_id, context.account.user_id)


@router.get("/teams/{team_id}/members")
async def list_members(context: Context, team_id: PathId) -> Response:
    """List a team's members, newest first."""
    database = context.services.database
    teams.get(database, context.account, team_id)
    query = context.query()
    request = PageRequest.read(query)
    query.check()
    rows, pagination = teams.members(team_id).page(database, request)
    return page([teams.member_wire(row) for row in rows], pagination)


@router.post("/teams/{team_id}/members")
async def add_member(context: Context, team_id: PathId) -> Response:
    """Add a person to a team."""
    services = context.services
    own = teams.require(services.database, context.account, team_id, teams.MANAGERS)
    fields = context.fields()
    email = _read_email(fields)
    role = fields.choice("role", teams.ROLES) or teams.MEMBER
    fields.check()
    _check_owner_change(own, role)
    with services.database.transaction():
        row = teams.add(services.database, team_id, email, role, context.now)
        _publish(context, teams.accounts_in(services.database, team_id), "team.member_added", teams.event(row))
    return ok(teams.member_wire(row), status=201)


@router.put("/teams/{team_id}/members/{user_id}")
async def update_member(context: Context, team_id: PathId, user_id: PathId) -> Response:
    """Change the role of a member."""
    database = context.services.database
    own = teams.require(database, context.account, team_id, teams.MANAGERS)
    member = teams.get_member(database, team_id, user_id)
    fields = context.fields()
    fields.value("role", required=True, nullable=False)
    role = fields.choice("role", teams.ROLES) or ""
    fields.check()
    _check_owner_change(own, role)
    _check_owner_change(own, member["role"])
    return ok(teams.member_wire(teams.set_role(database, team_id, user_id, role)))


@router.delete("/teams/{team_id}/members/{user_id}")
async def remove_member(context: Context, team_id: PathId, user_id: PathId) -> Response:
    """Remove a person from a team."""
    teams.require(context.services.database, context.account, team_id, teams.MANAGERS)
    return _remove(context, team_id, user_id)


def _remove(context: Context, team_id: str, user_id: str) -> Response:
    database = context.services.database
    with database.transaction():
        account_ids = teams.accounts_in(database, team_id)  # before the removal, to include the removed member
        member = teams.remove(database, team_id, user_id)
        _publish(context, account_ids, "team.member_removed", teams.event(member))
    return no_content()


def _publish(context: Context, account_ids: list[str], event: str, data: JSONObject) -> None:
    """Publish an event to the webhooks of several accounts."""
    services = context.services
    for account_id in account_ids:
        services.events.publish(services.accounts.by_id(account_id), event, data)


def _check_owner_change(own: str, role: str) -> None:
    """Raise a 403 if an account that is not an owner gives or takes the role OWNER."""
    if role == teams.OWNER != own:
        raise ApiError(FORBIDDEN, "Insufficient permissions: only an OWNER of the team may add or change owners")


def _read_team(fields: Fields, *, new: bool) -> dict[str, str | None]:
    values = {
        "name": fields.text("name", required=new, nullable=False, max_length=_MAX_NAME),
        "description": fields.text("description", max_length=_MAX_DESCRIPTION, allow_empty=True),
    }
    fields.check()
    return {name: value for name, value in values.items() if new or fields.given(name)}


def _read_email(fields: Fields) -> str:
    email = fields.text("email", required=True, max_length=_MAX_EMAIL) or ""
    if email and not _EMAIL.fullmatch(email):
        fields.fail("email", "Must be an email address, such as ada@example.com")
    return email
