"""The public interface stays as it was, unless the changelog names the change.

The snapshot is what was released last, or is about to be. A release renews it: `python -m tests.api.stubs`.
"""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("griffe")

from tests.api.breaks import breaks, is_released, not_owned_up_to, owned_up_to
from tests.api.stubs import PUBLIC, RESOURCES, ROOT, SNAPSHOT, describe

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def snapshot() -> dict[str, str]:
    """Read the snapshot: the text of each stub, by the name of its module."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(SNAPSHOT.glob("*.pyi"))}


def test_what_breaks_is_in_the_changelog() -> None:
    """A call that worked with the snapshot works still, or the changelog's next version names it.

    To break one on purpose, write its name (`Class.method`, `function`) in backticks under "Changed" or "Removed".
    """
    assert not_owned_up_to(breaks(snapshot(), describe()), CHANGELOG) == {}


def test_a_release_renews_the_snapshot() -> None:
    """Once the version at the top of the changelog has its date, the snapshot is of that version."""
    if not is_released(CHANGELOG):
        pytest.skip("the next version is not released yet")
    assert describe() == snapshot()


def test_the_snapshot_is_of_every_public_module() -> None:
    """All public names are in it, by the lists that the modules themselves have."""
    texts = snapshot()
    assert set(texts) == {*PUBLIC, RESOURCES}
    now = describe()
    for name in PUBLIC:
        assert now[name].startswith(f"__all__ = {list(importlib.import_module(name).__all__)!r}\n")
    assert "def create(self, *, title: str" in now[RESOURCES]


def test_no_public_module_is_forgotten() -> None:
    """A module or package whose name has no underscore is described, or is a part that users do not import."""
    inner = {"cli", "tables", "resources"}  # a command, its helpers, and what is reached through the client
    top = {path.name.removesuffix(".py") for path in (ROOT / "enprompta").iterdir() if not path.name.startswith("_")}
    assert {f"enprompta.{name}" for name in top - inner - {"py.typed"}} <= set(PUBLIC)


BROKEN = [
    ("def f(a): ...", "", "f"),
    ("class A:\n    def f(self): ...", "class A: ...", "A.f"),
    ("class A:\n    x: int", "class A: ...", "A.x"),
    ("class A:\n    def __enter__(self): ...", "class A: ...", "A.__enter__"),
    ("def f(a): ...", "def f(): ...", "f"),
    ("def f(a): ...", "def f(b): ...", "f"),
    ("def f(*, a, **o: Unpack[X]): ...", "def f(**o: Unpack[X]): ...", "f"),
    ("def f(a): ...", "def f(a, b): ...", "f"),
    ("def f(a): ...", "def f(*, a): ...", "f"),
    ("def f(a, b): ...", "def f(b, a): ...", "f"),
    ("def f(a=1): ...", "def f(a=2): ...", "f"),
    ("def f(a=1): ...", "def f(a): ...", "f"),
    ("def f(): ...", "async def f(): ...", "f"),
    ("def f(a: int | str): ...", "def f(a: int): ...", "f"),
    ("def f() -> int: ...", "def f() -> int | None: ...", "f"),
    ("class A(B): ...", "class A: ...", "A"),
    ("class A:\n    x: int", "class A:\n    x: int | None", "A.x"),
    ("X = Literal['a', 'b']", "X = Literal['a']", "X"),
    ("def f(): ...", "f: int", "f"),
    ("from n import A as A", "", "A"),
]


@pytest.mark.parametrize(("old", "new", "name"), BROKEN)
def test_every_break_is_found(old: str, new: str, name: str) -> None:
    """Each way to break a caller is found, under the name that the changelog has to give."""
    exported = f"__all__ = [{name.partition('.')[0]!r}]\n"
    assert set(breaks({"m": exported + old}, {"m": exported + new})) == {name}


FINE = [
    ("def f(a): ...", "def f(a, b=1): ..."),
    ("def f(a): ...", "def f(a, *, b=None): ..."),
    ("def f(a: int): ...", "def f(a: str | int): ..."),
    ("def f(a: Any): ...", "def f(a: object): ..."),
    ("def f() -> int | None: ...", "def f() -> int: ..."),
    ("class A: ...", "class A:\n    x: int"),
    ("class A: ...", "class A(B): ..."),
    ("class A:\n    x: int", "class B:\n    x: int\nclass A(B): ..."),
    ("def f(): ...", "def f(): ...\ndef g(): ..."),
]


@pytest.mark.parametrize(("old", "new"), FINE)
def test_what_fits_is_no_break(old: str, new: str) -> None:
    """More optional parameters, wider arguments, narrower results and new names break no caller."""
    assert breaks({"m": old}, {"m": new}) == {}


def test_a_removed_module_is_a_break() -> None:
    """A module cannot leave unseen."""
    assert breaks({"m": "", "n": ""}, {"m": ""}) == {"n": "is gone"}


def test_the_changelog_owns_up_to_names_in_the_right_place() -> None:
    """Names count under Changed and Removed of the version that is not out, and nowhere else."""
    text = "# Changelog\n\n## [3.0.0] - Unreleased\n\n### Added\n\n- `a`\n\n### Changed\n\n- `B.c` and `d`, not e.\n"
    text += "\n### Removed\n\n- `f`\n\n## [2.0.0] - 2030-01-01\n\n### Removed\n\n- `g`\n"
    assert owned_up_to(text) == {"B.c", "d", "f"}
    found = {"a": "", "B.c": "", "AsyncB.c": "", "g": ""}
    assert set(not_owned_up_to(found, text)) == {"a", "g"}


def test_a_released_changelog_owns_up_to_nothing() -> None:
    """A break in the last version does not excuse one in the next version."""
    text = "# Changelog\n\n## [2.0.0] - 2030-01-01\n\n### Removed\n\n- `g`\n"
    assert is_released(text)
    assert owned_up_to(text) == set()
