"""What every part of the emulator is given: the settings, and the parts that share state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.emulator.accounts import Accounts
    from enprompta.emulator.database import Database
    from enprompta.emulator.deliverer import Deliverer
    from enprompta.emulator.errors import ErrorDialect
    from enprompta.emulator.faults import Faults
    from enprompta.emulator.idempotency import Idempotency
    from enprompta.emulator.providers import Providers
    from enprompta.emulator.ratelimit import RateLimiter
    from enprompta.emulator.stores.clients import Clients
    from enprompta.emulator.visitors import Visitors
    from enprompta.emulator.workflow_runner import WorkflowRunner


@dataclass(frozen=True, slots=True)
class Services:
    """One emulator's parts; each emulator of a process has its own."""

    clock: Callable[[], float]
    """Unix seconds; everything that has a time has it from here."""
    started_at: float
    error_dialect: ErrorDialect
    database: Database
    accounts: Accounts
    clients: Clients
    limiter: RateLimiter
    idempotency: Idempotency
    providers: Providers
    deliverer: Deliverer
    runner: WorkflowRunner
    faults: Faults
    visitors: Visitors
