"""Describe API calls, encode their requests and decode their results, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta._core import body as body
    from enprompta._core import decode as decode
else:
    __getattr__, __dir__ = lazy(__name__, {".": "body decode"})
