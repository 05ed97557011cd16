"""The endpoints of the API, one file a resource, each described once for all four flavours of client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.resources import execution_flows as execution_flows
    from enprompta.resources import exposures as exposures
else:
    __getattr__, __dir__ = lazy(__name__, {".": "execution_flows exposures"})
