"""Describe failures: loaded with the first one, because most programs end without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta._common.redaction import mask_for
    from enprompta._http.failures.error_mapping import (
        lacks_sockets,
        needs_proxy_credentials,
        status_error,
        transport_error,
    )
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".error_mapping": "lacks_sockets needs_proxy_credentials status_error transport_error",
            "enprompta._common.redaction": "mask_for",
        },
    )

__all__ = ["lacks_sockets", "mask_for", "needs_proxy_credentials", "status_error", "transport_error"]
