"""The health of the service."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from enprompta.models.base import DateTime, Mapped, Model, Open, empty_dict

HealthStatus = Literal["healthy", "degraded", "unhealthy"]


class ComponentHealth(Model):
    """The health of one component of the service."""

    status: Open[HealthStatus] | None = None
    latency_ms: float | None = Field(default=None, alias="latency_ms")  # the API writes only this object in snake_case
    """Response time of the component, in milliseconds."""
    message: str | None = None


class Health(Model):
    """The health of the service; `components` is filled only with `detailed=True`."""

    _REPR_FIELDS: ClassVar[tuple[str, ...]] = ("status", "version")
    status: Open[HealthStatus] | None = None
    version: str | None = None
    timestamp: DateTime | None = None
    components: Mapped[ComponentHealth] = Field(default_factory=empty_dict)
    uptime_seconds: float | None = Field(default=None, alias="uptime_seconds")
