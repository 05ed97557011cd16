"""An API key is found, validated and never shown."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from enprompta import ConfigurationError
from enprompta._core.steps import Answer, HttpReply, Sleep
from enprompta._http.exchange.auth import ApiKeyAuth, ClientCredentials, Secret, credentials_from

SECRET = "ep_live_hunter2"


def test_the_argument_goes_before_the_environment() -> None:
    """An explicit key takes precedence."""
    auth = credentials_from({"ENPROMPTA_API_KEY": "ep_other"}, api_key=SECRET)
    assert auth.header == f"Bearer {SECRET}"
    assert credentials_from({"ENPROMPTA_API_KEY": "ep_other"}).header == "Bearer ep_other"


@pytest.mark.parametrize("environ", [{}, {"ENPROMPTA_API_KEY": ""}])
def test_no_key_names_the_variable_to_set(environ: dict[str, str]) -> None:
    """The error says what to pass, which variable to set, and where to create a key."""
    with pytest.raises(ConfigurationError, match=r"pass api_key=.*ENPROMPTA_API_KEY.*dashboard"):
        credentials_from(environ)


@pytest.mark.parametrize(
    "key", [f"{SECRET}\n", f"{SECRET}\r\n", f" {SECRET}", f"{SECRET} x", f"{SECRET}ż", f"{SECRET}\0", f"{SECRET}\t"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    """The error names a line break or an invalid character without showing the key."""
    for name, kwargs, environ in (
        ("api_key", {"api_key": key}, {}),
        ("ENPROMPTA_API_KEY", {}, {"ENPROMPTA_API_KEY": key}),
    ):
        with pytest.raises(ConfigurationError, match=f"^{name} holds a (blank|character outside)") as caught:
            credentials_from(environ, **kwargs)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["", 17, b"ep_x", ["ep_x"], True])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    """An empty key or one of another type is not silently replaced by the environment's."""
    with pytest.raises(ConfigurationError, match=r"^api_key (is empty|must be text, not )"):
        credentials_from({"ENPROMPTA_API_KEY": "ep_other"}, api_key=key)


def test_a_secret_shows_itself_only_on_demand() -> None:
    """`repr`, `str` and format strings do not reveal it."""
    secret = Secret(SECRET)
    assert secret.reveal() == SECRET
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}"):
        assert SECRET not in text
    assert SECRET not in repr(ApiKeyAuth(secret))


def finished(steps: Any) -> Any:
    """Return the result of steps that do not wait."""
    with pytest.raises(StopIteration) as ended:
        next(steps)
    return ended.value.value


def test_a_key_is_always_ready() -> None:
    """A key needs no token request; a refused key stays the same."""
    auth = ApiKeyAuth(Secret(SECRET))
    assert finished(auth.obtain(None)) == auth.header
    auth.reject(auth.header)
    assert auth.header == f"Bearer {SECRET}"


def test_credentials_need_a_client() -> None:
    """Without a client, credentials cannot fetch a token; the error says so."""
    with pytest.raises(ConfigurationError, match="not connected to a client"):
        next(ClientCredentials("me", Secret(SECRET), []).obtain(None))


def test_a_fork_during_a_token_fetch() -> None:
    """A child forked during a token fetch completes the fetch by itself."""
    content = b'{"access_token": "at_1", "expires_in": 60}'
    reply = HttpReply(Answer(200, httpx.Headers(), content, httpx.Request("POST", "https://api.test/")), (), 0.1)

    def send(path: str, json: object, ends: float | None) -> Any:
        yield Sleep(1.0)
        return reply

    auth = ClientCredentials("me", Secret(SECRET), [])
    auth.connect(send)
    steps = auth.obtain(None)
    step = next(steps)
    assert isinstance(step, Sleep)
    assert step.seconds == 1.0
    auth.after_fork()
    assert finished(steps) == auth.header == "Bearer at_1"
