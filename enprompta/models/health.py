"""The state of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enprompta.models.base import DateTime, Mapped, Model, Open

HealthStatus = Literal["healthy", "degraded", "unhealthy"]


class ComponentHealth(Model):
    """The state of one part of the service."""

    status: Open[HealthStatus] | None = None
    latency_ms: float | None = Field(default=None, alias="latency_ms")  # the one object the API writes in snake_case
    """Milliseconds."""
    message: str | None = None


class Health(Model):
    """The state of the service; parts are told when `detailed=True` was asked."""

    status: Open[HealthStatus] | None = None
    version: str | None = None
    timestamp: DateTime | None = None
    components: Mapped[ComponentHealth] = Field(default_factory=dict)
    uptime_seconds: float | None = Field(default=None, alias="uptime_seconds")
