"""Send any request with the account in use, and write it as code."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from enprompta import Call
from enprompta.errors import APIStatusError, ConfigurationError
from enprompta.workbench.session import current

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Draft:
    """A request to send."""

    method: str
    path: str
    """Path of the URL, such as `/api/v1/prompts`, without the query."""
    query: str = ""
    body: str = ""
    """JSON; empty for none."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The response to a sent request."""

    status: int
    ms: float
    headers: Mapping[str, str]
    text: str
    request_id: str | None

    @property
    def is_error(self) -> bool:
        """True for a status of 400 or more."""
        return self.status >= HTTPStatus.BAD_REQUEST


async def send(draft: Draft) -> Sent:
    """Send a request once, without retries.

    Raises:
        EnpromptaError: The request is not valid, or no response arrived.
    """
    if not draft.path.startswith("/api/"):
        raise ConfigurationError("The path must begin with /api/, such as /api/v1/prompts")
    body: object = None
    if draft.body.strip():
        try:
            body = json.loads(draft.body)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"The body is not valid JSON: {error}") from error
    params = dict(parse_qsl(draft.query, keep_blank_values=True))
    call = Call(draft.method, draft.path, NoneType, params=params, json=body, options={"max_retries": 0})
    client, began = current().client, time.monotonic()
    try:
        response = await client.with_raw_response.run(call)
    except APIStatusError as error:
        text = error.body if isinstance(error.body, str) else json.dumps(error.body, ensure_ascii=False)
        return Sent(error.status_code, _since(began), error.headers or {}, text, error.request_id)
    text = response.content.decode("utf-8", "replace")
    return Sent(response.status_code, _since(began), response.headers, text, response.request_id)


def as_python(draft: Draft, base_url: str) -> str:
    """Write a request as a Python program."""
    arguments = [repr(draft.method), repr(draft.path), "object" if draft.method == "GET" else "type(None)"]
    if draft.query:
        arguments.append(f"params={dict(parse_qsl(draft.query, keep_blank_values=True))!r}")
    if draft.body.strip():
        arguments.append(f"json={_literal(draft.body)}")
    return (
        "from enprompta import Call, Enprompta\n\n"
        f"with Enprompta(base_url={base_url!r}) as client:  # reads ENPROMPTA_API_KEY\n"
        f"    response = client.with_raw_response.run(Call({', '.join(arguments)}))\n"
        "    print(response.status_code, response.content.decode())\n"
    )


def as_curl(draft: Draft, base_url: str) -> str:
    """Write a request as a curl command, for a POSIX shell."""
    origin = "/".join(base_url.split("/", 3)[:3])
    url = f"{origin}{draft.path}" + (f"?{draft.query}" if draft.query else "")
    lines = [f"curl -X {shlex.quote(draft.method)} {shlex.quote(url)}"]
    lines.append('  -H "Authorization: Bearer $ENPROMPTA_API_KEY"')
    if draft.body.strip():
        lines += ["  -H 'Content-Type: application/json'", f"  --data-raw {shlex.quote(draft.body)}"]
    return " \\\n".join(lines) + "\n"


def _literal(body: str) -> str:
    """Return a Python expression for a JSON text; one that is not JSON becomes a string."""
    try:
        return repr(json.loads(body))
    except (ValueError, RecursionError):
        return repr(body)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
