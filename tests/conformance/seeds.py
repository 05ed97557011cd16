"""Puts into an emulator what the document's examples speak of, so that fuzzing gets behind the 404s."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from enprompta.emulator import Emulator

PLAIN_PROMPT = "pmt_plain"
"""A prompt without variables."""
TEAMS_TO_LEAVE = [f"tem_leave_{number}" for number in range(30)]
"""Teams of another account that the one under test is in."""
_MEMBERS = 30  # to be removed
_OWNERS = {
    "prompts": [("prompt_versions", "prompt_id"), ("executions", "prompt_id")],
    "workflows": [("workflow_executions", "workflow_id")],
    "workflow_executions": [("workflow_steps", "run_id")],
    "teams": [("team_members", "team_id"), ("prompts", "team_id")],
    "webhooks": [("deliveries", "webhook_id")],
    "traces": [("trace_spans", "trace_id")],
}


def sow(emulator: Emulator) -> None:
    """Make one of everything with the ids that the document's examples have, and some teams to leave."""
    database = emulator._started().services.database
    database.run("PRAGMA foreign_keys = OFF")

    def rename(table: str, old: str, new: str) -> str:
        database.run(f"UPDATE {table} SET id = ? WHERE id = ?", new, old)
        for other, column in _OWNERS.get(table, []):
            database.run(f"UPDATE {other} SET {column} = ? WHERE {column} = ?", new, old)
        return new

    with _client(emulator, emulator.keys.enterprise) as own, _client(emulator, emulator.keys.pro) as other:
        team = rename("teams", _make(own, "/teams", name="Editorial")["id"], "tem_abc123")
        for prompt_id, content in (
            (PLAIN_PROMPT, "Say something"),
            ("pmt_abc123", "Write about {{topic}}"),
            ("pmt_def456", "Draft this: {{outline}}"),
        ):
            rename("prompts", _make(own, "/prompts", title="Launch announcement", content=content)["id"], prompt_id)
        execution = _make(own, f"/prompts/{PLAIN_PROMPT}/execute")
        rename("executions", execution["id"], "exe_xyz789")
        member = _make(own, f"/teams/{team}/members", email="ada@example.com")
        database.run("UPDATE team_members SET user_id = 'usr_abc123' WHERE id = ?", member["id"])
        database.run("UPDATE users SET id = 'usr_abc123'")
        for number in range(_MEMBERS):
            _make(own, f"/teams/{team}/members", email=f"member{number}@example.com")
        steps = [{"id": "only", "promptId": PLAIN_PROMPT}]
        workflow = rename("workflows", _make(own, "/workflows", name="Outline", steps=steps)["id"], "wfl_abc123")
        run = _make(own, f"/workflows/{workflow}/execute")["id"]
        _until(lambda: own.get(f"/workflows/{workflow}/executions/{run}").json()["data"]["status"] == "completed")
        rename("workflow_executions", run, "wfe_abc123")
        database.run("UPDATE workflow_executions SET status = 'running', completed_at = NULL")  # to be cancelled
        webhook = _make(own, "/webhooks", name="Audit log", url="https://example.com/hook", events=["prompt.executed"])
        rename("webhooks", webhook["id"], "whk_abc123")
        rename("deliveries", _make(own, "/webhooks/whk_abc123/test")["id"], "dlv_abc123")
        trace = _make(own, "/traces", provider="openai", model="gpt-4", input="Hello", output="Hi.")["traceId"]
        rename("trace_spans", _make(own, f"/traces/{trace}/spans", name="s", spanType="LLM")["spanId"], "spn_abc123")
        rename("traces", trace, "trc_abc123")
        database.run("UPDATE templates SET id = 'tpl_abc123' WHERE number = 1")
        for name in TEAMS_TO_LEAVE:
            left = rename("teams", _make(other, "/teams", name=name)["id"], name)
            _make(other, f"/teams/{left}/members", email="enterprise@example.com", role="ADMIN")
    database.run("PRAGMA foreign_keys = ON")


def _client(emulator: Emulator, key: str) -> httpx.Client:
    return httpx.Client(base_url=emulator.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def _make(client: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    response = client.post(path, json=fields)
    assert response.is_success, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


def _until(true: Any) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass within 10 seconds")
