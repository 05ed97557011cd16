"""Teams, their members and permissions.

| permission                             | OWNER | ADMIN | MEMBER | VIEWER |
|----------------------------------------|-------|-------|--------|--------|
| read the team and its shared objects   | yes   | yes   | yes    | yes    |
| change and execute shared objects      | yes   | yes   | yes    | no     |
| leave the team                         | no    | yes   | yes    | yes    |
| change the team, manage members        | yes   | yes   | no     | no     |
| add and change owners, delete the team | yes   | no    | no     | no     |

A team may have several owners; `ownerId` is the one who joined first. An owner cannot leave or be removed, but can get
another role while there is another owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta.emulator.database import new_id
from enprompta.emulator.errors import CONFLICT, FORBIDDEN, ApiError, found, not_found
from enprompta.emulator.stores.paging import Listing
from enprompta.emulator.wire import as_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from enprompta.emulator.access.accounts import Account
    from enprompta.emulator.database import Database
    from enprompta.emulator.wire import JSONObject

OWNER, ADMIN, MEMBER, VIEWER = ROLES = ("OWNER", "ADMIN", "MEMBER", "VIEWER")
MANAGERS = frozenset({OWNER, ADMIN})
WRITERS = frozenset({OWNER, ADMIN, MEMBER})

MINE = "team_id IN (SELECT team_id FROM team_members WHERE user_id = ?)"
"""SQL condition for rows that belong to a team of a user; its parameter is the user's id."""


def wire(row: sqlite3.Row) -> JSONObject:
    """Return a team as JSON."""
    return as_json(row, "id name description owner_id member_count created_at updated_at")


def member_wire(row: sqlite3.Row) -> JSONObject:
    """Return a member as JSON."""
    return as_json(row, "id user_id email name role joined_at")


def create(database: Database, account: Account, name: str, description: str | None, now: float) -> sqlite3.Row:
    """Store a new team with its creator as the owner."""
    team_id = new_id("tem")
    with database.transaction():
        times = {"created_at": int(now), "updated_at": int(now)}
        database.insert("teams", {"id": team_id, "name": name, "description": description, **times})
        _join(database, team_id, (account.user_id, account.email, account.name), OWNER, now)
        return get(database, account, team_id)


def get(database: Database, account: Account, team_id: str) -> sqlite3.Row:
    """Return a team of the account's user, or raise a 404."""
    row = database.one("SELECT * FROM team_facts WHERE id = ?", team_id)
    if row is None or role_of(database, account, team_id) is None:
        raise not_found("Team", team_id)
    return row


def update(database: Database, account: Account, team_id: str, values: Mapping[str, object], now: float) -> sqlite3.Row:
    """Update the given fields of a team."""
    if values:
        database.update("teams", team_id, {**values, "updated_at": int(now)})
    return get(database, account, team_id)


def delete(database: Database, team_id: str) -> None:
    """Delete a team and its memberships; its prompts and workflows return to their creators."""
    with database.transaction():
        database.run("UPDATE prompts SET team_id = NULL WHERE team_id = ?", team_id)
        database.run("UPDATE workflows SET team_id = NULL WHERE team_id = ?", team_id)
        database.run("DELETE FROM teams WHERE id = ?", team_id)


def listing(account: Account) -> Listing:
    """List the teams that an account's user is in, newest first."""
    where = "id IN (SELECT team_id FROM team_members WHERE user_id = ?)"
    return Listing("teams", "team_facts", [where], [account.user_id])


def members(team_id: str) -> Listing:
    """List a team's members, newest first."""
    return Listing("members", "team_members", ["team_id = ?"], [team_id])


def role_of(database: Database, account: Account, team_id: str) -> str | None:
    """Return the role of an account's user in a team; None if the user is not a member."""
    sql = "SELECT role FROM team_members WHERE team_id = ? AND user_id = ?"
    row = database.one(sql, team_id, account.user_id)
    return None if row is None else str(row["role"])


def require(database: Database, account: Account, team_id: str, allowed: frozenset[str]) -> str:
    """Return the role of an account's user in a team; raise a 404 without a role, a 403 if it is not allowed."""
    role = role_of(database, account, team_id)
    if role is None:
        raise not_found("Team", team_id)
    if role not in allowed:
        able = " or ".join(name for name in ROLES if name in allowed)
        raise ApiError(FORBIDDEN, f"Insufficient permissions: requires the role {able} in the team, not {role}")
    return role


def require_writer(database: Database, account: Account, team_id: str | None) -> None:
    """Raise a 404 or a 403 if an account's user may not change the objects of a team; None is no team."""
    if team_id is not None:
        require(database, account, team_id, WRITERS)


def get_member(database: Database, team_id: str, user_id: str) -> sqlite3.Row:
    """Return a member of a team, or raise a 404."""
    sql = "SELECT * FROM team_members WHERE team_id = ? AND user_id = ?"
    return found(database.one(sql, team_id, user_id), "Member", user_id)


def add(database: Database, team_id: str, email: str, role: str, now: float) -> sqlite3.Row:
    """Add a user by email address, with or without an account; raise a 409 if the user is already a member."""
    with database.transaction():
        user = _user(database, email)
        sql = "SELECT count(*) FROM team_members WHERE team_id = ? AND user_id = ?"
        if database.scalar(sql, team_id, user[0]):
            raise ApiError(CONFLICT, f"{email} is already a member of the team")
        _join(database, team_id, user, role, now)
        return get_member(database, team_id, user[0])


def set_role(database: Database, team_id: str, user_id: str, role: str) -> sqlite3.Row:
    """Change the role of a member; raise a 409 for the last owner."""
    with database.transaction():
        row = get_member(database, team_id, user_id)
        if row["role"] == OWNER != role:
            sql = "SELECT count(*) FROM team_members WHERE team_id = ? AND role = ?"
            if database.scalar(sql, team_id, OWNER) == 1:
                raise ApiError(CONFLICT, "A team needs an owner: give another member the role OWNER first")
        database.run("UPDATE team_members SET role = ? WHERE id = ?", role, row["id"])
        return get_member(database, team_id, user_id)


def remove(database: Database, team_id: str, user_id: str) -> sqlite3.Row:
    """Remove a member from a team and return the removed row; raise a 409 for an owner."""
    with database.transaction():
        row = get_member(database, team_id, user_id)
        if row["role"] == OWNER:
            message = (
                "An owner cannot leave or be removed: give another member the role OWNER, and this one another role"
            )
            raise ApiError(CONFLICT, message)
        database.run("DELETE FROM team_members WHERE id = ?", row["id"])
        return row


def accounts_in(database: Database, team_id: str) -> list[str]:
    """List the accounts whose users are in a team."""
    sql = "SELECT accounts.id FROM accounts JOIN team_members USING (user_id) WHERE team_id = ? ORDER BY number"
    return [row["id"] for row in database.all(sql, team_id)]


def event(member: sqlite3.Row) -> JSONObject:
    """Return the `data` of an event about a member."""
    return {name: member[name] for name in ("team_id", "user_id", "email", "role")}


def _user(database: Database, email: str) -> tuple[str, str, str | None]:
    """Return the user with an email address, ignoring case; create one if neither an account nor a user has it."""
    address = email.casefold()
    row = database.one("SELECT user_id, email, name FROM accounts WHERE email = ?", address)
    if row is not None:
        return row["user_id"], row["email"], row["name"]
    sql = "INSERT OR IGNORE INTO users (address, id, email) VALUES (?, ?, ?)"
    database.run(sql, address, new_id("usr"), email)
    row = database.one("SELECT id, email FROM users WHERE address = ?", address)
    return ("", email, None) if row is None else (row["id"], row["email"], None)


def _join(database: Database, team_id: str, user: tuple[str, str, str | None], role: str, now: float) -> None:
    member = {"id": new_id("mem"), "team_id": team_id, "role": role, "joined_at": int(now)}
    database.insert("team_members", {**member, "user_id": user[0], "email": user[1], "name": user[2]})
