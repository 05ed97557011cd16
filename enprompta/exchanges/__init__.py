"""A bounded log of HTTP exchanges: what a program sent, what it got back, and how it waited and retried.

The emulator, the relay and the Workbench share it. Credentials are redacted before anything is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enprompta._lazy import lazy

if TYPE_CHECKING:
    from enprompta.exchanges.exchange import (
        CALL_HEADER,
        LOGGED_BODY_BYTES,
        MAX_BODY_BYTES,
        Exchange,
        TimelineEvent,
        call_of,
    )
    from enprompta.exchanges.exchange_log import ExchangeFilter, ExchangeLog
    from enprompta.exchanges.program_hook import WORKBENCH_VARIABLE, ProgramHook
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            ".exchange": "CALL_HEADER LOGGED_BODY_BYTES MAX_BODY_BYTES Exchange TimelineEvent call_of",
            ".exchange_log": "ExchangeFilter ExchangeLog",
            ".program_hook": "WORKBENCH_VARIABLE ProgramHook",
        },
    )

__all__ = [
    "CALL_HEADER",
    "LOGGED_BODY_BYTES",
    "MAX_BODY_BYTES",
    "WORKBENCH_VARIABLE",
    "Exchange",
    "ExchangeFilter",
    "ExchangeLog",
    "ProgramHook",
    "TimelineEvent",
    "call_of",
]
