"""Teams and their members."""

from __future__ import annotations

from typing import ClassVar, Literal

from enprompta.models.base import DateTime, Model, Open

TeamRole = Literal["OWNER", "ADMIN", "MEMBER", "VIEWER"]


class Team(Model):
    """A group that shares prompts (reference: "Teams")."""

    id: str
    name: str
    description: str | None = None
    owner_id: str | None = None
    member_count: int | None = None
    created_at: DateTime | None = None
    updated_at: DateTime | None = None


class TeamMember(Model):
    """A member of a team."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("user_id", "role")
    id: str | None = None
    user_id: str
    """The id to pass to the methods for team members."""
    email: str | None = None
    name: str | None = None
    role: Open[TeamRole] | None = None
    joined_at: DateTime | None = None
