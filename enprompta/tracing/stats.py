"""Counters of a tracer: what was sent, what was dropped and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TracingStats:
    """The counters of this process at one moment."""

    sent: int = 0
    """Spans that the service has accepted."""
    dropped: int = 0
    """Spans that were lost: the sum of the four reasons below."""
    queue_full: int = 0
    """Dropped because the queue or the spool was full."""
    rejected: int = 0
    """Dropped because the service refused them as invalid."""
    unsent: int = 0
    """Dropped at shutdown, because the service was unavailable and there is no spool; or ended after it."""
    invalid: int = 0
    """Dropped because they could not be encoded or redacted."""
    redacted: int = 0
    """Spans in which the redaction changed or removed something; a span with several such values counts once."""
    waiting: int = 0
    """Spans that wait in memory or in the spool to be sent."""
    resent: int = 0
    """Spans sent from the spool of an earlier process; counted in `sent` too."""
    failures: int = 0
    """Requests to the service that failed."""
    last_error: str | None = None
    """The last failure since the service last accepted spans; None if there is none."""


@dataclass(slots=True, eq=False)
class Counters:
    """Counters that threads and signal handlers may change."""

    sent: int = 0
    queue_full: int = 0
    rejected: int = 0
    unsent: int = 0
    invalid: int = 0
    resent: int = 0
    failures: int = 0
    last_error: str | None = None

    def snapshot(self, *, waiting: int, redacted: int) -> TracingStats:
        """Return the counters at this moment."""
        now = asdict(self)
        dropped = sum(now[reason] for reason in ("queue_full", "rejected", "unsent", "invalid"))
        return TracingStats(**now, dropped=dropped, waiting=waiting, redacted=redacted)
