"""Python source for untrusted values: the only way a remote value reaches generated code. Pure.

For any value, `literal` returns one expression of constants, lists and dicts, without names or calls. Evaluating it
runs no code, and no text can end its string literal.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
import unicodedata
from typing import TYPE_CHECKING

from enprompta._common.narrowing import is_dict, is_list

if TYPE_CHECKING:
    from collections.abc import Iterable

INDENT = "    "
MAX_NAME = 80
"""Maximum characters of a generated name, before a number that makes it unique."""

_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\t": "\\t", "\n": "\\n"}
# Python reads this number as infinity, which has no literal; a name such as `inf` could be shadowed.
_INFINITY = "1e999"


def literal(value: object, indent: str = "") -> str:
    r"""Write a JSON value as Python source.

    Texts are readable: line feeds are kept between triple quotes. Characters that editors hide or change are escaped:
    control characters, separators, bidirectional marks, lone surrogates and trailing spaces.

    Args:
        value: A text, number, boolean, None, or lists and dicts of them. Infinity and NaN are written as expressions
            that evaluate to them.
        indent: The indentation of the line on which the value starts; each item of a list or dict gets a line.

    Raises:
        TypeError: The value has another type.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    inner = indent + INDENT
    if is_dict(value):
        pairs = value.items()
        return _bracketed("{}", [f"{literal(key)}: {literal(one, inner)}" for key, one in pairs], indent)
    if is_list(value):
        return _bracketed("[]", [literal(one, inner) for one in value], indent)
    raise TypeError(f"a {type(value).__name__} has no literal")


def docstring(lines: Iterable[str]) -> str:
    """Write lines as the docstring of a function, indented once."""
    first, *more = lines
    text = "\n".join([first, *(f"{INDENT}{line}" if line else "" for line in more)])
    return f'{INDENT}"""{_between_triple_quotes(text)}{f"{chr(10)}{INDENT}" if more else ""}"""'


class Names:
    """Converts texts to valid, normalized and unique Python names.

    Args:
        taken: Names that are already in use.
        fallback: The name for a text without letters; also the prefix of names that start with a digit.
        may_hide_builtins: False to append an underscore to names of built-ins such as `open`, as for keywords.
    """

    def __init__(self, taken: Iterable[str], fallback: str, *, may_hide_builtins: bool) -> None:
        self._used = set(taken)
        self._fallback = fallback
        self._may_hide_builtins = may_hide_builtins
        self._next: dict[str, int] = {}

    def add(self, text: str) -> str:
        """Return an unused name for a text and reserve it."""
        name = self._name(text)
        unique = name
        while unique in self._used:
            number = self._next.get(name, 2)
            self._next[name] = number + 1
            unique = f"{name}_{number}"
        self._used.add(unique)
        return unique

    def _name(self, text: str) -> str:
        plain = unicodedata.normalize("NFKC", text[: 4 * MAX_NAME])  # the form in which the compiler compares names
        name = "".join(each if f"_{each}".isidentifier() else "_" for each in plain)[:MAX_NAME].strip("_")
        if not name:
            return self._fallback
        if not name.isidentifier():
            return f"{self._fallback}_{name}"
        hides = hasattr(builtins, name) and not self._may_hide_builtins
        return f"{name}_" if keyword.iskeyword(name) or hides else name


def _text(text: str) -> str:
    if "\n" in text:
        return f'"""{_between_triple_quotes(text)}"""'
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(f"\\{each}" if each == quote else _character(each) for each in text) + quote


def _between_triple_quotes(text: str) -> str:
    written = "".join("\n" if each == "\n" else _character(each) for each in text)
    written = re.sub(r'"(?=""|\Z)', '\\"', written)
    return re.sub(r" (?=\n|\Z)", r"\\x20", written)


def _character(character: str) -> str:
    return _ESCAPES.get(character) or (character if character.isprintable() else ascii(character)[1:-1])


def _integer(number: int) -> str:
    try:
        return int.__repr__(number)
    except ValueError:  # more digits than `sys.set_int_max_str_digits` allows; hexadecimal has no limit
        return hex(number)


def _float(number: float) -> str:
    if math.isnan(number):
        return f"{_INFINITY} - {_INFINITY}"
    if math.isinf(number):
        return _INFINITY if number > 0 else f"-{_INFINITY}"
    return float.__repr__(number)


def _bracketed(brackets: str, items: list[str], indent: str) -> str:
    lines = "".join(f"{indent}{INDENT}{item},\n" for item in items)
    return f"{brackets[0]}\n{lines}{indent}{brackets[1]}" if items else brackets
