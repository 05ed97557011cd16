"""`repr` and `print` of every model are one short line that identifies the object."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enprompta import models
from enprompta.models import (
    CreatedWebhook,
    Execution,
    ExecutionStats,
    LivePrompt,
    Model,
    Prompt,
    TeamMember,
    UsageRecord,
    Workflow,
    WorkflowExecution,
)
from enprompta.models.events import PromptExecuted, UnknownEvent
from enprompta.models.live_prompts import CacheInfo

SHOWN = [getattr(models, name) for name in models.__all__ if name not in {"Model", "WebhookSecret"}]
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
LONG = "x" * 5000


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            Execution(id="exe_1", status="completed", output=LONG, tokens=14, cost=0.0007),
            "<Execution exe_1 completed 14 tokens $0.0007>",
        ),
        (Execution(id="exe_1", cost=0.0), "<Execution exe_1 $0>"),
        (Execution(id="exe_1", cost=2.50), "<Execution exe_1 $2.5>"),
        (ExecutionStats(key="gpt-4", executions=3), "<ExecutionStats key=gpt-4 executions=3>"),
        (UsageRecord(date=date(2026, 1, 2), requests=3), "<UsageRecord requests=3>"),
        (Prompt(id="pmt_1", title="Welcome mail", content=LONG, version=3), "<Prompt pmt_1 'Welcome mail' version=3>"),
        (Prompt(id="pmt_1", title="a\nb", content=""), r"<Prompt pmt_1 'a\nb'>"),
        (Prompt(id="pmt_1", title=LONG, content=""), f"<Prompt pmt_1 '{LONG[:37]}...'>"),
        (
            TeamMember(user_id="usr_1", email="a@example.com", name="A", role="OWNER"),
            "<TeamMember user_id=usr_1 role=OWNER>",
        ),
        (
            CreatedWebhook(id="whk_1", name="Mail", url="https://example.com/?token=secret", secret="whsec_1"),
            "<CreatedWebhook whk_1 'Mail'>",
        ),
        (Workflow(id="wfl_1", name="Mails", steps=[]), "<Workflow wfl_1 'Mails' steps=0>"),
        (WorkflowExecution(id="wfx_1", status="running"), "<WorkflowExecution wfx_1 running steps=0>"),
        (
            PromptExecuted.model_validate(
                {"id": "evt_1", "event": "prompt.executed", "created_at": CREATED, "data": {}}
            ),
            "<PromptExecuted evt_1 created_at=2026-01-02T03:04:05+00:00>",
        ),
        (
            UnknownEvent.model_validate({"id": "evt_1", "event": "new.event", "created_at": CREATED, "data": LONG}),
            "<UnknownEvent evt_1 new.event created_at=2026-01-02T03:04:05+00:00>",
        ),
        (Execution.model_construct(), "<Execution>"),
    ],
)
def test_a_model_is_shown_in_one_line(model: Model, line: str) -> None:
    """`repr` and `str` show the short fields that the API sent, without texts, URLs and secrets."""
    assert repr(model) == str(model) == line


@pytest.mark.parametrize("model", [one for one in SHOWN if isinstance(one, type) and issubclass(one, Model)])
def test_every_model_shows_a_field(model: type[Model]) -> None:
    """A model shows at least one field, and names only fields and properties that exist."""
    known = [field for field in model._REPR_FIELDS if hasattr(model, field) or field in model.model_fields]
    assert known, f"{model.__name__} needs _REPR_FIELDS"
    assert known == list(model._REPR_FIELDS) or model._REPR_FIELDS is Model._REPR_FIELDS


def test_a_live_prompt_shows_whether_it_is_the_fallback() -> None:
    """The repr of a live prompt shows its version and `is_fallback`."""
    live = LivePrompt.model_validate({"id": "pmt_1", "slug": "mail", "label": "production", "version": {"number": 3}})
    assert repr(live) == "<LivePrompt pmt_1 slug=mail label=production version=3 is_fallback=False>"
    fallback = live.with_cache_info(CacheInfo(is_fallback=True))
    assert "is_fallback=True" in repr(fallback)


def test_a_model_of_the_application_has_a_repr() -> None:
    """A subclass without its own list shows id, title, name and status."""

    class Ticket(Model):
        id: str
        text: str

    assert repr(Ticket(id="tkt_1", text=LONG)) == "<Ticket tkt_1>"


@given(st.dictionaries(st.sampled_from(["id", "status", "title", "provider"]), st.text()))
def test_any_text_keeps_the_repr_on_one_line(fields: dict[str, str]) -> None:
    """Whatever text the API sends, the line stays one line, printable and short."""
    shown = repr(Prompt.model_construct(**fields)) + repr(Execution.model_construct(**fields))
    assert shown.isprintable()
    assert len(shown) < 1000


def test_lists_of_fields_name_fields_that_exist() -> None:
    """Every field that a model lists for its repr is one of its fields or properties."""
    for name in models.__all__:
        model = getattr(models, name)
        if isinstance(model, type) and issubclass(model, Model) and model is not Model:
            shown = set(model._REPR_FIELDS) - {"id", "title", "name", "status"}
            assert all(field in model.model_fields or isinstance(getattr(model, field), property) for field in shown)
            assert not shown & {"content", "output", "secret", "url", "email", "error", "variables"}


def test_reprs_do_not_change_what_is_written() -> None:
    """The list of fields is not a field: it is in neither JSON nor equality."""
    assert json.loads(Execution(id="exe_1").model_dump_json(exclude_unset=True)) == {"id": "exe_1"}
