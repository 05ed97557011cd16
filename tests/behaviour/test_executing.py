"""`execute` with a type and with an expected version, in each kind of client."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from enprompta import (
    ConfigurationError,
    Enprompta,
    InternalServerError,
    NotFoundError,
    OutputError,
    VersionMismatchError,
)
from enprompta._core import prompt_versions
from enprompta.models import Execution, LivePrompt, LiveVersion, TypedExecution
from tests.behaviour.conftest import BASE_URL


class Answer(BaseModel):
    value: int


def executed(output: str | None, number: int = 1, **fields: Any) -> httpx.Response:
    """Answer as the API does after an execution."""
    data = {"id": f"e{number}", "status": "completed", "output": output, "tokens": 10, "cost": 0.5, **fields}
    return httpx.Response(201, json={"success": True, "data": data})


def prompt(version: Any = 3, content: str = "{{topic}}", variables: Any = ()) -> httpx.Response:
    """Answer with a prompt."""
    data = {"id": "p", "title": "t", "content": content, "version": version, "variables": list(variables)}
    return httpx.Response(200, json={"success": True, "data": data})


def bodies(api: Any) -> list[Any]:
    """The variables of each execution that was sent."""
    return [json.loads(one.content)["variables"] for one in api.requests if one.method == "POST"]


def test_the_output_is_a_value(api: Any) -> None:
    """`parsed` is the model; the rest is the execution, one credit, one request."""
    api.answers(executed('Sure: {"value": 3}'))
    done = api.run(lambda c: c.prompts.execute("p", output=Answer))
    assert isinstance(done, TypedExecution)
    assert done.parsed == Answer(value=3)
    assert (done.id, done.cost, done.total_cost, done.total_tokens, done.credits) == ("e1", 0.5, 0.5, 10, 1)
    assert done.executions == (done,)
    assert done.output_error is None
    assert api.sent == 1
    assert pickle.loads(pickle.dumps(done)).parsed == Answer(value=3)
    assert copy.deepcopy(done).model_dump() == done.model_dump()
    assert "parsed" not in done.model_dump()


def test_an_invalid_output_is_not_executed_again(api: Any) -> None:
    """The error has the execution, the place and the text, and one execution was sent."""
    api.answers(executed('{"value": "x"}'))
    with pytest.raises(
        OutputError, match="execution e1 was charged, but the output does not match Answer at value"
    ) as it:
        api.run(lambda c: c.prompts.execute("p", variables={"topic": "tea"}, output=Answer))
    assert (it.value.execution.id, it.value.place, it.value.text) == ("e1", "value", '{"value": "x"}')
    assert [one.id for one in it.value.executions] == ["e1"]
    assert type(it.value.execution) is Execution
    assert api.sent == 1


def test_a_repair_is_one_more_execution(api: Any) -> None:
    """The problem is appended to the last text variable; both executions and their costs are reachable."""
    api.answers(executed("No idea"), prompt(content="{{topic}} {{lang}}"), executed('{"value": 4}', 2))
    given = {"topic": "tea", "lang": "en", "unused": 1}
    done = api.run(lambda c: c.prompts.execute("p", variables=given, output=Answer, repair=1, idempotency_key="k"))
    assert done.parsed.value == 4
    assert [one.id for one in done.executions] == ["e1", "e2"]
    assert (done.cost, done.total_cost, done.total_tokens, done.credits) == (0.5, 1.0, 20, 2)
    first, second = bodies(api)
    assert first["lang"] == "en"
    assert second["topic"] == "tea"
    assert second["lang"].startswith("en\n\nYour previous answer could not be used: the output does not match Answer")
    assert "No idea" in second["lang"]
    assert '"required": ["value"]' in second["lang"]
    keys = [one.headers.get("idempotency-key") for one in api.requests]
    assert keys[0] == "k"
    assert keys[1] is None
    assert len(keys[2]) == 64


def test_a_prompt_can_have_a_variable_for_the_problem(api: Any) -> None:
    """`output_error`, used or declared, receives the note, and other variables stay as they are."""
    big: Any = dict[str, tuple[(int,) * 2_000]]  # a schema too long to repeat
    declared = [{"name": "output_error", "required": False}]
    for answer in (prompt(content="{{topic}}{{output_error}}"), prompt(variables=declared)):
        api.answers(executed("?"), answer, executed("{}", 2))
        done = api.run(lambda c: c.prompts.execute("p", variables={"topic": "tea"}, output=big, repair=1))
        assert done.parsed == {}
        assert bodies(api)[1]["topic"] == "tea"
        assert bodies(api)[1]["output_error"].endswith("Answer with JSON alone.")


def test_a_type_without_a_schema_can_be_repaired(api: Any) -> None:
    """The note then has the problem alone."""
    api.answers(executed("?"), prompt(), executed("?", 2))
    with pytest.raises(OutputError):
        api.run(lambda c: c.prompts.execute("p", variables={"topic": "t"}, output=Callable[[], int], repair=1))
    assert bodies(api)[1]["topic"].endswith("Answer with JSON alone.")


def test_repairs_end(api: Any) -> None:
    """As many repairs as allowed, then the error with all executions; the last text is the error's."""
    api.answers(executed("a", 1), prompt(), executed("b", 2), prompt(), executed("c", 3))
    with pytest.raises(OutputError, match="3 executions were charged, but") as it:
        api.run(lambda c: c.prompts.execute("p", variables={"topic": "t"}, output=Answer, repair=2))
    assert [one.id for one in it.value.executions] == ["e1", "e2", "e3"]
    assert it.value.text == "c"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([prompt(content="no variables")], "no text variable that the problem can be appended to"),
        ([prompt(variables=[{"name": "topic", "type": "select"}])], "no text variable"),
        ([httpx.Response(404, json={"error": {"message": "gone"}})], "it was not repaired: .*gone"),
        ([prompt(), httpx.Response(402, json={"error": {"message": "no credits"}})], "no credits"),
    ],
)
def test_a_repair_that_fails_loses_nothing(api: Any, answers: list[Any], reason: str) -> None:
    """The error is that of the output, has its execution, and says why there was no repair."""
    api.answers(executed("a"), *answers)
    with pytest.raises(OutputError, match=reason) as it:
        api.run(lambda c: c.prompts.execute("p", variables={"topic": "t"}, output=Answer, repair=1))
    assert it.value.execution.id == "e1"
    assert it.value.__cause__ is not None


def test_a_failed_execution_is_not_repaired(api: Any) -> None:
    """The provider failed: the error says so, and a repair would repeat it."""
    for error, message in (("overloaded", "failed at its provider: overloaded"), (None, "failed at its provider$")):
        api.answers(executed(None, status="failed", error=error))
        with pytest.raises(OutputError, match=message) as it:
            api.run(lambda c: c.prompts.execute("p", output=Answer, repair=1))
        assert it.value.text == ""


def test_unknown_costs_stay_unknown(api: Any) -> None:
    """Without tokens and cost from the API there are no totals."""
    api.answers(executed('{"value": 1}', tokens=None, cost=None))
    done = api.run(lambda c: c.prompts.execute("p", output=Answer))
    assert (done.total_cost, done.total_tokens) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "Answer"}, "output must be a type"),
        ({"repair": 1}, "repair needs output"),
        ({"output": Answer, "repair": 4}, "from 0 to 3, not 4"),
        ({"output": Answer, "repair": True}, "from 0 to 3"),
        ({"expect_version": None}, "expect_version is None: a fallback has no version"),
        ({"expect_version": LiveVersion()}, "expect_version has no number"),
        ({"expect_version": LivePrompt(id="", content="c")}, "expect_version is None"),
        ({"expect_version": " "}, "expect_version is empty"),
        ({"expect_version": 1.5}, "not float"),
        ({"expect_version": True}, "not bool"),
    ],
)
def test_wrong_arguments_send_nothing(api: Any, options: dict[str, Any], message: str) -> None:
    """Arguments that cannot work are refused before anything is charged."""
    api.answers()
    with pytest.raises(ConfigurationError, match=message):
        api.run(lambda c: c.prompts.execute("p", **options))
    assert api.sent == 0


def test_the_id_of_a_fallback_is_named(api: Any) -> None:
    """A fallback has an empty id; the error says that it is one."""
    with pytest.raises(ConfigurationError, match="this is a fallback"):
        api.run(lambda c: c.prompts.execute(LivePrompt(id="", content="c").id))


@pytest.mark.parametrize("expected", [3, "3", "v3", " V3 ", LiveVersion(number=3), LiveVersion(number="v3")])
def test_the_expected_version_is_executed(api: Any, expected: Any) -> None:
    """Numbers and texts of the same version are equal; one request comes before the first execution alone."""
    api.answers(prompt(3), executed("a"), executed("b"))
    for _ in range(2):
        api.run(lambda c: c.prompts.execute("p", expect_version=expected))
    assert [one.method for one in api.requests] == ["GET", "POST", "POST"]


def test_another_version_is_refused_before_it_is_charged(api: Any) -> None:
    """The error has both versions and the prompt; nothing was executed."""
    api.answers(prompt(4))
    with pytest.raises(VersionMismatchError, match="prompt p is version 4 now, not 3") as it:
        api.run(lambda c: c.prompts.execute("p", expect_version=3))
    assert (it.value.prompt_id, it.value.expected, it.value.actual) == ("p", 3, 4)
    api.answers(prompt(None))
    with pytest.raises(VersionMismatchError, match="has no version that the API reports") as it:
        api.run(lambda c: c.prompts.execute("p", expect_version="draft"))
    assert (it.value.expected, it.value.actual) == ("draft", None)


def test_a_remembered_version_never_refuses(api: Any) -> None:
    """After an update within the five seconds, the version is read again before the call is refused."""
    api.answers(prompt(3), executed("a"), prompt(4), executed("b"), prompt(4))
    api.run(lambda c: c.prompts.execute("p", expect_version=3))
    api.run(lambda c: c.prompts.execute("p", expect_version=4))
    with pytest.raises(VersionMismatchError):
        api.run(lambda c: c.prompts.execute("p", expect_version=5))


@pytest.mark.parametrize("change", ["update", "delete"])
def test_a_change_by_this_client_is_seen_at_once(api: Any, change: str) -> None:
    """A version that was remembered before this client changed the prompt confirms nothing."""
    gone = httpx.Response(204)
    api.answers(prompt(3), executed("a"), prompt(4) if change == "update" else gone, prompt(4))
    api.run(lambda c: c.prompts.execute("p", expect_version=3))
    if change == "update":
        api.run(lambda c: c.with_options(timeout=9).prompts.update("p", content="new"))
    else:
        api.run(lambda c: c.prompts.delete("p"))
    with pytest.raises(VersionMismatchError):
        api.run(lambda c: c.prompts.execute("p", expect_version=3))


def test_a_version_is_remembered_for_five_seconds(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is read again; views of a client share what is remembered, and at most a thousand are."""
    now = [100.0]
    monkeypatch.setattr(prompt_versions, "monotonic", lambda: now[0])
    monkeypatch.setattr(prompt_versions, "_MAX_PROMPTS", 1)
    monkeypatch.setattr(prompt_versions.check_version, "__kwdefaults__", {"clock": lambda: now[0]})
    api.answers(prompt(3), executed("a"), executed("b"), prompt(3), executed("c"))
    api.run(lambda c: c.prompts.execute("p", expect_version=3))
    now[0] += prompt_versions.VERSION_SECONDS - 0.1
    api.run(lambda c: c.with_options(timeout=3).prompts.execute("p", expect_version=3))
    now[0] += 0.2
    api.run(lambda c: c.prompts.execute("p", expect_version=3))


def test_errors_of_reading_the_version_are_raised(api: Any) -> None:
    """A prompt that cannot be read is not executed, and nothing is remembered."""
    gone = httpx.Response(404, json={"error": {"message": "gone"}})
    api.answers(gone, prompt(3), executed("a"))
    with pytest.raises(NotFoundError):
        api.run(lambda c: c.prompts.execute("p", expect_version=3))
    api.run(lambda c: c.prompts.execute("p", expect_version=3, headers={"X-A": "b"}, idempotency_key="k"))
    read, sent = api.requests[1:]
    assert read.headers["x-a"] == sent.headers["x-a"] == "b"
    assert "idempotency-key" not in read.headers


def test_raw_responses_have_both(api: Any) -> None:
    """`with_raw_response` takes the same arguments; its attempts are those of all executions."""
    api.answers(prompt(3), executed("?"), prompt(), executed('{"value": 2}', 2), executed("c"))
    options: dict[str, Any] = {"variables": {"topic": "t"}, "expect_version": 3}
    raw = api.run(lambda c: c.with_raw_response.prompts.execute("p", output=Answer, repair=1, **options))
    assert (raw.status_code, raw.data.parsed.value, len(raw.attempts)) == (201, 2, 2)
    raw = api.run(lambda c: c.with_raw_response.prompts.execute("p", **options))
    assert raw.data.output == "c"


def test_the_deadline_bounds_everything(api: Any) -> None:
    """The version, the execution and its repair share one deadline: each request has what is left of it."""
    seen: list[float] = []

    def late(answer: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
        def respond(request: httpx.Request) -> httpx.Response:
            seen.append(0)
            return answer

        return respond

    api.answers(late(prompt(3)), late(executed("?")), late(prompt()), late(executed('{"value": 1}', 2)))
    options: dict[str, Any] = {"variables": {"topic": "t"}, "deadline": 30.0, "repair": 1, "output": Answer}
    assert api.run(lambda c: c.prompts.execute("p", expect_version=3, **options)).parsed.value == 1
    assert len(seen) == 4


def test_callers_share_the_reading_of_a_version() -> None:
    """A hundred threads that start together send one request for the version; a failed one is repeated."""
    reads: list[int] = []
    started = threading.Barrier(20)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return executed("a")
        reads.append(1)
        threading.Event().wait(0.2)
        return prompt(3) if len(reads) > 1 else httpx.Response(500, json={})

    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport) as http:
        client = Enprompta(api_key="ep_x", base_url=BASE_URL, limiter=None, max_retries=0, http_client=http)

        def run(_: int) -> object:
            started.wait()
            try:
                return client.prompts.execute("p", expect_version=3).output
            except InternalServerError:
                return "failed"

        with ThreadPoolExecutor(20) as pool:
            results = list(pool.map(run, range(20)))
        assert set(results) <= {"a", "failed"}
        assert results.count("failed") <= 20
        before = len(reads)
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(run, range(20))) == {"a"}
        assert len(reads) == before  # everything was remembered
