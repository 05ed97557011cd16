"""Keys: the emulator's API keys, OAuth2 clients with their scopes, and the plan of each account."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nicegui import ui

    from enprompta.emulator import EmulatorControl
    from enprompta.workbench.session import JSON


@frame.page("/keys", "Keys", emulator_only=True)
async def _show() -> None:
    c.header("Keys", "Credentials and plans of the emulator's accounts. They work only on this machine.")
    control = current().control
    if control is not None:
        await _Keys(control).start()


class _Keys:
    """The three lists of the page."""

    def __init__(self, control: EmulatorControl) -> None:
        self._control = control
        with c.section("API keys") as actions:
            with actions:
                c.button("Generate a key", self._generate, kind="primary", icon_name="add")
            self._keys: Region[list[JSON]] = Region(control.keys, self._key_table, name="keys")
        with c.section("OAuth2 clients") as actions:
            with actions:
                c.button("New client", self._new_client, icon_name="add")
            self._clients: Region[tuple[list[JSON], list[str]]] = Region(
                self._load_clients, self._client_table, name="clients"
            )
        with c.section("Plans"):
            self._accounts: Region[list[JSON]] = Region(control.accounts, self._account_table, name="plans")

    async def start(self) -> None:
        """Load the lists."""
        for region in (self._keys, self._clients, self._accounts):
            await region.refresh()

    def _key_table(self, keys: list[JSON]) -> None:
        rows = [
            (
                one["name"],
                _account(one["accountId"]),
                partial(c.text, "span", one["shown"], "mono"),
                partial(c.badge, "revoked" if one["revokedAt"] else "active", "bad" if one["revokedAt"] else "good"),
                partial(self._key_actions, one),
            )
            for one in keys
        ]
        c.table(["Name", "Account", "Key", "Status", ">Actions"], rows, label="API keys")

    def _key_actions(self, key: JSON) -> None:
        with c.box("div", "actions"):
            c.button("Rename", lambda: self._rename(key), kind="quiet")
            if not key["revokedAt"]:
                c.button("Revoke", lambda: self._revoke(key), kind="quiet")

    async def _generate(self) -> None:
        accounts = await self._control.accounts()
        with c.dialog("Generate a key") as opened:
            name = c.field("Name", placeholder="Nightly import")
            account = c.select("Account", {one["id"]: _account(one["id"]) for one in accounts}, value="acc_team")

            async def generate() -> None:
                made = await self._control.generate_key(account.value, name.value)
                _show_secret("Your new key", "It is shown only now.", {"API key": made["key"]})
                await self._keys.refresh()

            c.dialog_actions(opened, "Generate", generate)

    def _rename(self, key: JSON) -> None:
        with c.dialog("Rename the key") as opened:
            name = c.field("Name", key["name"])

            async def rename() -> None:
                await self._control.rename_key(key["id"], name.value)
                await self._keys.refresh()

            c.dialog_actions(opened, "Rename", rename)

    def _revoke(self, key: JSON) -> None:
        async def revoke() -> None:
            await self._control.revoke_key(key["id"])
            await self._keys.refresh()

        consequence = "Requests with this key get a 401 from now on. This cannot be undone."
        c.confirm(f"Revoke {key['name']}?", consequence, "Revoke", revoke)

    async def _load_clients(self) -> tuple[list[JSON], list[str]]:
        """Load the clients, and all scopes that there are."""
        return await self._control.oauth_clients(), (await self._control.info())["scopes"]

    def _client_table(self, loaded: tuple[list[JSON], list[str]]) -> None:
        clients, known = loaded
        rows = [
            (
                partial(c.text, "span", one["clientId"], "mono"),
                _account(one["accountId"]),
                "all" if set(one["scopes"]) >= set(known) else ", ".join(one["scopes"]) or "none",
                partial(self._client_actions, one),
            )
            for one in clients
        ]
        c.table(["Client id", "Account", "Scopes", ">Actions"], rows, label="OAuth2 clients")

    def _client_actions(self, client: JSON) -> None:
        async def remove() -> None:
            await self._control.remove_oauth_client(client["clientId"])
            await self._clients.refresh()

        consequence = "It gets no more tokens. Tokens that it has are valid until they expire."
        with c.box("div", "actions"):
            c.button("Scopes", lambda: self._change_scopes(client), kind="quiet")
            name = client["clientId"]
            c.button("Delete", lambda: c.confirm(f"Delete {name}?", consequence, "Delete", remove), kind="quiet")

    async def _new_client(self) -> None:
        plans = {"pro": "Pro", "team": "Team", "enterprise": "Enterprise"}

        known: list[str] = (await self._control.info())["scopes"]
        with c.dialog("New OAuth2 client") as opened:
            plan = c.select("Account", plans, value="team")

            async def create(scopes: list[str]) -> None:
                made = await self._control.add_oauth_client(plan.value, scopes)
                secret = {"Client id": made["clientId"], "Client secret": made["clientSecret"]}
                _show_secret("Your new client", "The secret is shown only now.", secret)

            self._choose_scopes(opened, known, set(), "Create", create)

    async def _change_scopes(self, client: JSON) -> None:
        known: list[str] = (await self._control.info())["scopes"]
        with c.dialog(f"Scopes of {client['clientId']}") as opened:
            save = partial(self._control.set_scopes, client["clientId"])
            self._choose_scopes(opened, known, set(client["scopes"]), "Save", save)

    def _choose_scopes(
        self,
        opened: ui.dialog,
        known: list[str],
        chosen: set[str],
        label: str,
        save: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        def toggle(scope: str) -> None:
            chosen.symmetric_difference_update({scope})

        with c.box("div", "checks"):
            for scope in known:
                c.checkbox(scope, partial(toggle, scope), is_checked=scope in chosen)

        async def submit() -> None:
            await save([scope for scope in known if scope in chosen])
            await self._clients.refresh()

        c.dialog_actions(opened, label, submit)

    def _account_table(self, accounts: list[JSON]) -> None:
        rows = [
            (
                one["name"],
                one["email"],
                partial(self._plan, one),
                c.number(one["usage"]["requestsPerMinute"]["remaining"]),
                c.number(one["usage"]["tokens"]["remaining"]),
            )
            for one in accounts
        ]
        c.table(["Account", "Email", "Plan", ">Requests left", ">Credits left"], rows, label="Plans")

    def _plan(self, account: JSON) -> None:
        plans = ["free", "pro", "team", "enterprise"]
        picker = c.select(f"Plan of {account['name']}", plans, value=account["plan"], hide_label=True)

        async def change() -> None:
            await self._control.set_plan(account["id"], picker.value)
            c.notify(f"{account['name']} is on the {picker.value} plan now")
            await self._accounts.refresh()

        picker.changed(change)


def _show_secret(title: str, hint: str, values: dict[str, str]) -> None:
    with c.dialog(title):
        c.text("p", hint)
        for name, value in values.items():
            c.text("span", name, "label")
            c.code(value, label=name)


def _account(account_id: str) -> str:
    return account_id.removeprefix("acc_").capitalize()
