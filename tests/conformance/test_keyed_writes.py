"""Every write that the document lets carry an idempotency key happens once, however often it is sent."""

from __future__ import annotations

import json

import httpx
import pytest

from enprompta._common.headers import KEYED_METHODS
from enprompta.emulator import Emulator
from enprompta.emulator.access import idempotency
from tests.conformance.document import DOCUMENT, OPERATIONS, of, problems_of_response, resolve
from tests.conformance.recorded import requests
from tests.conformance.seeds import sow

RULE = DOCUMENT["x-idempotency"]
KEYED = {
    name
    for name, operation in OPERATIONS.items()
    if RULE["header"] in {resolve(parameter)["name"] for parameter in operation.raw.get("parameters", [])}
}


def test_the_rule_stands_once() -> None:
    """The document's rule is what its operations, the emulator and the client go by."""
    writes = {name for name, operation in OPERATIONS.items() if operation.method in RULE["methods"]}
    assert writes == KEYED, (
        f"each {' and '.join(RULE['methods'])} in docs/openapi.yaml needs the parameter IdempotencyKey, no other method"
    )
    assert set(RULE["methods"]) == KEYED_METHODS
    assert RULE["keptSeconds"] == idempotency.KEEP_SECONDS
    assert RULE["notKept"] == [*sorted(idempotency.NOT_KEPT), "5XX"]


@pytest.fixture(scope="module")
def answers() -> dict[str, list[httpx.Response]]:
    """The answers to each keyed write: sent twice, with another body, by another account, and with another key."""
    seen: dict[str, list[httpx.Response]] = {}
    with Emulator(rate_limits=False, webhook_backoff=()) as emulator, httpx.Client(trust_env=False) as http:
        sow(emulator)
        other = emulator.clients.team
        for number, request in enumerate(requests(emulator)):
            operation = of(request)
            headers = {"Authorization": request.headers.get("Authorization", ""), "Content-Type": "application/json"}
            key = {RULE["header"]: f"write {number}"}

            def send(content: bytes, *more: dict[str, str], request: httpx.Request = request) -> httpx.Response:
                sent = {name: value for each in (headers, *more) for name, value in each.items()}  # noqa: B023 (now)
                return http.request(request.method, request.url, content=content, headers=sent)

            if operation.id not in KEYED:
                assert send(request.content).is_success, operation.id
                continue
            body = json.loads(request.content or b"{}")
            changed = json.dumps({**body, "beyond": 1}).encode()
            stranger = {"Authorization": f"Bearer {emulator.keys.team}"}
            foreign = request.content
            if operation.id == "oauth.token":
                stranger = {}
                foreign = json.dumps(
                    {**body, "client_id": other.client_id, "client_secret": other.client_secret}
                ).encode()
            seen[operation.id] = [
                send(request.content, key),
                send(request.content, key),
                send(changed, key),
                send(foreign, key, stranger),
            ]
    return seen


@pytest.mark.parametrize("name", sorted(KEYED))
def test_a_keyed_write_happens_once(answers: dict[str, list[httpx.Response]], name: str) -> None:
    """Sent again it gets the first answer; with another body it is a 409; another account's key is another key."""
    first, again, changed, foreign = answers[name]
    assert first.is_success, first.text
    assert again.headers.get("Idempotent-Replayed"), (
        f"the emulator did not replay the first response of {name}: its route in enprompta/emulator/api/routes/ "
        "needs a method in KEYED_METHODS of enprompta/_common/headers.py"
    )
    assert (again.status_code, again.content) == (first.status_code, first.content)
    replayed = [it.headers.get("Idempotent-Replayed") for it in (first, again, changed, foreign)]
    assert replayed == [None, "true", None, None]
    assert changed.status_code == 409
    assert foreign.status_code != 409 or "Idempotency-Key" not in foreign.text
    says_nothing = foreign.status_code == 204 or foreign.content == b"{}"
    assert foreign.content != first.content or says_nothing
    for answer in (first, again, changed):
        assert problems_of_response(answer) == []
