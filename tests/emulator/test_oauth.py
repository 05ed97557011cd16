"""OAuth2 client credentials: tokens, their expiry and their scopes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError
from tests.openapi_file import document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.emulator.conftest import Clock

DOCUMENT = document()
SCOPES = list(DOCUMENT["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"])
GUARDED = [
    (method.upper(), path, operation["security"][1]["oauth2"][0])
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if operation["security"]
]


def ask(emulator: Emulator, **changes: Any) -> dict[str, Any]:
    """Return the body of a valid token request with changes; None omits a field."""
    own = emulator.clients.enterprise
    body = {"grant_type": "client_credentials", "client_id": own.client_id, "client_secret": own.client_secret}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


@pytest.fixture
def token(client: httpx.Client, emulator: Emulator) -> Callable[..., dict[str, Any]]:
    """Request a token and return the response."""

    def get(**changes: Any) -> dict[str, Any]:
        response = client.post("/oauth/token", json=ask(emulator, **changes))
        assert response.status_code == 200, response.text
        return response.json()

    return get


def test_token_acts_for_the_account(
    emulator: Emulator, connect: Any, token: Any, client: httpx.Client, create: Any
) -> None:
    """A token can do what the account's key can, for an hour, with all scopes."""
    granted = token()
    assert {name: granted[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": " ".join(SCOPES),
    }
    prompt = create()
    by_token = connect(emulator, granted["access_token"])
    assert by_token.get(f"/prompts/{prompt['id']}").json()["data"] == prompt
    assert by_token.delete(f"/prompts/{prompt['id']}").status_code == 204


def test_token_answer_is_not_to_be_kept(client: httpx.Client, emulator: Emulator) -> None:
    """No cache may keep a token (RFC 6749, section 5.1)."""
    assert client.post("/oauth/token", json=ask(emulator)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("tier", ["pro", "team", "enterprise"])
def test_each_paid_tier_has_a_client(emulator: Emulator, connect: Any, token: Any, tier: str) -> None:
    """Clients are named after the tiers, and their tokens have the tier's limits."""
    own = getattr(emulator.clients, tier)
    assert own.client_id == f"ep_client_{tier}"
    granted = token(client_id=own.client_id, client_secret=own.client_secret)
    assert connect(emulator, granted["access_token"]).get("/billing").json()["data"]["plan"] == tier


def test_secret_is_not_shown(emulator: Emulator) -> None:
    """A client's repr shows its id but not its secret."""
    assert repr(emulator.clients.pro) == "OAuthClient(client_id='ep_client_pro')"


def test_fewer_scopes_may_be_asked_for(token: Any) -> None:
    """A token has the requested scopes once each, in the document's order; blank means all."""
    assert token(scope="teams:read prompts:read teams:read")["scope"] == "prompts:read teams:read"
    assert token(scope=" ")["scope"] == " ".join(SCOPES)


@pytest.mark.parametrize("operation", GUARDED, ids="{0[0]} {0[1]}".format)
def test_scopes_are_enforced(emulator: Emulator, connect: Any, token: Any, operation: tuple[str, str, str]) -> None:
    """Every operation refuses a token without its scope, naming it, and accepts one with only that scope."""
    method, path, scope = operation
    url = emulator.url.replace("/api/v1", "") + re.sub(r"\{\w+\}", "none", path)
    others = " ".join(name for name in SCOPES if name != scope)
    refused = connect(emulator, token(scope=others)["access_token"]).request(method, url)
    assert refused.status_code == 403
    error = refused.json() if "/otlp/" in path else refused.json()["error"]  # OTLP errors are a google.rpc.Status
    assert error["message"] == f"The access token lacks the scope {scope}"
    assert refused.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'
    assert connect(emulator, token(scope=scope)["access_token"]).request(method, url).status_code != 403


def test_no_scope_is_asked_for_what_is_not_there(emulator: Emulator, connect: Any, token: Any) -> None:
    """An unknown path is a 404 and a wrong method a 405, whatever the token."""
    limited = connect(emulator, token(scope="teams:read")["access_token"])
    assert limited.get("/nothing").status_code == 404
    assert limited.patch("/templates").status_code == 405


def test_client_with_fewer_scopes(emulator: Emulator, connect: Any, token: Any) -> None:
    """A client created with some scopes gets only those."""
    made = emulator.add_client("team", scopes=["teams:read", "prompts:read"])
    own = {"client_id": made.client_id, "client_secret": made.client_secret}
    assert token(**own)["scope"] == "prompts:read teams:read"
    answer = connect(emulator, None).post("/oauth/token", json=ask(emulator, **own, scope="teams:read teams:write"))
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_scope",
        "error_description": "The client may not have the scope teams:write",
    }


def test_client_of_the_free_tier(emulator: Emulator, connect: Any, token: Any) -> None:
    """A tier without API access gets tokens that are refused with 403."""
    made = emulator.add_client("free", scopes=SCOPES)
    granted = token(client_id=made.client_id, client_secret=made.client_secret)
    assert connect(emulator, granted["access_token"]).get("/prompts").status_code == 403


@pytest.mark.parametrize(("tier", "scopes"), [("gold", []), ("pro", ["prompts:own"])])
def test_client_must_make_sense(emulator: Emulator, tier: str, scopes: list[str]) -> None:
    """A client needs an existing tier and existing scopes."""
    with pytest.raises(ConfigurationError, match="Unknown"):
        emulator.add_client(tier, scopes=scopes)


@pytest.mark.parametrize(
    ("changes", "status", "refusal"),
    [
        ({"client_secret": "wrong"}, 401, ("invalid_client", "Unknown client or wrong secret")),
        ({"client_id": "nobody"}, 401, ("invalid_client", "Unknown client or wrong secret")),
        ({"grant_type": "password"}, 400, ("unsupported_grant_type", "Must be client_credentials")),
        ({"scope": "prompts:own"}, 400, ("invalid_scope", "The client may not have the scope prompts:own")),
        ({"grant_type": None}, 400, ("invalid_request", "grant_type: Required")),
        (
            {"client_id": None, "client_secret": 5},
            400,
            ("invalid_request", "client_id: Required; client_secret: Must be text"),
        ),
    ],
)
def test_refusals_are_those_of_the_rfc(
    client: httpx.Client, emulator: Emulator, changes: dict[str, Any], status: int, refusal: tuple[str, str]
) -> None:
    """Each refusal has the name and status of RFC 6749, section 5.2."""
    answer = client.post("/oauth/token", json=ask(emulator, **changes))
    assert answer.status_code == status
    assert answer.json() == dict(zip(("error", "error_description"), refusal, strict=True))


def test_request_must_be_json(client: httpx.Client) -> None:
    """A form or invalid JSON is an invalid request."""
    answers = [
        client.post("/oauth/token", data={"grant_type": "client_credentials"}),
        client.post("/oauth/token", content=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert [(it.status_code, it.json()["error"]) for it in answers] == [(400, "invalid_request")] * 2


@pytest.mark.parametrize("dialect", ["reference", "detailed"])
def test_refusals_in_the_envelope(connect: Any, dialect: Any) -> None:
    """On request, errors of the token endpoint have the API's format, in either dialect."""
    with Emulator(oauth_errors="envelope", error_dialect=dialect) as emulator:
        client = connect(emulator, None)
        wrong = client.post("/oauth/token", json=ask(emulator, client_secret="wrong"))
        scope = client.post("/oauth/token", json=ask(emulator, scope="prompts:own"))
        nothing = client.post("/oauth/token", json={})
    assert wrong.status_code == 401
    assert wrong.json()["error"]["code"] == {"reference": "UNAUTHORIZED", "detailed": 1005}[dialect]
    assert scope.status_code == nothing.status_code == 400
    message = "The client may not have the scope prompts:own"
    assert scope.json()["error"]["details"] == [{"field": "scope", "message": message}]
    assert {it["field"] for it in nothing.json()["error"]["details"]} == {"grant_type", "client_id", "client_secret"}


def test_tokens_end(emulator: Emulator, connect: Any, token: Any, clock: Clock) -> None:
    """An expired token gets a 401 that says so; an unknown one gets a 401 too."""
    client = connect(emulator, token()["access_token"])
    clock.now += 3599.9
    assert client.get("/usage").status_code == 200
    clock.now += 0.1
    ended = client.get("/usage")
    assert (ended.status_code, ended.json()["error"]["message"]) == (401, "The access token has expired")
    assert 'error="invalid_token"' in ended.headers["WWW-Authenticate"]
    unknown = connect(emulator, "ep_at_unknown").get("/usage")
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (401, "Invalid API key")


def test_old_tokens_are_forgotten(emulator: Emulator, connect: Any, token: Any, clock: Clock) -> None:
    """A day after its expiry a token is unknown."""
    client = connect(emulator, token()["access_token"])
    clock.now += 3600 + 86_401
    token()
    assert client.get("/usage").json()["error"]["message"] == "Invalid API key"


def test_tokens_can_be_ended_early(emulator: Emulator, connect: Any, token: Any) -> None:
    """`expire_tokens` ends existing tokens, not later ones."""
    old = connect(emulator, token()["access_token"])
    emulator.expire_tokens()
    assert old.get("/usage").status_code == 401
    assert connect(emulator, token()["access_token"]).get("/usage").status_code == 200


def test_lifetime_can_be_set(connect: Any, clock: Clock) -> None:
    """`token_lifetime` sets the lifetime of tokens."""
    with Emulator(clock=clock, token_lifetime=5) as emulator:
        granted = connect(emulator, None).post("/oauth/token", json=ask(emulator)).json()
        assert granted["expires_in"] == 5
        clock.now += 5
        assert connect(emulator, granted["access_token"]).get("/usage").status_code == 401


def test_settings_must_make_sense() -> None:
    """A lifetime under a second or an unknown error format is refused."""
    with pytest.raises(ConfigurationError, match="token_lifetime"):
        Emulator(token_lifetime=0).start()
    with pytest.raises(ConfigurationError, match="oauth_errors"):
        Emulator(oauth_errors="xml")  # type: ignore[arg-type]


def test_token_requests_are_counted(emulator: Emulator, client: httpx.Client, token: Any) -> None:
    """Every token request counts, also a refused one."""
    assert emulator.token_requests == 0
    token()
    client.post("/oauth/token", json={})
    assert emulator.token_requests == 2


def test_tokens_outlive_a_restart(tmp_path: Path, connect: Any) -> None:
    """A database file keeps clients and tokens."""
    with Emulator(db=tmp_path / "e.db") as emulator:
        made = emulator.add_client("team", scopes=["teams:read"])
        body = ask(emulator, client_id=made.client_id, client_secret=made.client_secret)
        granted = connect(emulator, None).post("/oauth/token", json=body).json()
    with Emulator(db=tmp_path / "e.db") as emulator:
        assert connect(emulator, granted["access_token"]).get("/teams").status_code == 200
        assert connect(emulator, None).post("/oauth/token", json=body).status_code == 200
