"""`client.teams`: teams and their members."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from enprompta import models
from enprompta._core.call import Call, path
from enprompta._core.operation import AsyncRawResource, AsyncResource, RawResource, Resource, SyncResource, operation
from enprompta._core.unset import UNSET, Unset, body
from enprompta.pagination import Page, listing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enprompta._core.call import RequestOptions, WriteOptions
    from enprompta.models.teams import Team, TeamMember, TeamRole


class TeamCalls(Resource):
    """Calls on teams (API reference: "Teams")."""

    @operation
    def create(
        self, *, name: str, description: str | Unset | None = UNSET, **options: Unpack[WriteOptions]
    ) -> Call[Team]:
        """Create a team; you become its owner.

        Args:
            name: The name shown to people.
            description: A description of its purpose.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            BadRequestError: A field is invalid; `details` names it.
            APIError: The call failed in another way.
        """
        return Call("POST", "/teams", models.Team, json=body(name=name, description=description), options=options)

    @operation
    def get(self, team_id: str, /, **options: Unpack[RequestOptions]) -> Call[Team]:
        """Fetch one team by its id.

        Raises:
            NotFoundError: The team does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        return Call("GET", path("/teams/{}", team_id), models.Team, options=options)

    @operation
    def update(
        self,
        team_id: str,
        /,
        *,
        name: str | Unset = UNSET,
        description: str | Unset | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> Call[Team]:
        """Change the given fields; None clears a field.

        Args:
            team_id: The team's id.
            name: The name shown to people.
            description: A description of its purpose.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            NotFoundError: The team does not exist, or this key cannot access it.
            PermissionDeniedError: Your role in the team does not permit it.
            APIError: The call failed in another way.
        """
        fields = body(name=name, description=description)
        return Call("PUT", path("/teams/{}", team_id), models.Team, json=fields, options=options)

    @operation
    def delete(self, team_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Delete a team.

        Raises:
            NotFoundError: The team does not exist, or this key cannot access it.
            PermissionDeniedError: Your role in the team does not permit it.
            APIError: The call failed in another way.
        """
        return Call("DELETE", path("/teams/{}", team_id), NoneType, options=options)

    @listing
    def list(
        self, *, limit: int | Unset = UNSET, cursor: str | Unset = UNSET, **options: Unpack[RequestOptions]
    ) -> Call[Page[Team]]:
        """List the teams you are a member of; iterating over the result fetches all pages.

        Args:
            limit: Teams per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            APIError: The call failed.
        """
        return Call("GET", "/teams", Page[models.Team], params=body(limit=limit, cursor=cursor), options=options)

    @listing
    def list_members(
        self,
        team_id: str,
        /,
        *,
        limit: int | Unset = UNSET,
        cursor: str | Unset = UNSET,
        **options: Unpack[RequestOptions],
    ) -> Call[Page[TeamMember]]:
        """List a team's members; iterating over the result fetches all pages.

        Args:
            team_id: The team's id.
            limit: Members per page, 1 to 100; the API's default is 20.
            cursor: The page to start with: `pagination.next_cursor` of the page before it.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of each request.

        Raises:
            NotFoundError: The team does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        params = body(limit=limit, cursor=cursor)
        return Call("GET", path("/teams/{}/members", team_id), Page[models.TeamMember], params=params, options=options)

    @operation
    def add_member(
        self, team_id: str, /, *, email: str, role: TeamRole | Unset = UNSET, **options: Unpack[WriteOptions]
    ) -> Call[TeamMember]:
        """Add a person to a team; fires the event `team.member_added`.

        Args:
            team_id: The team's id.
            email: The person's email address.
            role: `ADMIN`, `MEMBER` or `VIEWER`; the API's default if not given.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            ConflictError: The person is already a member.
            PermissionDeniedError: Your role in the team does not permit it.
            NotFoundError: The team does not exist, or this key cannot access it.
            APIError: The call failed in another way.
        """
        fields = body(email=email, role=role)
        return Call("POST", path("/teams/{}/members", team_id), models.TeamMember, json=fields, options=options)

    @operation
    def update_member(
        self, team_id: str, user_id: str, /, *, role: TeamRole, **options: Unpack[WriteOptions]
    ) -> Call[TeamMember]:
        """Change a member's role.

        Args:
            team_id: The team's id.
            user_id: The member's `user_id`.
            role: `ADMIN`, `MEMBER` or `VIEWER`.
            **options: `timeout`, `deadline`, `max_retries`, `headers` and `idempotency_key` of this call.

        Raises:
            PermissionDeniedError: Your role in the team does not permit it.
            NotFoundError: The team or the member does not exist.
            APIError: The call failed in another way.
        """
        address = path("/teams/{}/members/{}", team_id, user_id)
        return Call("PUT", address, models.TeamMember, json=body(role=role), options=options)

    @operation
    def remove_member(self, team_id: str, user_id: str, /, **options: Unpack[RequestOptions]) -> Call[None]:
        """Remove a person from a team; fires the event `team.member_removed`.

        Args:
            team_id: The team's id.
            user_id: The member's `user_id`.
            **options: `timeout`, `deadline`, `max_retries` and `headers` of this call.

        Raises:
            PermissionDeniedError: Your role in the team does not permit it.
            NotFoundError: The team or the member does not exist.
            APIError: The call failed in another way.
        """
        return Call("DELETE", path("/teams/{}/members/{}", team_id, user_id), NoneType, options=options)

    @operation
    def leave(self, team_id: str, /, **options: Unpack[WriteOptions]) -> Call[None]:
        """Leave a team; fires the event `team.member_removed`.

        Raises:
            ConflictError: The owner cannot leave.
            NotFoundError: The team does not exist, or you are not a member of it.
            APIError: The call failed in another way.
        """
        return Call("POST", path("/teams/{}/leave", team_id), NoneType, options=options)


class Teams(TeamCalls, SyncResource):
    """`client.teams`."""


class AsyncTeams(TeamCalls, AsyncResource):
    """`async_client.teams`."""


class RawTeams(TeamCalls, RawResource):
    """`client.with_raw_response.teams`."""


class AsyncRawTeams(TeamCalls, AsyncRawResource):
    """`async_client.with_raw_response.teams`."""
