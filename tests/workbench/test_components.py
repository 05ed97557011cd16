"""Pages with unusual data: missing fields, failures, and text that is not what was expected."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nicegui", reason="the extra workbench is not installed")

from nicegui import ui
from nicegui.client import Client
from nicegui.elements.mixins.text_element import TextElement

from enprompta import BadRequestError, EnpromptaError, FieldError
from enprompta.models import Execution, PromptVariable, RequestWindow, TokenUsage, Usage
from enprompta.workbench import components as c
from enprompta.workbench.pages import home
from enprompta.workbench.prompts.declarations import _default
from enprompta.workbench.prompts.runner import show_execution
from enprompta.workbench.prompts.variable_form import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.step("workbench")


@contextmanager
def shown() -> Iterator[list[str]]:
    """Collect the texts of the elements that are added meanwhile."""
    found: list[str] = []
    with Client(ui.page("/nowhere")) as client:
        yield found
        found += [one.text for one in client.content.descendants() if isinstance(one, TextElement)]
        client.delete()


def test_values_are_formatted_for_people() -> None:
    """Counts, amounts, durations and times are short, and what is unknown is a dash."""
    assert [c.number(one) for one in (None, 0, 1234.0)] == ["—", "0", "1,234"]
    assert [c.money(one) for one in (None, 0.0, 0.0024, 12.5)] == ["—", "$0.00", "$0.0024", "$12.50"]
    assert [c.milliseconds(one) for one in (None, 12.4, 1500.0)] == ["—", "12 ms", "1.5 s"]
    assert c.moment("yesterday") is None
    assert c.clock(None) == "—"
    assert c.clock(c.moment("2024-01-17T10:15:00Z")) == "10:15:00 UTC"
    assert (c.pretty('{"a": 1}'), c.pretty("{"), c.pretty([1])) == ('{\n  "a": 1\n}', "{", "[\n  1\n]")


@pytest.mark.parametrize(
    ("age", "text"), [(5, "just now"), (150, "2 min ago"), (7200, "2 h ago"), (200_000, "2 d ago"), (None, "—")]
)
def test_times_are_relative(age: int | None, text: str) -> None:
    """A time is shown as its age; one without a zone is UTC."""
    now = datetime.now(timezone.utc)
    with shown() as texts:
        c.when(None if age is None else now - timedelta(seconds=age))()
        c.when(None if age is None else (now - timedelta(seconds=age)).replace(tzinfo=None))()
    assert texts == [text, text]


def test_a_problem_with_details() -> None:
    """Each finding of the API is a separate line, with its field if it has one."""
    details = [FieldError("title", "Must not be empty"), FieldError(None, "Too many")]
    error = BadRequestError("no", status_code=400)
    error.details = details
    with shown() as texts:
        c.problem(error)
    assert texts[2:] == ["title: Must not be empty", "Too many"]


def test_a_problem_without_details_or_retry() -> None:
    """An error is shown by its class and its own text."""
    with shown() as texts:
        c.problem(EnpromptaError("<b>no</b>"))
    assert texts == ["EnpromptaError", "<b>no</b>"]


@pytest.mark.parametrize(
    ("show", "texts"),
    [
        (lambda: home._window("Requests", None), ["Requests", "—", "No limit reported"]),
        (lambda: home._window("Requests", RequestWindow(limit=0, remaining=0)), ["Requests", "0", "left of 0"]),
        (lambda: home._credits(Usage()), ["Credits used", "—", "No limit on this plan"]),
        (
            lambda: home._credits(Usage(tokens=TokenUsage(used=1, limit=0))),
            ["Credits left", "0", "of 0 executions a month"],
        ),
    ],
)
def test_home_without_figures(show: Callable[[], None], texts: list[str]) -> None:
    """Figures that the API leaves out are dashes, and a limit of 0 is an empty gauge."""
    with shown() as found:
        show()
    assert found == texts
    assert home._period(Usage()) == ""


def test_a_failed_execution_says_why() -> None:
    """The reason is shown, and no empty output."""
    with shown() as texts:
        show_execution(Execution(id="exe_1", status="failed", error="The model is <asleep>"))
    assert texts[:3] == ["The model is <asleep>", "Status", "failed"]
    assert "Latency" in texts


def test_defaults_are_read_by_type() -> None:
    """A default has the type of its variable if it can be read as such, and stays text otherwise."""
    given = [("", ""), ("3", "number"), ("2.5", "number"), ("many", "number"), ("True", "boolean"), ("x", "boolean")]
    assert [_default(*one) for one in given] == [None, 3, 2.5, "many", True, "x"]
    assert PromptVariable(name="a").default is None


def test_a_text_is_split_at_its_variables() -> None:
    """Every piece of the text is kept, in order, whatever braces it has."""
    content = "{{ a }}{{b}} {c} {{d e}}\n{{a}}"
    assert segments(content) == [
        ("", None), ("a", "a"), ("", None), ("b", "b"), (" {c} {{d e}}\n", None), ("a", "a"), ("", None),
    ]  # fmt: skip
