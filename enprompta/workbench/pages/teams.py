"""Teams: the list, and one team with its members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from enprompta import UNSET
from enprompta.errors import EnpromptaError
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Listing
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enprompta.models import Team, TeamMember, TeamRole

_ROLES: dict[TeamRole, str] = {"ADMIN": "Admin", "MEMBER": "Member", "VIEWER": "Viewer"}


@frame.page("/teams", "Teams")
async def _show_list() -> None:
    with c.header("Teams", "Groups that share prompts."):
        c.button("New team", _create, kind="primary", icon_name="add")
    await Listing(lambda: current().client.teams.list(limit=50), _table, name="teams").start()


def _table(teams: list[Team]) -> None:
    if not teams:
        with c.empty("No teams yet", "Create a team and invite people to share prompts with them."):
            c.button("New team", _create, kind="primary")
        return
    rows = [(one.name, one.description, c.number(one.member_count), c.when(one.created_at)) for one in teams]
    hrefs = [f"/teams/{c.quote(one.id)}" for one in teams]
    c.table(["Name", "Description", ">Members", ">Created"], rows, label="Teams", hrefs=hrefs)


@frame.page("/teams/{team_id}", "Team")
async def _show_one(team_id: str) -> None:
    team = await current().client.teams.get(team_id)
    ui.page_title(f"{team.name} · Enprompta Workbench")
    with c.header(team.name, team.description or team.id, back=("Teams", "/teams")):
        c.button("Edit", lambda: _edit(team))
        c.button("Delete", lambda: _confirm_delete(team), kind="danger")
    await _Members(team).start()


class _Members(Listing["TeamMember"]):
    """The members of a team, with their roles."""

    def __init__(self, team: Team) -> None:
        self._team = team
        with c.section("Members") as actions:
            with actions:
                c.button("Invite", self._invite, kind="primary", icon_name="o_person_add")
            super().__init__(
                lambda: current().client.teams.list_members(team.id, limit=100), self._table, name="members"
            )

    def _table(self, members: list[TeamMember]) -> None:
        rows = [
            (
                one.name or one.email or one.user_id,
                one.email,
                lambda one=one: self._role(one),
                c.when(one.joined_at),
                lambda one=one: self._actions(one),
            )
            for one in members
        ]
        c.table(["Name", "Email", "Role", ">Joined", "Actions"], rows, label="Members")

    def _role(self, member: TeamMember) -> None:
        if member.role not in _ROLES:  # the owner's role cannot be changed
            c.badge(str(member.role or "unknown").capitalize(), "info")
            return
        label = f"Role of {member.email or member.user_id}"
        picker = c.select(label, _ROLES, value=member.role, hide_label=True)

        async def change() -> None:
            try:
                await current().client.teams.update_member(self._team.id, member.user_id, role=picker.chosen)
            except EnpromptaError:
                picker.value = member.role or ""
                raise
            await self.refresh()
            c.notify(f"{member.email or member.user_id} is now {_ROLES[picker.chosen].lower()}")

        picker.changed(change)

    def _actions(self, member: TeamMember) -> None:
        if member.role in _ROLES:
            name = member.email or member.user_id
            c.icon_button(f"Remove {name}", "o_person_remove", lambda: self._confirm_removal(member, name))

    def _confirm_removal(self, member: TeamMember, name: str) -> None:
        async def remove() -> None:
            await current().client.teams.remove_member(self._team.id, member.user_id)
            await self.refresh()

        consequence = f"{name} can no longer use the team's prompts. The event team.member_removed is sent."
        c.confirm(f"Remove {name}?", consequence, "Remove member", remove)

    def _invite(self) -> None:
        with c.dialog("Invite to the team") as opened:
            with c.box("div", "form"):
                email = c.field("Email", kind="email", placeholder="ada@example.com")
                role = c.select("Role", _ROLES, value="MEMBER")

            async def invite() -> None:
                await current().client.teams.add_member(self._team.id, email=email.value, role=role.chosen)
                await self.refresh()

            c.dialog_actions(opened, "Invite", invite)


def _create() -> None:
    async def create(name: str, description: str) -> None:
        team = await current().client.teams.create(name=name, description=description or UNSET)
        ui.navigate.to(f"/teams/{c.quote(team.id)}")

    _form("New team", "", "", create)


def _edit(team: Team) -> None:
    async def save(name: str, description: str) -> None:
        await current().client.teams.update(team.id, name=name, description=description or None)
        ui.navigate.reload()

    _form("Edit team", team.name, team.description or "", save)


def _form(heading: str, name: str, description: str, save: Callable[[str, str], Awaitable[None]]) -> None:
    with c.dialog(heading) as opened:
        with c.box("div", "form"):
            name_field = c.field("Name", name, placeholder="Documentation")
            description_field = c.field("Description", description, placeholder="Optional")

        c.dialog_actions(opened, "Save team", lambda: save(name_field.value, description_field.value))


def _confirm_delete(team: Team) -> None:
    async def delete() -> None:
        await current().client.teams.delete(team.id)
        ui.navigate.to("/teams")

    c.confirm(
        f"Delete {team.name}?",
        "The team is deleted, and its members lose access to its prompts.",
        "Delete team",
        delete,
    )
