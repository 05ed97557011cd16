"""Faults: make requests to the emulator fail, move its clock, and reset, seed, export and import its data."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from nicegui import ui

from enprompta.errors import ConfigurationError
from enprompta.workbench import components as c
from enprompta.workbench import frame
from enprompta.workbench.live import Region
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from nicegui.events import UploadEventArguments

    from enprompta.emulator import EmulatorControl
    from enprompta.workbench.session import JSON

_KINDS = {
    "status": "Status",
    "latency": "Delay",
    "drip": "Slow drip",
    "before": "Connection reset",
    "after": "Lost answer",
}
# The field of an effect that has one: its name, its first value, and a hint.
_VALUES = {
    "status": ("Status", "503", "Such as 429, 500 or 503"),
    "latency": ("Delay", "2", "Seconds before the response"),
    "drip": ("Pause", "0.5", "Seconds before each 16 bytes"),
}
_STEPS = {"60": "1 minute", "3600": "1 hour", "86400": "1 day", "2678400": "31 days"}


@frame.page("/faults", "Faults", emulator_only=True)
async def _show() -> None:
    c.header("Faults", "Make requests fail, move the clock, and start over.")
    control = current().control
    if control is not None:
        await _Faults(control).start(every=2.0)
        await _Clock(control).start(every=2.0)
        _Data(control)


class _Faults(Region["list[JSON]"]):
    """The form for a new fault, and the list."""

    def __init__(self, control: EmulatorControl) -> None:
        self._control = control
        with c.section("New fault"):
            with c.box("div", "form-row dense"):
                self._kind = c.select("Effect", _KINDS)
                self._details = c.box("div", "contents")
                self._path = c.field("Path", "/**", hint="* is one segment, ** is any number")
                self._method = c.select("Method", {"": "Any", **{one: one for one in ("GET", "POST", "PUT", "DELETE")}})
                self._times = c.field("Times", "1", hint="Empty: until it is removed")
            with c.box("div", "actions"):
                c.button("Add fault", self._add, kind="primary", icon_name="add")
        with c.section("Faults") as actions:
            with actions:
                c.button("Remove all", self._clear)
            super().__init__(control.faults, self._table, name="faults")
        self._value: c.Control | None = None
        self._retry_after: c.Control | None = None
        self._kind.changed(self._show_details)
        self._show_details()

    def _show_details(self) -> None:
        """Show the fields that the chosen effect has."""
        kind = self._kind.value
        self._details.clear()
        self._value = self._retry_after = None
        with self._details:
            if kind in _VALUES:
                name, value, hint = _VALUES[kind]
                self._value = c.field(name, value, hint=hint)
            if kind == "status":
                self._retry_after = c.field("Retry-After", placeholder="None", hint="Seconds, sent as a header")

    async def _add(self) -> None:
        kind = self._kind.value
        options: JSON = {"path": self._path.value.strip() or "/**"}
        if self._method.value:
            options["method"] = self._method.value
        if self._times.value.strip():
            options["times"] = int(c.read_number("Times", self._times.value))
        if self._value is None:
            options["drop"] = kind
        else:
            number = c.read_number(_VALUES[kind][0], self._value.value)
            options[kind] = int(number) if kind == "status" else number
        if self._retry_after is not None and self._retry_after.value.strip():
            options["headers"] = {"Retry-After": self._retry_after.value.strip()}
        await self._control.add_fault(**options)
        await self.refresh()

    async def _clear(self) -> None:
        await self._control.clear_faults()
        await self.refresh()

    def _table(self, faults: list[JSON]) -> None:
        if not faults:
            c.empty("No faults", "Add one, then run your program: it should retry, wait or report the error well.")
            return
        rows = [
            (
                _effect(one),
                f"{one['method'] or 'Any'} {one['path']}",
                f"{one['hits']:,}" + (f" of {one['times']:,}" if one["times"] else ""),
                partial(c.badge, "over" if one["isOver"] else "active", "" if one["isOver"] else "warn"),
                partial(c.button, "Remove", partial(self._remove, one["id"]), kind="quiet"),
            )
            for one in faults
        ]
        c.table(["Effect", "Requests", ">Hits", "State", ">Actions"], rows, label="Faults")

    async def _remove(self, fault_id: int) -> None:
        await self._control.remove_fault(fault_id)
        await self.refresh()


class _Clock(Region["JSON"]):
    """The emulator's time and its rate limit windows."""

    def __init__(self, control: EmulatorControl) -> None:
        self._control = control
        with c.section("Clock and windows"):
            super().__init__(self._load, self._facts, name="the clock")
            with c.box("div", "form-row"):
                self._step = c.select("Move by", _STEPS)
                self._window = c.field("Minute window", hint="Seconds; 60 in production")
                self._day = c.field("Day window", hint="Seconds; 86400 in production")
            with c.box("div", "actions"):
                c.button("Move forward", self._advance, kind="primary")
                c.button("Stop", lambda: self._change(stopped=True))
                c.button("Resume", lambda: self._change(stopped=False))
                c.button("Back to real time", lambda: self._change(reset=True))
                c.button("Set windows", self._set_windows)

    async def _load(self) -> JSON:
        return (await self._control.info())["clock"]

    def _facts(self, clock: JSON) -> None:
        c.facts(
            [
                ("Time", clock["time"].replace("T", " ").replace("Z", " UTC")),
                ("State", c.status("stopped" if clock["isStopped"] else "running")),
                ("Ahead of real time", f"{round(clock['offset']):,} s"),
                ("Minute window", f"{clock['window']:,g} s"),
                ("Day window", f"{clock['day']:,g} s"),
            ]
        )

    async def _advance(self) -> None:
        await self._change(advance=float(self._step.value))

    async def _set_windows(self) -> None:
        fields = (("window", self._window), ("day", self._day))
        await self._change(**{name: c.read_number(name, one.value) for name, one in fields if one.value.strip()})

    async def _change(self, **changes: object) -> None:
        await self._control.set_clock(**changes)
        await self.refresh()


class _Data:
    """Buttons for all data of the emulator."""

    def __init__(self, control: EmulatorControl) -> None:
        self._control = control
        with c.section("Data"):
            c.text("p", "An export has all data, keys and secrets included.", "muted")
            with c.box("div", "actions"):
                c.button("Add sample data", self._seed)
                c.button("Export", self._export, icon_name="o_download")
                c.button("Import", self._import, icon_name="o_upload")
                c.button("Reset", self._confirm_reset, kind="danger")

    async def _seed(self) -> None:
        await self._control.seed(f"acc_{current().account}")
        c.notify("Sample data added")

    async def _export(self) -> None:
        document = await self._control.export_data()
        ui.download.content(json.dumps(document, indent=1), "enprompta-emulator.json")

    def _import(self) -> None:
        with c.dialog("Import data") as opened:
            c.text("p", "All data is replaced by that of the file.")

            async def take(event: UploadEventArguments) -> None:
                await c.run(lambda: self._replace(event))
                opened.close()

            ui.upload(label="Exported file", auto_upload=True, max_files=1, on_upload=take).props("accept=.json")

    async def _replace(self, event: UploadEventArguments) -> None:
        try:
            document = json.loads(await event.file.read())
        except (ValueError, RecursionError) as error:
            raise ConfigurationError("The file is not JSON: choose one that was exported here") from error
        await self._control.import_data(document)
        c.notify("Data imported")

    def _confirm_reset(self) -> None:
        async def reset() -> None:
            await self._control.reset()
            current().log.clear()
            c.notify("The emulator is empty")

        consequence = "All data, keys, faults and logged requests are deleted. Export first to keep them."
        c.confirm("Reset the emulator?", consequence, "Reset", reset)


def _effect(fault: JSON) -> str:
    parts = [
        f"status {fault['status']}" if fault["status"] else "",
        f"delay {fault['latency']:g} s" if fault["latency"] else "",
        f"drip {fault['drip']:g} s" if fault["drip"] else "",
        {"before": "reset", "after": "lost answer"}.get(fault["drop"] or "", ""),
    ]
    return ", ".join(part for part in parts if part)
