"""Prompts as files: a directory that mirrors the service, one file per prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.cli.prompts_as_code import generate as generate
    from enprompta.cli.prompts_as_code import lock as lock
    from enprompta.cli.prompts_as_code import pull as pull
    from enprompta.cli.prompts_as_code import push as push
    from enprompta.cli.prompts_as_code import service as service
else:
    __getattr__, __dir__ = lazy(__name__, {".": "generate lock pull push service"})
