"""Fuzz prompt files: `python fuzz.py FILES SEED` prints how they ended, as JSON.

Each file is written to a directory, read as `enprompta codegen` reads it, made a module, and imported. The process ends
with an error when a file runs code, takes longer than `MOST_SECONDS`, or raises anything but an `EnpromptaError`.
"""

from __future__ import annotations

import ast
import builtins
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import enprompta.codegen
from enprompta.cli.prompts_as_code.document import parse, with_identity
from enprompta.cli.prompts_as_code.files import read_directory
from enprompta.cli.prompts_as_code.generate import module
from enprompta.cli.prompts_as_code.lock import Lock
from enprompta.errors import EnpromptaError

MOST_SECONDS = 5
RAN = "__import__('builtins').RAN.append(1)"
# Values that any field reads, that some refuse, and that all refuse.
TEXTS = [
    "T", "yes", "no", "on", "0x10", "1_0", "2024-01-17", "12:30", "<<", f"'\"+str({RAN}),#'", f"'''+str({RAN}),#'''",
    f'"\\"+str({RAN}),#"', rf"'\"+str({RAN}),#'", f"'\"\"\"+{RAN}#'", rf'"\\\"+{RAN}#"', "|\n  a\n  b", ">\n  a",
    f'|\n  """\n  {RAN}\n  """', f'|\n  a\\\n  """+{RAN}', "'\\'", r'"\u2028"', r'"\x00"', r'"\0"', r'"\r\n"', "\u202e",
    "x # y", r'"\x0c\x1b"', "''", r'"\"\"\""',
]  # fmt: skip
VALUES = [
    *TEXTS, "null", "~", "1", "-0.0", "1e400", "-1e400", ".nan", ".inf", "010", "9" * 60, "[]", "[a, b]", "{a: b}",
    "[true, 1, 1.0, 'a', null, 'b\"']", "{'\"+': [{}]}",
]  # fmt: skip
REFUSED = [
    "&a x", "*a", "&a [*a]", "!!str x", f'!!python/object/apply:eval ["{RAN}"]', "!!python/name:os.system",
    "!!binary aGk=", "!!set {a}", "!x y", "!!timestamp 2024-01-17", "{<<: *a}", "9" * 5000, r'"\ud800"', "\ufeff",
    "\x85", "[" * 40 + "]" * 40, "[" * 5000, "- " * 500, "? " * 500, "{a: " * 200, "'" * 999, "%YAML 1.2", "@", "`",
    "...", "--- ", "\t", "<<<<<<< HEAD", "|2-\n   x", "!!float 1", "{1: 2}",
]  # fmt: skip
NAMES = [
    "topic", "a", "b", "class", "PromptCall", "str", "__class__", "'a b'", "\ufb01", "\u0bf0", "\xbd", "'1a'",
    "'\"+x'", f'"{RAN}"', "'x: int = print(1)'", "Literal", "annotations", "self", "'\n'", "match", "true", "1",
]  # fmt: skip
OPTIONS = ["[a, b]", "[true, 1, 1.0, 'a', null, 'b\"']", "[]", r"""['\', '"', "\n"]""", "null"]
DECLARED: dict[str, tuple[str, list[str]]] = {
    "type": ("select", ["text", "number", "boolean", "date", "'\"+'"]),
    "required": ("false", ["true", "null"]),
    "options": ("[a, b]", OPTIONS),
    "default": ("a", VALUES),
    "description": ("a", TEXTS),
    "x": ("a", VALUES),
}
KEYS = [*["id", "description", "category", "visibility", "teamId"] * 3, "titel", "title", "tags", "version", "<<"]
CONTENTS = [
    "Hello {{topic}}", 'Reply {"a": 1}', r'Reply {\"a\": 1}', f'"""\n{RAN}\n"""', f'"+{RAN}#', rf'\"""+{RAN}',
    "{{a-b}} {{a_b}} {{a.b}} {{class}}", "\r\n\x0c\x00\x1b\u2028\ufeff", "---\nid: x\n---",
    "<<<<<<< HEAD\na\n=======\n", ">>>>>>> x", " \n \n", "", "\\", "\\\n", "{{\u0bf0}} {{\ufb01}} {{fi}}", "x" * 5000,
]  # fmt: skip
WATCHED = ("os.", "subprocess.", "socket.", "ctypes.", "shutil.", "urllib.")
HARMLESS = {"os.scandir", "os.listdir", "os.remove", "os.mkdir", "os.rename", "os.chmod"}
executed: list[str] = []
builtins.RAN = executed  # type: ignore[attr-defined]


def watch(event: str, _: object) -> None:
    """Record what a module must not do."""
    if event.startswith(WATCHED) and event not in HARMLESS:
        executed.append(event)


def value(chance: random.Random, usual: str, fitting: list[str]) -> str:
    """Write a value: usual, valid, of another type, or invalid."""
    pick = chance.random()
    if pick < 0.4:
        return usual
    return chance.choice(fitting if pick < 0.94 else VALUES if pick < 0.98 else REFUSED)


def front_matter(chance: random.Random) -> str:
    """Write front matter that is roughly YAML."""
    lines = [f"title: {value(chance, 'T', TEXTS)}\n"]
    lines += [f"{key}: {value(chance, 'T', TEXTS)}\n" for key in chance.sample(KEYS, chance.randrange(3))]
    if chance.random() < 0.8:
        lines.append("variables:\n")
        for _ in range(chance.randrange(4)):
            lines.append(f"  - name: {chance.choice(NAMES)}\n")
            for key in chance.sample(list(DECLARED), chance.randrange(6)):
                written = value(chance, *DECLARED[key]).replace("\n  ", "\n      ")
                lines.append(f"    {key}: {written}\n")
    return "".join(lines)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Cut, repeat and replace pieces of a file."""
    for _ in range(chance.choice([0, 0, 0, 0, 0, 0, 0, 1, 2, 8])):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.randrange(20))
        piece = chance.choice(
            [
                b"",
                data[start:end] * 2,
                chance.randbytes(3),
                b"\n",
                b"---\n",
                b"&a ",
                b"*a",
                b"<<<<<<< x\n",
                b"\xff\xfe",
                b"'",
                b'"',
            ]
        )
        data = data[:start] + piece + data[end:]
    return data


def one(chance: random.Random) -> bytes:
    """Create a file."""
    mark = chance.choice(["", "", "", "\ufeff"])
    text = f"{mark}---\n{front_matter(chance)}---\n{''.join(chance.choices(CONTENTS, k=chance.randrange(3)))}\n"
    if chance.random() < 0.1:
        text = text.replace("\n", "\r\n")
    encoding = "utf-8" if chance.random() < 0.97 else "utf-16"
    return mutated(text.encode(encoding, "surrogatepass"), chance)


def use(directory: Path) -> str:
    """Read a directory, write and import its module, and return the result."""
    try:
        files = read_directory(directory)
        Lock().refuse_conflicts(files)
    except EnpromptaError:
        return "refused"
    source = module(files)
    tree = ast.parse(source.encode())
    kinds = {type(node) for node in tree.body}
    if not kinds <= {ast.Expr, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef} or len(tree.body) > 6:
        raise AssertionError(source)
    scope: dict[str, Any] = {}
    exec(compile(source.encode(), "prompts", "exec"), scope)
    for file in files:
        again = parse(with_identity(file.document, "pmt_1", 2), file.name)
        if again.fields["content"] != file.document.fields["content"]:
            raise AssertionError(file.document.source)
    return "imported"


def main(count: int, seed: int) -> None:
    """Fuzz and print the results."""
    ends: Counter[str] = Counter()
    slowest = 0.0
    sys.addaudithook(watch)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        for number in range(count):
            data = one(random.Random(f"{seed} {number}"))
            (directory / "a.prompt.md").write_bytes(data)
            started = time.perf_counter()
            signal.alarm(MOST_SECONDS)
            try:
                ends[use(directory)] += 1
            except BaseException:
                sys.stderr.write(f"file {number}: {data!r}\n")
                raise
            signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - started)
            if executed:
                raise AssertionError((number, executed, data))
        counts = {"files": count, **ends, "executed": len(executed), "slowest": round(slowest, 3)}
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    assert enprompta.codegen.PromptCall  # imported before the audit hook
    main(int(sys.argv[1]), int(sys.argv[2]))
