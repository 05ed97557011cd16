"""Counters of a tracer: what was sent, what was dropped and why."""

from __future__ import annotations

from dataclasses import dataclass


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


class Counters:
    """Counters that threads and signal handlers may change."""

    __slots__ = ("failures", "invalid", "last_error", "queue_full", "rejected", "resent", "sent", "unsent")

    def __init__(self) -> None:
        self.sent: int = 0
        self.queue_full: int = 0
        self.rejected: int = 0
        self.unsent: int = 0
        self.invalid: int = 0
        self.resent: int = 0
        self.failures: int = 0
        self.last_error: str | None = None

    def snapshot(self, *, waiting: int, redacted: int) -> TracingStats:
        """Return the counters at this moment."""
        return TracingStats(
            sent=self.sent,
            dropped=self.queue_full + self.rejected + self.unsent + self.invalid,
            queue_full=self.queue_full,
            rejected=self.rejected,
            unsent=self.unsent,
            invalid=self.invalid,
            redacted=redacted,
            waiting=waiting,
            resent=self.resent,
            failures=self.failures,
            last_error=self.last_error,
        )
