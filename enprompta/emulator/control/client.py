"""A client of the control interface, for the Workbench and for tests in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx

from enprompta.errors import ConfigurationError, EnpromptaError
from enprompta.exchanges import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

_TIMEOUT = 30.0  # longer than a request for exchanges waits

JSON = dict[str, Any]


class ControlError(EnpromptaError):
    """The emulator refused a control request, or cannot be reached; the message says why."""


class EmulatorControl:
    """Controls a running emulator over HTTP: what the API has no call for. An async context manager.

    All methods raise `ControlError` if the emulator refuses the request or cannot be reached.

    Args:
        url: Address of the emulator, with or without `/api/v1`.
        token: The control token that the emulator prints when it starts; `Emulator.control_token` in Python.

    Raises:
        ConfigurationError: The address is not an `http://` URL.
    """

    def __init__(self, url: str, token: str) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"{url!r} is not a URL: {error}") from error
        if parsed.scheme != "http" or not parsed.host:
            raise ConfigurationError(f"{url!r} is not the address of an emulator, such as http://127.0.0.1:8787")
        self.origin: str = f"http://{parsed.netloc.decode('ascii')}"
        """Scheme, host and port of the emulator."""
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            trust_env=False,  # the emulator is on this machine: no proxy is involved
        )

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def info(self) -> JSON:
        """Describe the emulator: `version`, `plans`, `scopes`, `events` and `clock`."""
        return await self._send("GET", "")

    # Exchanges

    async def exchanges(self, after: int = 0, *, wait: int = 0) -> tuple[int, list[Exchange]]:
        """Return the exchanges that were added or changed after a revision.

        Args:
            after: The revision that the last call returned; 0 for everything that the emulator keeps.
            wait: Seconds to wait for the first change, up to 25; 0 to return at once.

        Returns:
            The revision to continue with, and the exchanges.
        """
        found = await self._send("GET", "/exchanges", params={"after": after, "wait": wait})
        return found["revision"], [Exchange.from_json(one) for one in found["exchanges"]]

    async def clear_exchanges(self) -> None:
        """Remove all logged exchanges."""
        await self._send("DELETE", "/exchanges")

    # Accounts, keys and OAuth2 clients

    async def accounts(self) -> list[JSON]:
        """List the accounts with their plans and usage."""
        return await self._send("GET", "/accounts")

    async def set_plan(self, account_id: str, plan: str) -> JSON:
        """Move an account, such as `acc_team`, to another plan, with its limits and credits."""
        return await self._send("PUT", f"/accounts/{_quoted(account_id)}", {"plan": plan})

    async def keys(self) -> list[JSON]:
        """List the API keys; generated ones are shown by their last characters."""
        return await self._send("GET", "/keys")

    async def generate_key(self, account_id: str, name: str) -> JSON:
        """Create an API key of an account; only this result contains it, as `key`."""
        return await self._send("POST", "/keys", {"accountId": account_id, "name": name})

    async def rename_key(self, key_id: str, name: str) -> JSON:
        """Rename an API key."""
        return await self._send("PUT", f"/keys/{_quoted(key_id)}", {"name": name})

    async def revoke_key(self, key_id: str) -> JSON:
        """Revoke an API key: requests with it get a 401 from now on."""
        return await self._send("DELETE", f"/keys/{_quoted(key_id)}")

    async def oauth_clients(self) -> list[JSON]:
        """List the OAuth2 clients with their scopes."""
        return await self._send("GET", "/oauth-clients")

    async def add_oauth_client(self, plan: str, scopes: Sequence[str]) -> JSON:
        """Create an OAuth2 client of the account of a plan; only this result contains its `clientSecret`."""
        return await self._send("POST", "/oauth-clients", {"plan": plan, "scopes": list(scopes)})

    async def set_scopes(self, client_id: str, scopes: Sequence[str]) -> None:
        """Change the scopes that an OAuth2 client may request."""
        await self._send("PUT", f"/oauth-clients/{_quoted(client_id)}", {"scopes": list(scopes)})

    async def remove_oauth_client(self, client_id: str) -> None:
        """Delete an OAuth2 client."""
        await self._send("DELETE", f"/oauth-clients/{_quoted(client_id)}")

    # Faults and clock

    async def faults(self) -> list[JSON]:
        """List the faults, the one added first coming first."""
        return await self._send("GET", "/faults")

    async def add_fault(self, **options: object) -> JSON:
        """Add a fault; the options are those of `Emulator.faults.add`."""
        return await self._send("POST", "/faults", options)

    async def remove_fault(self, fault_id: int) -> None:
        """Remove a fault."""
        await self._send("DELETE", f"/faults/{fault_id}")

    async def clear_faults(self) -> None:
        """Remove all faults."""
        await self._send("DELETE", "/faults")

    async def set_clock(self, **changes: object) -> JSON:
        """Change the clock and the rate limit windows, and return them.

        Args:
            changes: Any of `reset` (True), `advance` (seconds), `stopped` (a boolean), `window` and `day` (seconds).
        """
        return await self._send("PUT", "/clock", changes)

    # Data

    async def reset(self) -> None:
        """Delete all data, faults and logged exchanges."""
        await self._send("POST", "/reset")

    async def seed(self, account_id: str = "acc_team") -> None:
        """Add sample data to an account: objects of each kind, and two weeks of activity."""
        await self._send("POST", "/seed", {"accountId": account_id})

    async def export_data(self) -> JSON:
        """Return all data as one JSON document, including keys and secrets."""
        return await self._send("GET", "/data")

    async def import_data(self, document: Mapping[str, object]) -> None:
        """Replace all data by an exported document."""
        await self._send("PUT", "/data", document)

    # Prompts and webhooks

    async def versions(self, prompt_id: str) -> list[JSON]:
        """List a prompt's versions, newest first: `version`, `content`, `variables`, `labels`, `createdAt`."""
        return await self._send("GET", f"/prompts/{_quoted(prompt_id)}/versions")

    async def set_label(self, prompt_id: str, label: str, version: int) -> None:
        """Point a label of a prompt at a version."""
        await self._send("PUT", f"/prompts/{_quoted(prompt_id)}/labels/{_quoted(label)}", {"version": version})

    async def remove_label(self, prompt_id: str, label: str) -> None:
        """Remove a label from a prompt."""
        await self._send("DELETE", f"/prompts/{_quoted(prompt_id)}/labels/{_quoted(label)}")

    async def deliveries(self, *, limit: int = 100) -> list[JSON]:
        """List the newest webhook deliveries of all accounts.

        Each has the fields of the API and `url`, `webhookName`, `payload`, `body` and `attemptLog`: one entry for each
        attempt with `at`, `signature`, `signatureValid`, `responseStatus`, `latencyMs` and the receiver's `answer`.
        """
        return await self._send("GET", "/deliveries", params={"limit": limit})

    async def trigger(self, account_id: str, event: str, data: Mapping[str, object]) -> int:
        """Publish an event of an account; return the number of webhooks that it is delivered to."""
        body = {"accountId": account_id, "event": event, "data": dict(data)}
        return (await self._send("POST", "/events", body))["webhooks"]

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        params: Mapping[str, int] | None = None,
    ) -> Any:  # noqa: ANN401 (JSON)
        try:
            response = await self._client.request(method, f"{self.origin}/control{path}", json=body, params=params)
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
            raise ControlError(f"The emulator at {self.origin} cannot be reached: {problem}") from error
        if response.is_success:
            return response.json() if response.content else None
        raise ControlError(_message(response))


def _message(response: httpx.Response) -> str:
    try:
        return str(cast("JSON", response.json())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The emulator responded with status {response.status_code}; is it an emulator of this version?"


def _quoted(text: str) -> str:
    return quote(text, safe="")
