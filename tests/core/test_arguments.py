"""Arguments are validated against the signature before anything is sent, in every method."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from enprompta import ConfigurationError
from enprompta._core import arguments
from enprompta._core.operation import describe_call
from enprompta.models import Prompt, PromptVariable, Team, WorkflowStep
from enprompta.resources.executions import ExecutionCalls
from enprompta.resources.prompts import PromptCalls
from enprompta.resources.teams import TeamCalls
from enprompta.resources.webhooks import WebhookCalls
from enprompta.resources.workflows import WorkflowCalls

PROMPT = Prompt(id="pmt_1", title="t", content="c", team_id="team_1")
STEP = {"id": "s", "prompt_id": "p"}


@pytest.mark.parametrize(
    ("calls", "method", "args", "kwargs", "says"),
    [
        (PromptCalls, "get", [PROMPT], {}, "prompt_id must be text, not Prompt: pass prompt.id"),
        (PromptCalls, "list", [], {"team_id": Team(id="t", name="n")}, "team_id must be text, not Team: pass team.id"),
        (PromptCalls, "list", [], {"team_id": PROMPT}, "team_id must be text, not Prompt: pass prompt.team_id"),
        (PromptCalls, "update", ["p"], {"team_id": 7}, "team_id must be text, not int: pass the id as text"),
        (ExecutionCalls, "list", [], {"prompt_id": PROMPT}, "prompt_id must be text, not Prompt: pass prompt.id"),
        (ExecutionCalls, "list", [], {"prompt_id": None}, "prompt_id is None: leave it out"),
        (ExecutionCalls, "list", [], {"start_date": 7}, "start_date must be a datetime, a date or text, not int"),
        (TeamCalls, "update_member", ["t", {}], {"role": "ADMIN"}, "user_id must be text, not dict: pass its id"),
        (PromptCalls, "execute", ["p"], {"temperature": "hot"}, "temperature must be a number from 0 to 2, not 'hot'"),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"temperature": "x" * 99},
            f"temperature must be a number from 0 to 2, not '{'x' * 40}…'",
        ),
        (PromptCalls, "execute", ["p"], {"temperature": True}, "temperature must be a number from 0 to 2, not True"),
        (PromptCalls, "execute", ["p"], {"temperature": -0.1}, "temperature must be a number from 0 to 2, not -0.1"),
        (PromptCalls, "execute", ["p"], {"temperature": None}, "temperature is None: leave it out"),
        (PromptCalls, "execute", ["p"], {"temperature": [1]}, "temperature must be a number from 0 to 2, not list"),
        (PromptCalls, "execute", ["p"], {"temperature": Decimal("NaN")}, "temperature is NaN"),
        (PromptCalls, "execute", ["p"], {"top_p": 1.5}, "top_p must be a number from 0 to 1, not 1.5"),
        (PromptCalls, "execute", ["p"], {"max_tokens": 0}, "max_tokens must be a whole number of 1 or more, not 0"),
        (PromptCalls, "execute", ["p"], {"max_tokens": 1.5}, "max_tokens must be a whole number of 1 or more, not 1.5"),
        (
            PromptCalls,
            "list",
            [],
            {"limit": 10**5000},
            "limit must be a whole number from 1 to 100, not that large a number",
        ),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"stop_sequences": "END"},
            'stop_sequences must be a list, not str: stop_sequences=["…"]',
        ),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"stop_sequences": ["a", 1]},
            "stop_sequences[1] must be text, not int: pass str(value)",
        ),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"variables": {"a": [1]}},
            "variables.a must be text, a number or a boolean, not a list: pass json.dumps(value)",
        ),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"variables": {"a b": None}},
            "variables['a b'] must be text, a number or a boolean, not None: leave it out",
        ),
        (
            PromptCalls,
            "execute",
            ["p"],
            {"variables": ["a"]},
            "variables must be a mapping of names to values, not list",
        ),
        (PromptCalls, "execute", ["p"], {"variables": None}, "variables is None: leave it out"),
        (PromptCalls, "create", [], {"title": None, "content": "c"}, "title is None: leave it out"),
        (PromptCalls, "create", [], {"title": PROMPT, "content": "c"}, "title must be text, not Prompt: pass text"),
        (PromptCalls, "create", [], {"title": b"t", "content": "c"}, "title is binary (bytes)"),
        (
            PromptCalls,
            "create",
            [],
            {"title": "t", "content": "c", "variables": ["a"]},
            "variables[0] must be a PromptVariable or a dict of its fields, not str",
        ),
        (
            PromptCalls,
            "create",
            [],
            {"title": "t", "content": "c", "variables": {"name": "a"}},
            "variables must be a list, not dict",
        ),
        (WebhookCalls, "update", ["w"], {"is_active": "yes"}, "is_active must be True or False, not 'yes'"),
        (
            WorkflowCalls,
            "execute",
            ["w"],
            {"input": {"a": {}}},
            "input.a must be text, a number or a boolean, not a dict",
        ),
        (WorkflowCalls, "create", [], {"name": "n", "steps": STEP}, "steps must be a list, not dict"),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": ["s"]},
            "steps[0] must be a WorkflowStep or a dict of its fields, not str",
        ),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": [STEP, {"id": "t", "prompt_id": PROMPT}]},
            "steps[1].prompt_id must be text, not Prompt: pass prompt.id",
        ),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": [STEP, STEP, {**STEP, "options": {"temperature": 3}}]},
            "steps[2].options.temperature must be a number from 0 to 2, not 3",
        ),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": [{**STEP, "options": {"maxTokens": 0}}]},
            "steps[0].options.maxTokens must be a whole number of 1 or more",
        ),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": [{**STEP, "options": []}]},
            "steps[0].options must be a mapping",
        ),
        (
            WorkflowCalls,
            "update",
            ["w"],
            {"steps": [WorkflowStep(id="s", prompt_id="p", variables={"x": [1]})]},
            "steps[0].variables.x must be text, a number or a boolean, not a list",
        ),
        (
            WorkflowCalls,
            "create",
            [],
            {"name": "n", "steps": [{**STEP, "depends_on": "a"}]},
            "steps[0].depends_on must be a list, not str",
        ),
    ],
    ids=range(40),
)
def test_a_wrong_argument_is_refused(calls: Any, method: str, args: list[Any], kwargs: Any, says: str) -> None:
    """The error names the parameter, its type and the cure, for paths, queries, bodies and lists."""
    with pytest.raises(ConfigurationError, match="^" + re.escape(says)):
        describe_call(calls, method, *args, **kwargs)


def test_arguments_are_sent_in_plain_form() -> None:
    """A `Decimal` is a number where a number is expected; sets are sorted; steps are models or dicts."""
    call = describe_call(
        PromptCalls,
        "execute",
        "p",
        temperature=Decimal("0.5"),
        max_tokens=3,
        stop_sequences={"b", "a"},
        variables={"a": 1},
    )
    assert call.json == {
        "variables": {"a": 1}, "options": {"temperature": 0.5, "maxTokens": 3, "stopSequences": ["a", "b"]},
    }  # fmt: skip
    model = WorkflowStep(id="s", prompt_id="p", options={"temperature": 1, "new": [1]}, provider=None)
    steps = {"id": "s", "promptId": "p", "options": {"temperature": 1, "new": [1]}, "provider": None}
    assert describe_call(WorkflowCalls, "create", name="n", steps=iter([model])).json == {"name": "n", "steps": [steps]}
    declared = describe_call(PromptCalls, "update", "p", variables=(PromptVariable(name="a"),), team_id=None)
    assert declared.json == {"variables": [PromptVariable(name="a")], "teamId": None}
    with pytest.raises(TypeError, match=r"prompts.execute\(\) got 'modle'"):
        describe_call(PromptCalls, "execute", "p", modle="m")
    assert describe_call(WebhookCalls, "update", "w", is_active=False).json == {"isActive": False}
    assert describe_call(PromptCalls, "list", search=None).params == {"search": None}


def test_a_parameter_without_bounds_takes_any_number() -> None:
    """Only parameters with bounds in the API reference have some."""
    assert arguments.whole_number("count", -3) == -3
    with pytest.raises(ConfigurationError, match=r"^count must be a whole number, not 'x'$"):
        arguments.whole_number("count", "x")
