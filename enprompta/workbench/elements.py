"""HTML elements as plain functions. Text becomes a text node of the page, so it is never parsed as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING = "—"
"""Shown for what has no value."""


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
