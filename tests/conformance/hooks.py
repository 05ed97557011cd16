"""Facts that the schema cannot express, for schemathesis, which loads this module by `SCHEMATHESIS_HOOKS`.

A request may fit its schema and be wrong all the same: a cursor that no page has given, a value for a variable that
the prompt does not have, a step that refers to what is not there. So every second request that fits its schema is led
to where it can succeed; and a 400 is right, however well the request fits, when each of its details says something
that no schema could have said. Any other refusal is a mistake in the document or in the emulator.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData

from tests.conformance.seeds import PLAIN_PROMPT, TEAMS_TO_LEAVE

EXAMPLE_KEY = "0b7f6d0e-5a0c-4c0e-9d3a-2f1f6f7c9b11"
_EXAMPLES = {
    PLAIN_PROMPT,
    *("pmt_abc123", "pmt_def456", "exe_xyz789", "tpl_abc123", "wfl_abc123", "wfe_abc123"),
    *("tem_abc123", "usr_abc123", "whk_abc123", "dlv_abc123"),
}  # what the examples speak of stays: what is to be deleted is made for it
CLIENT = {"client_id": "ep_client_enterprise", "client_secret": "ep_secret_enterprise", "scope": "prompts:read"}

_leaving = itertools.cycle(TEAMS_TO_LEAVE)
_numbers = itertools.count()
_REFUSALS = [
    (re.compile(field, re.DOTALL), re.compile(message, re.DOTALL))
    for field, message in (
        (r"cursor", r"Is not a cursor of this list"),
        (r"scope", r"The client may not have the scope .*"),
        (r"variables\..*", r"Required variable is missing|Unknown variable|Must be .*"),
        # Schemathesis does without the pattern of names, whose lookaheads it cannot use; test_pattern.py tests it.
        (r"variables\[\d+\]\.name", r".* is declared twice|Must be letters, digits, .*"),
        (r"input\..*", r"Required by step .*|Must be text, a number or a boolean"),
        (r"parentSpanId", r"The trace has no span .*"),
        (r"startTime|endTime", r"Must be an ISO 8601 .*"),  # from 1970 to 2261
        (r"steps", r"The steps wait for each other: .*"),
        (r"steps\[\d+\]\.id", r".* is the id of an earlier step too"),
        (r"steps\[\d+\]\.promptId", r"There is no prompt .*"),
        (r"steps\[\d+\]\.dependsOn\[\d+\]", r"There is no step .*"),
        (r"steps\[\d+\]\.variables\..*", r"There is no step .*|.* is no reference; .*"),
    )
]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Send no idempotency key twice, and lead every second positive case to where it can succeed."""
    number = next(_numbers)
    if (case.headers or {}).get("Idempotency-Key") == EXAMPLE_KEY:  # it would be a conflict from the second time on
        case.headers["Idempotency-Key"] = f"key-{number}"
    ids = case.path_parameters or {}
    name = "userId" if "userId" in ids else "id"
    if ids.get(name) in ({PLAIN_PROMPT} if case.method == "PUT" else _EXAMPLES if case.method == "DELETE" else ()):
        ids[name] = "none"
    if case.meta is not None and case.meta.generation.mode.is_positive and number % 2:
        _lead(case.operation.definition.raw.get("operationId"), case)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Keep a failure unless it is a refusal for reasons that no schema holds."""
    operation = case.operation.definition.raw.get("operationId")
    if isinstance(failure, AcceptedNegativeData) and operation == "ingest.traces":
        return False  # the JSON form of protobuf also accepts numbers as text, numbers for flags, and unknown fields
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    error = response.json().get("error")
    if error is None:  # OTLP's own
        return True
    if isinstance(error, str):  # RFC 6749
        return error != "invalid_scope"
    details = error["details"]
    return not details or not all(_is_semantic(it["field"], it["message"]) for it in details)


def _lead(operation: str, case: Any) -> None:
    body: Any = case.body
    if case.meta.phase.name != TestPhase.STATEFUL:  # where ids come from earlier answers, and stay
        if operation == "prompts.execute":
            case.path_parameters["id"] = PLAIN_PROMPT
        elif operation == "teams.leave":
            case.path_parameters["id"] = next(_leaving)
    if not isinstance(body, dict):
        return
    if operation == "oauth.token":
        body.update(CLIENT)
    elif operation == "prompts.execute":
        body.pop("variables", None)
    elif operation in {"workflows.create", "workflows.update"}:
        for number, step in enumerate(body.get("steps", [])):
            step.update(id=f"s{number}", promptId=PLAIN_PROMPT, variables={}, dependsOn=[])


def _is_semantic(field: str, message: str) -> bool:
    return any(known.fullmatch(field) and says.fullmatch(message) for known, says in _REFUSALS)
