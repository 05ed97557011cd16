"""Authenticate with an API key, or with OAuth2 client credentials that are exchanged for an access token.

Both kinds have `header`, the `Authorization` value if one is ready, and `obtain()`, the steps that get one.
"""

from __future__ import annotations

import copy
from threading import Lock
from typing import TYPE_CHECKING, Any, final

from enprompta._common.clock import monotonic
from enprompta._common.headers import is_header_text, problem_of
from enprompta._core.steps import WaitForFuture
from enprompta._http import failures
from enprompta.errors import (
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    EnpromptaError,
    ErrorInfo,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from enprompta._core.steps import Answer, HttpReply, Steps

    Sender = Callable[[str, object, "float | None"], Steps[HttpReply]]

RENEW_BEFORE = 60.0  # renew a token this many seconds before it expires, or after nine tenths of its lifetime if later
RENEW_AGAIN = 5.0  # seconds between failed early renewals; the old token stays in use


@final
class Secret:
    """A text revealed only by `reveal()`, never in repr, logs, tracebacks or f-strings."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"


class ApiKeyAuth:
    """Authentication with an API key (reference: "Authentication")."""

    renews = False

    def __init__(self, key: Secret) -> None:
        self.header = f"Bearer {key.reveal()}"
        self.identity = key.reveal()

    def obtain(self, deadline_at: float | None) -> Steps[str]:
        """Return the header; it is always ready."""
        del deadline_at
        yield from ()
        return self.header

    def reject(self, header: str) -> None:
        """Do nothing: an API key cannot be renewed."""

    def after_fork(self) -> None:
        """Do nothing: a key has no locks."""

    def arguments(self) -> dict[str, object]:
        """Return the constructor arguments that recreate these credentials, secrets included."""
        return {"api_key": self.identity}

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact; the `Authorization` header is redacted from the request."""
        return (self.identity,)

    def __repr__(self) -> str:
        return "<API key>"


class _Token:
    __slots__ = ("ends_at", "header", "renew_at")

    def __init__(self, header: str, renew_at: float, ends_at: float) -> None:
        self.header = header
        self.renew_at = renew_at  # monotonic seconds after which one caller renews the token; others still use it
        self.ends_at = ends_at


class ClientCredentials:
    """Authentication with OAuth2 client credentials (RFC 6749, 4.4).

    The first thread or task without a token fetches one; the others wait and share the token or the error.
    """

    renews = True

    def __init__(self, client_id: str, client_secret: Secret, scopes: Sequence[str]) -> None:
        self.client_id = client_id
        self.identity = client_id
        self._secret = client_secret
        self._scopes = scopes
        self._lock = Lock()  # never held while a step runs
        self._token: _Token | None = None
        self._pending: Future[str | EnpromptaError | None] | None = None
        self._send: Sender | None = None
        self._clock = monotonic

    def connect(self, send: Sender) -> None:
        """Set the function that sends a request to the token endpoint: `send(path, json, deadline_at)`."""
        self._send = send

    @property
    def header(self) -> str | None:
        """The header, if there is a token that is not due for renewal."""
        token = self._token
        return token.header if token and self._clock() < token.renew_at else None

    def obtain(self, deadline_at: float | None) -> Steps[str]:
        """Return a header; fetch a token, or wait for another caller that is fetching one.

        Args:
            deadline_at: Deadline in monotonic seconds; None for no limit.

        Raises:
            AuthenticationError: The token endpoint rejected the credentials; the error has its reason.
            APIConnectionError: The token endpoint could not be reached.
        """
        from concurrent.futures import Future  # noqa: PLC0415 (clients with an API key need none)

        while True:
            with self._lock:
                if (ready := self._usable()) is not None:
                    return ready
                pending, leads = self._pending, self._pending is None
                if leads:
                    pending = self._pending = Future()
            if pending is not None and not leads:
                yield WaitForFuture(pending, deadline_at)
                outcome = pending.result()
                if isinstance(outcome, EnpromptaError):
                    raise copy.copy(outcome)  # a copy for each caller: every raise extends the traceback
                if outcome is not None:
                    return outcome
                continue  # the fetching caller was cancelled: a waiting one takes over
            return (yield from self._lead(deadline_at))

    def _usable(self) -> str | None:
        """Return a valid header: fresh, or being renewed by another caller; None if there is none."""
        token = self._token
        if token is None:
            return None
        now = self._clock()
        if now < token.renew_at or (self._pending is not None and now < token.ends_at):
            return token.header
        return None

    def _lead(self, deadline_at: float | None) -> Steps[str]:
        outcome: str | EnpromptaError | None = None
        try:
            token = yield from self._fetch(deadline_at)
        except EnpromptaError as error:
            old = self._token
            if old is None or self._clock() >= old.ends_at:
                # The deadline was this caller's: the waiting callers continue without it.
                outcome = None if deadline_at is not None and isinstance(error, APITimeoutError) else error
                raise
            # Early renewal failed, but the old token is still valid: continue to use it.
            token = _Token(old.header, min(self._clock() + RENEW_AGAIN, old.ends_at), old.ends_at)
            self._token, outcome = token, token.header
        else:
            self._token, outcome = token, token.header
        finally:
            with self._lock:
                pending, self._pending = self._pending, None
            if pending is not None:
                pending.set_result(outcome)
        return token.header

    def _fetch(self, deadline_at: float | None) -> Steps[_Token]:
        if self._send is None:
            raise ConfigurationError("these credentials are not connected to a client")
        asked_at = self._clock()
        try:
            reply = yield from self._send("/oauth/token", self._form(), deadline_at)
        except APIStatusError as error:
            raise self._refused(error) from None  # the cause holds the request with the secret
        return self._read(reply, asked_at)

    def _form(self) -> dict[str, str]:
        """Build the request body, outside `_fetch` so that tools that print local variables do not show the secret."""
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self._secret.reveal(),
        }
        if self._scopes:
            fields["scope"] = " ".join(self._scopes)
        return fields

    def _refused(self, error: APIStatusError) -> AuthenticationError:
        info = ErrorInfo(
            message=error.message,
            code=error.code,
            numeric_code=error.numeric_code,
            details=error.details,
            documentation_url=error.documentation_url,
        )
        return AuthenticationError(
            f"no access token for client {self.client_id!r}: {info.message}",
            status_code=error.status_code,
            info=info,
            request_id=error.request_id,
            rate_limit=error.rate_limit,
            retry_after=error.retry_after,
            headers=error.headers,
            attempts=error.attempts,
        )

    def _read(self, reply: HttpReply, asked_at: float) -> _Token:
        response = reply.response
        token = _token(response, asked_at)
        if token is None:
            mask = failures.mask_for(response.request, self.secrets())
            headers = mask.headers(response.headers)
            raise APIResponseError(
                f"the token endpoint returned {response.status_code} without a usable access_token",
                status_code=response.status_code,
                request_id=headers.get("x-request-id"),
                headers=headers,
                attempts=mask.attempts(reply.attempts),
            )
        return token

    def reject(self, header: str) -> None:
        """Forget a token that the API rejected with 401, unless it has been replaced since."""
        with self._lock:
            if self._token is not None and self._token.header == header:
                self._token = None

    def after_fork(self) -> None:
        """Reset the state of a fetch in a child process: the thread that was fetching exists only in the parent."""
        self._lock = Lock()
        self._pending = None

    def arguments(self) -> dict[str, object]:
        """Return the constructor arguments that recreate these credentials, secrets included."""
        return {"client_id": self.client_id, "client_secret": self._secret.reveal(), "scopes": self._scopes}

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact in any response: the client secret and the current token."""
        token = self._token
        return (self._secret.reveal(), *([token.header.removeprefix("Bearer ")] if token else []))

    def __repr__(self) -> str:
        return f"<OAuth2 client {self.client_id!r}>"


def _token(response: Answer, asked_at: float) -> _Token | None:
    """Read the token from a response; None if there is no usable one."""
    fields = _token_fields(response)
    access = fields.get("access_token")
    if not is_header_text(access) or not access:
        return None
    life = _seconds(fields.get("expires_in"))
    return _Token(f"Bearer {access}", asked_at + life - min(RENEW_BEFORE, life / 10), asked_at + life)


def _token_fields(response: Answer) -> Mapping[str, object]:
    """Read a token response, in the API's envelope or bare as in RFC 6749."""
    from enprompta._common.json_reading import read_json  # noqa: PLC0415 (API keys need no token)

    try:
        body: object = read_json(response.content)
    except ValueError:
        return {}
    if isinstance(body, dict) and isinstance(body.get("data"), dict):  # pyright: ignore[reportUnknownMemberType]
        body = body["data"]  # pyright: ignore[reportUnknownVariableType]
    return body if isinstance(body, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _seconds(value: object) -> float:
    """Read `expires_in`; if it is missing or invalid, the token is used until the API returns 401."""
    try:
        seconds = float(value)  # type: ignore[arg-type] # other types raise
    except (TypeError, ValueError, OverflowError):
        return float("inf")
    return max(0.0, seconds) if seconds == seconds else float("inf")  # noqa: PLR0124 (only NaN differs from itself)


def credentials_from(
    environ: Mapping[str, str],
    *,
    api_key: object = None,
    client_id: object = None,
    client_secret: object = None,
    scopes: object = None,
) -> ApiKeyAuth | ClientCredentials:
    """Choose the credentials: arguments before the environment, an API key before client credentials.

    Raises:
        ConfigurationError: Credentials are missing, incomplete, of both kinds, or cannot be sent; never shows them.
    """
    if api_key is not None and (client_id is not None or client_secret is not None):
        raise ConfigurationError("pass either api_key, or client_id and client_secret, not both")
    if api_key is not None:
        return ApiKeyAuth(_checked(api_key, "api_key"))
    if client_id is None and client_secret is None and environ.get("ENPROMPTA_API_KEY"):
        return ApiKeyAuth(_checked(environ["ENPROMPTA_API_KEY"], "ENPROMPTA_API_KEY"))
    client_id, id_name = _given(client_id, "client_id", environ)
    client_secret, secret_name = _given(client_secret, "client_secret", environ)
    if client_id is None and client_secret is None:
        raise ConfigurationError(
            "no credentials: pass api_key=..., or set the environment variable ENPROMPTA_API_KEY, or "
            "ENPROMPTA_CLIENT_ID and ENPROMPTA_CLIENT_SECRET (create keys in the dashboard under Settings, API Keys)"
        )
    if client_id is None or client_secret is None:
        missing = (
            "client_id (or ENPROMPTA_CLIENT_ID)" if client_id is None else "client_secret (or ENPROMPTA_CLIENT_SECRET)"
        )
        raise ConfigurationError(f"client credentials are a pair: {missing} is missing")
    if scopes is None:
        scopes = environ.get("ENPROMPTA_SCOPES", "").replace(",", " ").split()
    return ClientCredentials(
        _checked(client_id, id_name).reveal(), _checked(client_secret, secret_name), _checked_scopes(scopes)
    )


def _given(value: object, name: str, environ: Mapping[str, str]) -> tuple[object, str]:
    """Return the argument or else the environment variable, and its name for messages."""
    variable = f"ENPROMPTA_{name.upper()}"
    return (environ.get(variable) or None, variable) if value is None else (value, name)


def _checked(value: object, name: str) -> Secret:
    """Reject a credential that a header cannot carry, without showing it."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    if problem := problem_of(value, ascii_only=True):
        raise ConfigurationError(f"{name} {problem}")
    return Secret(value)


def _checked_scopes(scopes: Any) -> tuple[str, ...]:  # noqa: ANN401 (any argument)
    if isinstance(scopes, str):
        scopes = scopes.split()
    wanted = tuple(scopes)
    if not all(is_header_text(scope) and scope and " " not in scope for scope in wanted):
        raise ConfigurationError('scopes must be a list of names, such as ["prompts:read", "prompts:write"]')
    return wanted
