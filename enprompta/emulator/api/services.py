"""The parts of one emulator that the API's handlers use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.emulator.access.accounts import AccountStore
    from enprompta.emulator.access.idempotency import Idempotency
    from enprompta.emulator.access.oauth_clients import OAuthClientStore
    from enprompta.emulator.access.rate_limiter import RateLimiter
    from enprompta.emulator.access.trusted_hosts import TrustedHosts
    from enprompta.emulator.database import Database
    from enprompta.emulator.errors import ErrorDialect
    from enprompta.emulator.execution.executor import Executor
    from enprompta.emulator.execution.providers import Providers
    from enprompta.emulator.execution.workflow_runner import WorkflowRunner
    from enprompta.emulator.serving.clock import EmulatorClock
    from enprompta.emulator.serving.faults import Faults
    from enprompta.emulator.webhooks.delivery_queue import DeliveryQueue
    from enprompta.emulator.webhooks.event_publisher import EventPublisher
    from enprompta.exchanges import ExchangeLog


@dataclass(frozen=True, slots=True)
class Services:
    """Settings and shared parts of one emulator."""

    clock: EmulatorClock
    """Returns Unix seconds; the source of every time in the emulator."""
    started_at: float
    error_dialect: ErrorDialect
    database: Database
    accounts: AccountStore
    clients: OAuthClientStore
    limiter: RateLimiter
    idempotency: Idempotency
    providers: Providers
    delivery_queue: DeliveryQueue
    events: EventPublisher
    executor: Executor
    runner: WorkflowRunner
    faults: Faults
    exchanges: ExchangeLog
    control_token: str
    """Bearer token of the control interface."""
    workbench_url: Callable[[], str | None]
    """Returns the address of the Workbench that was started with the emulator, without its token; None without one."""
    trusted_hosts: TrustedHosts
