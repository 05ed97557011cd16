"""A list of any length in which the browser has only the rows in view and some around them."""

from __future__ import annotations

from nicegui import ui


class RequestList(ui.element, component="request_list.js"):
    """The visible rows of a long list."""

    def __init__(self) -> None:
        super().__init__()
        self.show(0, 0, [])

    def show(self, total: int, first: int, rows: list[dict[str, object]]) -> None:
        """Show a window of rows, from the index of the first one given."""
        self.props.update({"total": total, "first": first, "rows": rows})
        self.update()

    def scroll_to_top(self) -> None:
        """Scroll to the first row."""
        self.run_method("scrollToTop")
