"""Rewrite client errors for shell users: command-line options and environment variables instead of Python arguments."""

from __future__ import annotations

import re

from enprompta.errors import APIError, AuthenticationError, ConfigurationError, EnpromptaError, VersionMismatchError

NO_CREDENTIALS = (
    "No credentials: run `enprompta login`, or set ENPROMPTA_API_KEY, or ENPROMPTA_CLIENT_ID and "
    "ENPROMPTA_CLIENT_SECRET (create keys in the dashboard under Settings, API Keys)"
)

_VARIABLES = ("api_key", "base_url", "client_id", "client_secret", "scopes", "timeout", "deadline", "max_retries",
              "max_wait")  # fmt: skip
_OPTIONS = (
    "allow allow_remote category checkpoint concurrency content description email expect_version label limit "
    "max_executions max_tokens max_usd max_writes model name poll_interval provider repair role search status "
    "temperature title top_p url visibility"
)
_OTHER_NAMES = {
    "depends_on": "dependsOn",
    "end_date": "--until",
    "events": "--event",
    "group_by": "--by",
    "input": "--var",
    "is_active": "--enable/--disable",
    "prompt_id": "--prompt",
    "promptId": "--prompt",
    "start_date": "--since",
    "stop_sequences": "--stop",
    "tags": "--tag",
    "team_id": "--team",
    "variables": "--var",
}
_SHELL_NAMES = {
    **{name: f"ENPROMPTA_{name.upper()}" for name in _VARIABLES},
    **{name: f"--{name.replace('_', '-')}" for name in _OPTIONS.split()},
    **_OTHER_NAMES,
}

# `name=...`, a name with an underscore anywhere, or a plain name at the start of a message.
_ARGUMENT = re.compile(
    r"(?<![\w.\"'/-])(?P<assigned>[a-z]\w*)=(?P<value>\.\.\.|…|\"[^\"]*\"|'[^']*'|\[[^\]]*\]|\w*)?"
    r"|(?<![\w.\"'/-])(?P<bare>[a-z]+(?:_[a-z]+)+)(?![\w=])"
    r"|^(?P<first>[a-z]+)(?= (?:must|is|are|holds|has|cannot|takes)\b)"
)
_WHOLE = (
    (re.compile(r"^.*is empty: pass the id of an object.*"), "An id is empty: pass an id as shown by a `list` command"),
    (re.compile(r": pass the id alone, such as prompt\.id"), ": pass only the id"),
    (re.compile(r"^no credentials: .*", re.DOTALL), NO_CREDENTIALS),
    (re.compile(r"^pass either api_key, or .*"), "Use either an API key or OAuth2 client credentials, not both"),
    (re.compile(r"\(or (ENPROMPTA_\w+)\)"), ""),
    (re.compile(r": pass live\.version, or a number"), ": pass a number"),
    (re.compile(r": pass api_key instead"), ": set ENPROMPTA_API_KEY, or run `enprompta login`"),
    (re.compile(r"\(is base_url the address of the API\?\)"), "(is ENPROMPTA_BASE_URL the address of the API?)"),
    (re.compile(r"[:;,]? (?:or )?(?:pass|use|raise|give) [a-z_]+=\S+(?: to (?:the )?(?:call|client))?"), ""),
)


_VALUES = (
    (re.compile(r"(?<=boolean, not )None(?=:)"), "null"),
    (re.compile(r"(?<=boolean, not )a dict: pass json\.dumps\(value\)"), "an object: write its JSON as text"),
    (re.compile(r": pass json\.dumps\(value\)"), ": write its JSON as text"),
)
"""Problems of variables, whose values a shell user writes in JSON."""
_SETTINGS = (
    (re.compile(r"(?<![\w.\"'/-])(?:api_key|base_url|client_id|client_secret|max_retries|max_wait)(?!\w)"), None),
    (re.compile(r"\btimeout(?= allows)"), "ENPROMPTA_TIMEOUT"),
)


def explain(error: EnpromptaError) -> str:
    """Return an error's text for shell users; in texts of the service, only setting names are replaced."""
    text = str(error)
    if not isinstance(error, APIError):
        for pattern, replacement in _VALUES:
            text = pattern.sub(replacement, text)
    is_ours = not type(error).__module__.startswith("enprompta.cli")
    if isinstance(error, (ConfigurationError, VersionMismatchError)) and is_ours:
        return in_shell_words(text)
    if isinstance(error, APIError):
        for pattern, name in _SETTINGS:
            text = pattern.sub(name or (lambda found: f"ENPROMPTA_{found[0].upper()}"), text)
    if isinstance(error, AuthenticationError):
        text += "; store a valid key with `enprompta login` (create keys in the dashboard under Settings, API Keys)"
    return text


def in_shell_words(message: str) -> str:
    """Rewrite a configuration error's text: arguments become options and environment variables."""
    for pattern, text in _WHOLE:
        message = pattern.sub(text, message)
    return re.sub(r" +([ ,;:])", r"\1", _ARGUMENT.sub(_shell_name, message)).strip()


def _shell_name(found: re.Match[str]) -> str:
    name = found["assigned"] or found["bare"] or found["first"]
    shell = _SHELL_NAMES.get(name)
    if found["assigned"] is None:
        return shell or found[0]
    if shell is None:
        return found[0]
    joint = "=" if shell.startswith("ENPROMPTA") else " "
    value = found["value"] or ""
    return f"{shell}{joint}{value}" if value.strip(".…") else shell
