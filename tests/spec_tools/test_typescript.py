"""openapi-typescript writes types that `tsc` accepts and that a TypeScript program can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.spec_tools.tools import DOCUMENT, HERE, npm_tool, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.step("spec_tools")]


def test_types_compile_and_are_usable(tmp_path: Path) -> None:
    """The generated types are strict TypeScript; lists have typed items, and free-form objects take any field."""
    types = tmp_path / "api.ts"
    done = run(npm_tool("openapi-typescript"), str(DOCUMENT), "--output", str(types))
    assert done.returncode == 0, done.stdout
    assert (
        "Record<string, never>"
        not in types.read_text("utf-8").partition("export type $defs")[0].partition("export interface components")[2]
    )
    program = tmp_path / "program.ts"
    program.write_text((HERE / "program.ts").read_text("utf-8"), "utf-8")
    # `@ts-expect-error` in the program makes the compiler fail where a wrong use is accepted.
    done = run(npm_tool("tsc"), "--noEmit", "--strict", "--target", "es2022", str(program), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
