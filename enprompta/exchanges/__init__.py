"""A bounded log of HTTP exchanges: what a program sent, what it got back, and how it waited and retried.

The emulator, the relay and the Workbench share it. Credentials are redacted before anything is stored.
"""

from __future__ import annotations

from enprompta.exchanges.exchange import (
    CALL_HEADER,
    LOGGED_BODY_BYTES,
    MAX_BODY_BYTES,
    Exchange,
    TimelineEvent,
    call_of,
)
from enprompta.exchanges.exchange_log import ExchangeFilter, ExchangeLog

__all__ = [
    "CALL_HEADER",
    "LOGGED_BODY_BYTES",
    "MAX_BODY_BYTES",
    "Exchange",
    "ExchangeFilter",
    "ExchangeLog",
    "TimelineEvent",
    "call_of",
]
