"""What every part of the emulator is given: the settings, and the parts that share state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.emulator.access.accounts import AccountStore
    from enprompta.emulator.access.idempotency import Idempotency
    from enprompta.emulator.access.oauth_clients import Clients
    from enprompta.emulator.access.rate_limiter import RateLimiter
    from enprompta.emulator.access.visitors import Visitors
    from enprompta.emulator.database import Database
    from enprompta.emulator.errors import ErrorDialect
    from enprompta.emulator.execution.providers import Providers
    from enprompta.emulator.execution.workflow_runner import WorkflowRunner
    from enprompta.emulator.serving.faults import Faults
    from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue


@dataclass(frozen=True, slots=True)
class Services:
    """One emulator's parts; each emulator of a process has its own."""

    clock: Callable[[], float]
    """Unix seconds; everything that has a time has it from here."""
    started_at: float
    error_dialect: ErrorDialect
    database: Database
    accounts: AccountStore
    clients: Clients
    limiter: RateLimiter
    idempotency: Idempotency
    providers: Providers
    deliverer: DeliveryQueue
    runner: WorkflowRunner
    faults: Faults
    visitors: Visitors
