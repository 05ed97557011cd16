"""Patch the transports of httpx: deadlines, cleanup after cancellation, and this package's connection pools.

httpx has no public API for any of this, so private attributes are replaced. A transport without those attributes, such
as a custom one or that of another httpx version, is left unchanged, and the log says so.

The package's own clients use httpx's transport too, in programs that import httpx: pytest-httpx and OpenTelemetry's
instrumentation of httpx replace `handle_request` of that class. With a transport on httpcore's public API, they would
miss every call of this package, and tests with pytest-httpx would send real requests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from enprompta._common import log
from enprompta._http.senders.unread import note_answers

if TYPE_CHECKING:
    from enprompta._http.senders.unread import CorePart

_KNOWN_TRANSPORTS = frozenset({"HTTPTransport", "AsyncHTTPTransport"})
MAX_WRAPPERS = 5
"""Levels of wrapped transports, such as for caching or logging, that are searched for one to patch."""


def patch_client(client: CorePart) -> None:
    """Patch the transports of a caller's client of httpx or httpx2, including those of its proxies."""
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        if transport is not None:
            patch_client_transport(transport)


def patch_client_transport(transport: CorePart, pools: dict[str, object] | None = None) -> None:
    """Make a transport respect deadlines and clean up its connections.

    Logs `transport_not_patched` if there is nothing to patch: a warning for a transport of httpx, whose private
    attributes have changed then, else a debug message.

    Args:
        transport: The transport, or one that wraps others.
        pools: Holds the connection pool of the package that replaces the transport's, once it is created; None to keep
            the transport's.
    """
    if not _patch(transport, pools, depth=0):
        kind = cast("type[object]", type(transport))
        is_known = kind.__name__ in _KNOWN_TRANSPORTS and kind.__module__.startswith(("httpx", "enprompta"))
        log.event(logging.WARNING if is_known else logging.DEBUG, "transport_not_patched", transport=kind.__qualname__)


def _patch(transport: CorePart, pools: dict[str, object] | None, depth: int) -> bool:
    pool = getattr(transport, "_pool", None)
    if not hasattr(pool, "_network_backend"):
        inner = getattr(transport, "__dict__", {}).values() if depth < MAX_WRAPPERS else ()
        wrapped = [one for one in inner if hasattr(one, "handle_request") or hasattr(one, "handle_async_request")]
        patched = [_patch(one, pools, depth=depth + 1) for one in wrapped]
        return any(patched)
    # Loaded with the first client, as httpx loads httpcore: importing it takes longer than the rest of this package.
    if hasattr(pool, "handle_async_request"):
        from enprompta._http.senders.async_streams import close_cancelled_handshakes  # noqa: PLC0415 (see above)

        close_cancelled_handshakes(pool)
    else:
        from enprompta._http.senders.deadline_streams import bound_reads  # noqa: PLC0415 (as above)

        bound_reads(pool)
    if pools is not None:
        from enprompta._http.senders.connection_pool import pool_for  # noqa: PLC0415 (as above)

        # `setdefault` is atomic: all transports of a client share one pool, also those that two threads create.
        transport._pool = pools.setdefault("pool", pool_for(pool))  # noqa: SLF001 (no public API)
    else:
        note_answers(pool)
    return True
