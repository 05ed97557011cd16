"""`enprompta doctor`: show the configuration and check that it works."""

from __future__ import annotations

import gzip
import os
import platform
import time
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

import typer

from enprompta._http.route.certificates import VARIABLES
from enprompta._http.route.proxies import proxy_for
from enprompta._http.settings import SETTINGS
from enprompta._version import __version__
from enprompta.cli.commands.usage import credits_used
from enprompta.cli.console import FAILED, line, out
from enprompta.cli.error_handling import NOT_CONFIGURED, connected
from enprompta.cli.options import Json
from enprompta.cli.output import write_json
from enprompta.cli.profiles import SetupError, choose, config_file
from enprompta.cli.shared_options import shared
from enprompta.cli.words import explain
from enprompta.errors import AuthenticationError, EnpromptaError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from enprompta import Enprompta
    from enprompta._core.response import APIResponse
    from enprompta.models import Health

_SKEW = 5.0  # seconds of clock difference that cause no problems
_LONG = 16  # minimum length of a key whose last four characters may be shown
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_INGEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    status: Literal["ok", "warn", "fail"]
    text: str


def doctor(*, as_json: Json = False) -> None:
    """Show the configuration and check that it can reach and use the service."""
    versions = f"enprompta {__version__}, Python {platform.python_version()}"
    findings = [Finding("version", "ok", versions), *_environment()]
    status = 0
    try:
        findings[1:1] = _profile()
        with connected(max_retries=0) as client:
            findings += _service(client)
    except SetupError as error:
        findings.append(Finding("settings", "fail", error.message))
        status = NOT_CONFIGURED
    if any(finding.status == "fail" for finding in findings):
        status = status or FAILED
    if as_json:
        write_json({"ok": status == 0, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            word = (f"{finding.status:<6}", _STYLES[finding.status])
            out.print(line(word, (f"{finding.check:<13}", "cyan"), finding.text))
    raise typer.Exit(status)


def masked(secret: str) -> str:
    """Abbreviate a key so that its owner recognizes it but others cannot use it."""
    start = "ep_" if secret.startswith("ep_") else ""
    return f"{start}…{secret[-4:]}" if len(secret) >= _LONG else f"{start}…"


def _profile() -> list[Finding]:
    """Report the profile in use, if the credentials come from one."""
    chosen = choose()
    if chosen.profile is None:
        return []
    profile = chosen.profile
    place = "the keyring" if profile.storage == "keyring" else str(config_file())
    what = (
        f"API key {masked(chosen.settings['api_key'])}"
        if profile.client_id is None
        else f"OAuth2 client {profile.client_id}"
    )
    return [Finding("credentials", "ok", f"{what}, from profile {profile.name}, stored in {place}")]


def _environment() -> list[Finding]:
    environ = os.environ
    found: list[Finding] = []
    if shared.profile is not None:
        pass  # the profile overrides the environment
    elif key := environ.get("ENPROMPTA_API_KEY", "").strip():
        found.append(Finding("credentials", "ok", f"API key {masked(key)}, from ENPROMPTA_API_KEY"))
    elif client_id := environ.get("ENPROMPTA_CLIENT_ID", "").strip():
        secret = "set" if environ.get("ENPROMPTA_CLIENT_SECRET") else "not set"
        text = f"OAuth2 client {client_id}, from ENPROMPTA_CLIENT_ID; ENPROMPTA_CLIENT_SECRET is {secret}"
        found.append(Finding("credentials", "ok", text))
    names = [
        setting.variable for setting in SETTINGS if setting.name != "base_url"
    ]  # reported separately, as the address
    found += [
        Finding("setting", "ok", f"{name}={environ[name]}") for name in (*names, "ENPROMPTA_LOG") if environ.get(name)
    ]
    found += [Finding("certificates", "ok", f"{name}={environ[name]}") for name in VARIABLES if environ.get(name)]
    return found


def _service(client: Enprompta) -> list[Finding]:
    url = client.base_url
    profile = choose().profile
    origin = "ENPROMPTA_BASE_URL" if os.environ.get("ENPROMPTA_BASE_URL") else "the default"
    origin = origin if profile is None else f"profile {profile.name}"
    findings = [Finding("address", "ok", f"{url}, from {origin}")]
    if (proxy := proxy_for(url)) is not None:
        findings.append(Finding("proxy", "ok", str(proxy)))
    try:
        answer, took, at = _health(client)
    except NotFoundError as error:  # a server answers, but not the API
        hint = "the base URL must end in /api/v1 (see ENPROMPTA_BASE_URL)"
        return [*findings, Finding("reachable", "fail", f"{explain(error)}; {hint}")]
    except EnpromptaError as error:
        return [*findings, Finding("reachable", "fail", explain(error))]
    health = answer.data
    version = f", version {health.version}" if health.version else ""
    state = f"{health.status or 'answers'} in {took * 1000:.0f} ms{version}"
    findings.append(Finding("reachable", "ok" if health.status in {"healthy", None} else "warn", state))
    findings.append(_clock(answer.headers.get("date"), at))
    findings += _account(client)
    findings += tracing_findings(client)
    return findings


def _health(client: Enprompta) -> tuple[APIResponse[Health], float, float]:
    """Request the health; return the response, its duration in seconds, and the local time at its midpoint."""
    began, at = time.perf_counter(), time.time()
    answer = client.with_raw_response.health()
    took = time.perf_counter() - began
    return answer, took, at + took / 2


def _clock(date: str | None, at: float) -> Finding:
    try:
        skew = at - (parsedate_to_datetime(date or "").timestamp() + 0.5)  # a Date header has whole seconds
    except (TypeError, ValueError):
        return Finding("clock", "warn", "the service sent no Date header to compare with")
    if abs(skew) <= _SKEW:
        return Finding("clock", "ok", "this machine's clock agrees with the service")
    how = "ahead of" if skew > 0 else "behind"
    return Finding("clock", "warn", f"this machine's clock is {abs(skew):,.0f} s {how} the service: correct it")


def _account(client: Enprompta) -> list[Finding]:
    try:
        used = client.usage.get()
    except AuthenticationError as error:
        return [Finding("account", "fail", f"the service refuses the credentials: {explain(error)}")]
    except PermissionDeniedError as error:
        return [_without_usage(client, error)]
    except EnpromptaError as error:
        return [Finding("account", "fail", explain(error))]
    findings = [Finding("account", "ok", f"plan {used.plan or 'unknown'}")]
    if (credits_ := used.tokens) is not None:
        spent = credits_.limit is not None and (credits_.remaining or 0) <= 0
        findings.append(Finding("credits", "warn" if spent else "ok", credits_used(credits_)))
    for check, window in (("minute", used.requests_per_minute), ("day", used.requests_per_day)):
        if window is not None and window.limit is not None:
            left = window.remaining or 0
            text = f"{left:,} of {window.limit:,} requests left this {check}"
            findings.append(Finding("requests", "ok" if left else "warn", text))
    return findings


def _without_usage(client: Enprompta, refusal: PermissionDeniedError) -> Finding:
    """Distinguish credentials without the usage scope from a plan without any API access."""
    try:
        client.prompts.list(limit=1)
    except PermissionDeniedError:
        return Finding("account", "fail", f"neither usage nor prompts can be read with these credentials: {refusal}")
    except EnpromptaError as error:
        return Finding("account", "fail", explain(error))
    return Finding("account", "warn", f"usage cannot be read with these credentials: {refusal}")


def tracing_findings(client: Enprompta) -> list[Finding]:
    """Check that the service accepts spans, with an empty request, and that no canary passes the redaction."""
    try:
        from enprompta.tracing.exporter import INGEST_PATH  # noqa: PLC0415 (an extra)
    except ImportError:
        return [Finding("tracing", "ok", 'not installed; pip install "enprompta[tracing]" adds it')]
    return [_ingest(client, INGEST_PATH), _redaction()]


def _ingest(client: Enprompta, path: str) -> Finding:
    """Send a request without spans."""
    from enprompta._client.ingest_client import IngestClient  # noqa: PLC0415 (as the client)
    from enprompta.tracing.batches import HEADERS  # noqa: PLC0415 (an extra)

    sender = IngestClient(client)
    try:
        sender.post(path, gzip.compress(b""), HEADERS, seconds=_INGEST_SECONDS)
    except PermissionDeniedError as error:
        return Finding("tracing", "warn", f"spans need the scope traces:write: {explain(error)}")
    except EnpromptaError as error:
        return Finding("tracing", "warn", f"spans cannot be sent: {explain(error)}")
    finally:
        sender.close()
    return Finding("tracing", "ok", "the service accepts spans")


def _redaction() -> Finding:
    """Report whether planted secrets are redacted."""
    from enprompta.tracing.redaction_proof import PLANTED, secrets_that_pass  # noqa: PLC0415 (an extra)

    passed = secrets_that_pass()
    if passed:
        return Finding("redaction", "fail", f"{len(passed)} of {len(PLANTED)} planted secrets were not redacted")
    return Finding("redaction", "ok", f"{len(PLANTED)} planted secrets are redacted before spans are sent")
