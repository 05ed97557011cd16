"""CLI errors use options, variables and commands instead of Python arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import enprompta
from enprompta.batch.errors import RowError
from enprompta.cli.words import explain, in_shell_words
from enprompta.errors import (
    APIConnectionError,
    ConfigurationError,
    EnpromptaError,
    VersionMismatchError,
    WebhookSignatureError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Run

PACKAGE = Path(inspect.getfile(enprompta)).parent
# Modules whose configuration errors commands can meet. The rest is for programs: hooks, pickling, limiters, frames.
REACHABLE = ["_http/exchange/auth.py", "_http/settings.py", "_common/log.py", "_core/body.py", "_core/call.py",
             "resources/*.py", "batch/checkpoint.py", "webhooks/signature.py", "mcp/options.py",
             "mcp/http_transport.py"]  # fmt: skip
# What only a program can do wrong, by a part of its text.
PROGRAMS_ONLY = (
    "must be text, not", "header", "scopes must be", "preload", "must be a mapping", "fallback", "closed",
    "wait_timeout", "not connected to a client", "ttl must", "max_reserialized",
)  # fmt: skip
PYTHON = re.compile(r"\b[a-z]+_[a-z_]+\b|\b\w+=(?!VALUE)|\.\w+\(|\.id\b|\bkeyword\b|\bargument\b|\bNone\b")


def messages(path: Path) -> Iterator[str]:
    """Collect the configuration errors that a module raises, with expressions replaced by `5`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "ConfigurationError" and node.args:
            yield _text(node.args[0])


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "5"


ALL = [text for pattern in REACHABLE for path in sorted(PACKAGE.glob(pattern)) for text in messages(path)]


def test_every_message_that_a_command_can_meet() -> None:
    """No configuration error names a Python argument when the command line shows it."""
    met = [text for text in ALL if not any(part in text for part in PROGRAMS_ONLY)]
    assert len(met) > 12
    shown = {text: in_shell_words(text) for text in met}
    assert {text: said for text, said in shown.items() if PYTHON.search(said)} == {}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("max_tokens must be 1 or more, not 0", "--max-tokens must be 1 or more, not 0"),
        ("temperature must be from 0 to 2, not 5", "--temperature must be from 0 to 2, not 5"),
        ("the temperature must be lower", "the temperature must be lower"),
        ("timeout must be a number of seconds", "ENPROMPTA_TIMEOUT must be a number of seconds"),
        ("pass api_key='x' here", "pass ENPROMPTA_API_KEY=x here"),
        ("set limit=5 or team_id=...", "set --limit 5 or --team"),
        ("start_date must be before end_date", "--since must be before --until"),
        ("not 'max_tokens'", "not 'max_tokens'"),
        ("my_file.txt is odd, other_name too", "my_file.txt is odd, other_name too"),
        ("unknown=1 stays", "unknown=1 stays"),
        ("allow takes execute and write", "--allow takes execute and write"),
        ("allow it with allow_remote behind a proxy", "allow it with --allow-remote behind a proxy"),
        ("client credentials are a pair: client_secret (or ENPROMPTA_CLIENT_SECRET) is missing",
         "client credentials are a pair: ENPROMPTA_CLIENT_SECRET is missing"),
    ],
)  # fmt: skip
def test_arguments_become_options_and_variables(told: str, shown: str) -> None:
    """Argument names become options or variables; words, values and file names stay."""
    assert in_shell_words(told).replace("'x'", "x") == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConfigurationError("variables.x must be text, a number or a boolean, not a dict: pass json.dumps(value)"),
         "variables.x must be text, a number or a boolean, not an object: write its JSON as text"),
        (RowError("a.jsonl, line 1: Must be text, a number or a boolean, not a list: pass json.dumps(value)"),
         "a.jsonl, line 1: Must be text, a number or a boolean, not a list: write its JSON as text"),
        (ConfigurationError("variables.x must be text, a number or a boolean, not None: leave it out"),
         "variables.x must be text, a number or a boolean, not null: leave it out"),
        (ConfigurationError("expect_version is empty: pass live.version, or a number such as 3"),
         "--expect-version is empty: pass a number such as 3"),
        (VersionMismatchError("not 7 as expect_version says", prompt_id="p", expected=7, actual=1),
         "not 7 as --expect-version says"),
    ],
)  # fmt: skip
def test_values_and_versions_in_the_words_of_a_shell(error: EnpromptaError, shown: str) -> None:
    """Values come from JSON files and versions from options, so errors do not speak of Python."""
    assert explain(error) == shown


def test_only_the_text_of_the_client_is_rewritten() -> None:
    """In API errors only names of settings change; other errors stay unchanged."""
    api = APIConnectionError(
        "returned 302: team_id is wrong; check base_url, or raise max_wait: longer than timeout allows"
    )
    assert explain(api) == (
        "returned 302: team_id is wrong; check ENPROMPTA_BASE_URL, or raise ENPROMPTA_MAX_WAIT: longer than "
        "ENPROMPTA_TIMEOUT allows"
    )
    assert explain(WebhookSignatureError("max_wait=1")) == "max_wait=1"
    assert explain(ConfigurationError("max_wait must be")) == "ENPROMPTA_MAX_WAIT must be"
    assert isinstance(api, EnpromptaError)


def test_errors_as_a_command_shows_them(run: Run) -> None:
    """Invalid settings, ids and values are explained for a shell user."""
    for arguments, variables, status, says in [
        (["prompts", "list"], {"ENPROMPTA_API_KEY": ""}, 3, "run `enprompta login`, or set ENPROMPTA_API_KEY"),
        (["prompts", "list"], {"ENPROMPTA_TIMEOUT": "-1"}, 3, "ENPROMPTA_TIMEOUT must be"),
        (["prompts", "list"], {"ENPROMPTA_BASE_URL": "ftp://x"}, 3, "ENPROMPTA_BASE_URL must begin with https://"),
        (["prompts", "get", ""], {}, 2, "An id is empty: pass an id as shown by a `list` command"),
        (["prompts", "list"], {"ENPROMPTA_API_KEY": "", "ENPROMPTA_CLIENT_ID": "x"}, 3, "ENPROMPTA_CLIENT_SECRET is"),
    ]:
        told = run(*arguments, status=status, **variables).output
        assert says in told
        assert not PYTHON.search(told.replace("ENPROMPTA_", ""))
