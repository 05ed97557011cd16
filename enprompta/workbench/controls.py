"""Elements, buttons and form fields, all native, so that keyboards, phones and screen readers handle them as usual."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from enprompta import UNSET
from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from nicegui.events import GenericEventArguments

    from enprompta import Unset

NOTHING = "—"
"""Shown for what has no value."""
Kind = Literal["primary", "plain", "danger", "quiet"]
K = TypeVar("K", bound=str)
_LINE = 80  # characters
_FIRST_CLICK = "(event) => { if (event.detail < 2) emit(); }"  # a double click counts once, however fast the handler is


def box(tag: str = "div", classes: str = "", attributes: Mapping[str, object] | None = None) -> ui.element:
    """Add an element that contains other elements; use it in a `with` block.

    Args:
        tag: HTML or SVG tag.
        classes: CSS classes, separated by spaces.
        attributes: Attributes by name. Names must be constants, because NiceGUI evaluates those that begin with `:`.
    """
    element = ui.element(tag).classes(classes)
    element.props.update(attributes or {})
    return element


def text(tag: str, value: object, classes: str = "", attributes: Mapping[str, object] | None = None) -> TextElement:
    """Add an element that contains only text; None is shown as a dash."""
    element = TextElement(tag=tag, text=NOTHING if value is None else str(value)).classes(classes)
    element.props.update(attributes or {})
    return element


def icon(name: str) -> ui.icon:
    """Add a decorative icon, which screen readers skip; `o_` before a name is its outlined form."""
    return ui.icon(name)


def link(label: object, href: str, classes: str = "link") -> TextElement:
    """Add a link to a page of the Workbench or of the documentation."""
    return text("a", label, classes, {"href": href})


def notify(message: str, *, is_error: bool = False) -> None:
    """Show a short message; errors stay until they are closed."""
    ui.notify(
        message,
        icon="o_error_outline" if is_error else None,  # not the type "negative", whose colors cannot be overridden
        position="bottom",
        timeout=0 if is_error else 3000,
        close_button="Close" if is_error else False,
        multi_line=len(message) > _LINE,
        classes="notice-error" if is_error else "notice",
    )


async def run(handler: Callable[[], Awaitable[object] | object]) -> None:
    """Run a handler; an error of the SDK is shown with its own text."""
    try:
        result = handler()
        if inspect.iscoroutine(result):  # not any awaitable: a dialog is one, and awaiting it opens it
            await result
    except EnpromptaError as error:
        notify(str(error), is_error=True)


def button(
    label: str | Callable[[], object],
    handler: Callable[[], Awaitable[object] | object],
    *,
    kind: Kind = "plain",
    icon_name: str = "",
    classes: str = "",
    attributes: Mapping[str, object] | None = None,
) -> ui.element:
    """Add a button that is disabled while its handler runs, and shows errors of the SDK with their own text.

    Its kind is `primary` for the main action of a place, `danger` for one that deletes.
    """
    element = box("button", f"button button-{kind} {classes}", {"type": "button", **(attributes or {})})
    with element:
        if icon_name:
            icon(icon_name)
        if callable(label):
            label()
        else:
            text("span", label)
    _handle(element, handler)
    return element


def icon_button(
    label: str, icon_name: str, handler: Callable[[], Awaitable[object] | object], *, classes: str = ""
) -> ui.element:
    """Add a button that shows only an icon; the label is for screen readers and the tooltip."""
    element = box("button", f"icon-button {classes}", {"type": "button", "aria-label": label, "title": label})
    with element:
        icon(icon_name)
    _handle(element, handler)
    return element


def _handle(element: ui.element, handler: Callable[[], Awaitable[object] | object]) -> None:
    is_running = False

    async def clicked() -> None:
        nonlocal is_running
        if is_running:
            return
        is_running = True
        element.props.update({"disabled": True, "aria-busy": "true"})
        element.update()
        try:
            with element.client.content:  # stays, even if the handler replaces the button
                await run(handler)
        finally:
            is_running = False
            if not element.is_deleted:
                for name in ("disabled", "aria-busy"):
                    element.props.pop(name, None)
                element.update()

    element.on("click", clicked, js_handler=_FIRST_CLICK)


def copy(value: str) -> None:
    """Copy text to the clipboard."""
    ui.clipboard.write(value)
    notify("Copied")


class Control:
    """A form field with its label; `value` is always text."""

    def __init__(self, element: ui.element, value: str) -> None:
        self.element = element
        self._value = value
        self._listeners: list[Callable[[], Awaitable[object] | object]] = []
        self._delay = 0.0
        self._pending: asyncio.Task[None] | None = None
        if element.tag != "select":
            # Not `value`, which Vue writes again whenever anything on the page changes, over what the user has typed.
            element.props["defaultValue"] = value
        element.on("input", self._typed, js_handler="(event) => emit(event.target.value)")

    @property
    def value(self) -> str:
        """The text in the field; set it to change the field."""
        return self._value

    @property
    def given(self) -> str | Unset:
        """The text in the field; `UNSET`, so that it is left out of a call, if the field is empty."""
        return self._value or UNSET

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.element.client.run_javascript(f"getHtmlElement({self.element.id}).value = {json.dumps(value)}")

    def changed(self, handler: Callable[[], Awaitable[object] | object], *, delay: float = 0.0) -> None:
        """Call a handler after the user has changed the value; with a delay, after that many seconds without change."""
        self._listeners.append(handler)
        self._delay = max(self._delay, delay)

    async def _typed(self, event: GenericEventArguments) -> None:
        self._value = str(event.args)
        if self._delay:
            task = asyncio.current_task()
            self._pending = task
            await asyncio.sleep(self._delay)
            if self._pending is not task:  # the user typed on
                return
        with self.element.client.content:  # stays, even if a listener replaces the field
            for listener in self._listeners:
                await run(listener)


def field(
    label: str,
    value: str = "",
    *,
    kind: str = "text",
    lines: int = 0,
    hint: str = "",
    placeholder: str = "",
    suggestions: Iterable[str] = (),
    classes: str = "",
    hide_label: bool = False,
    is_search: bool = False,
    attributes: Mapping[str, object] | None = None,
) -> Control:
    """Add a text field, of several lines if their number is given.

    The hint stands below it; suggestions are offered while the user types. The keys `/` and Ctrl-K move to the field
    that is for a search.
    """
    with box("div", f"field {classes}"):
        labelled = _label(label, hide=hide_label)
        known = {"placeholder": placeholder, "autocomplete": "off", "spellcheck": "false", **(attributes or {})}
        if is_search:
            known |= {"data-search": "", "title": "Press / to search"}
        if lines:
            element = box("textarea", "input", {"rows": lines, **known})
        else:
            element = box("input", "input", {"type": kind, **known})
        labelled.props["for"] = element.html_id
        offered = list(suggestions)
        if offered:
            with box("datalist") as listed:
                for one in offered:
                    box("option", "", {"value": one})
            element.props["list"] = listed.html_id
        if hint:
            described = text("span", hint, "hint")
            element.props["aria-describedby"] = described.html_id
    return Control(element, value)


class Select(Control, Generic[K]):
    """A field to choose one of several values."""

    def __init__(self, element: ui.element, value: str, options: Iterable[K]) -> None:
        super().__init__(element, value)
        self._options = tuple(options)

    @property
    def chosen(self) -> K:
        """The chosen value, with its type."""
        return next(one for one in self._options if one == self.value)


def select(
    label: str,
    options: Sequence[K] | Mapping[K, str],
    *,
    value: str | None = None,
    classes: str = "",
    hide_label: bool = False,
) -> Select[K]:
    """Add a field to choose one of several values, or of their labels by value; at first the first one."""
    names: Mapping[K, str] = options if isinstance(options, Mapping) else {one: one for one in options}
    chosen = next(iter(names), "") if value is None else value
    with box("div", f"field {classes}"):
        labelled = _label(label, hide=hide_label)
        element = box("select", "input select")
        labelled.props["for"] = element.html_id
        with element:
            for one, name in names.items():
                text("option", name, "", {"value": one, **({"selected": True} if one == chosen else {})})
    return Select(element, chosen, names)


def checkbox(label: str, handler: Callable[[], object], *, is_checked: bool) -> None:
    """Add a checkbox; the handler is called each time that it changes."""
    with box("label", "check"):
        element = box("input", "", {"type": "checkbox", "checked": is_checked})
        text("span", label)
    element.on("change", handler, args=[])


def _label(name: str, *, hide: bool) -> ui.element:
    return text("label", name, "visually-hidden" if hide else "label")


class Choice(Generic[K]):
    """A row of toggles of which one is active, such as tabs or the grouping of a table."""

    def __init__(self, label: str, options: Mapping[K, str], value: K) -> None:
        self.value: K = value
        self._buttons: dict[K, ui.element] = {}
        self._listeners: list[Callable[[], Awaitable[object] | object]] = []
        with box("div", "choice", {"role": "group", "aria-label": label}):
            for one, name in options.items():
                self._buttons[one] = box("button", "choice-option", {"type": "button"})
                with self._buttons[one]:
                    text("span", name)
                self._buttons[one].on("click", functools.partial(self._choose, one), args=[])
        self._mark()

    def changed(self, handler: Callable[[], Awaitable[object] | object]) -> None:
        """Call a handler after the user has chosen another value."""
        self._listeners.append(handler)

    async def _choose(self, value: K) -> None:
        self.value = value
        self._mark()
        for listener in self._listeners:
            await run(listener)

    def _mark(self) -> None:
        for one, element in self._buttons.items():
            element.props["aria-pressed"] = "true" if one == self.value else "false"
            element.update()
