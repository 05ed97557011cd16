"""The rules of pacing, and their constants.

Three invariants hold for any order and delay of requests and responses:

I1. Within a window `Remaining` only falls. So a request answered in this window is included in `LIMIT - least
    Remaining`, and every unanswered request is charged to the current window until its response says in which window
    it was counted. When a request is granted, used plus charged never exceeds LIMIT in any window it can fall into.
I2. The server's clock is known as an interval, never as a point. A window is over only when the slowest clock in the
    interval is past `Reset`. A request may be late by a second and a round trip, but never early; the budget left
    unused in that second is spent in the rest of the window.
I3. `_base` is a local time, never later than the one from which the least `Remaining` is exact. A charge that the
    server counted before `_base` for certain is included in that number or belongs to an older window. It is dropped,
    so it is neither lost nor counted twice.

They hold if no other client spends the budget, `Date` and `Reset` come from one clock, a request is counted within
`TRANSIT` of its grant and within `GRACE` of its failure, and clocks drift by less than `DRIFT`. If one of these fails,
the cost is one burst of 429 responses; the rules for other clients, late windows and adjusted clocks then recover.

A refusal is a claim until it is confirmed:

B1. A 429 without a consistent budget pauses the queue for `PROBE_EVERY`; then requests go one at a time until a
    response is good. Each further 429 doubles the pause, up to `LONGEST_PAUSE` or a window.
B2. A wait of more than `LONG` is a block, unless it is the rest of a minute whose budget this process spent itself. A
    block allows a probe after `LONG`, then at most one per `NEXT_PROBE`. A probe that gets 429 confirms the block.
B3. A good response to a request sent since the block began lifts it. A good response to a request that was in flight
    when a 429 blocked the queue lifts it too, but the next request goes alone. A response that shows an earlier window
    still open refutes a later one.
"""

from __future__ import annotations

__all__ = [
    "BARE_RUN",
    "DECAY",
    "EARLIEST_RESET",
    "GRACE",
    "LATEST_EDGE",
    "LONG",
    "LONGEST_OWN_WAIT",
    "LONGEST_PAUSE",
    "NEXT_PROBE",
    "PAUSE",
    "PROBE_EVERY",
    "SOON",
    "TICK",
    "TRANSIT",
]

TRANSIT = 30.0
"""Seconds after its grant within which the server has counted a request, answered or not."""
GRACE = 2.0
"""Seconds after a request failed without a response within which the server has counted it, if at all."""
PROBE_EVERY = 2.0
"""Seconds after which a lone request without a response is followed by another one."""
DECAY = 0.7
"""Factor per window by which the estimate of what other clients spend decays."""
BARE_RUN = 20
"""Consecutive responses without a budget after which the server is assumed to have stopped reporting it."""
LATEST_EDGE = 1.5
"""Seconds; the most by which a window may end after its reported `Reset`."""
EARLIEST_RESET = -2.0
"""Seconds; a reset further in the past than this, less the time in flight, is invalid."""
LONG = 30.0
"""Seconds; a longer wait is probed, for the first time after this time."""
NEXT_PROBE = 60.0
"""Least seconds between probes; also the timeout of a probe's response."""
LONGEST_OWN_WAIT = 65.0
"""Seconds; a window that this process exhausted itself is not probed unless it lasts longer."""
PAUSE = 2.0
"""Seconds for which the queue pauses after a 429 without a budget; then also the distance between requests."""
LONGEST_PAUSE = 60.0
"""Seconds; each further 429 doubles the pause up to this."""
SOON = 1e-3
"""Seconds; the assumed wait for a probe's response, which may come at any time."""
TICK = 1e-3
"""Seconds added to a computed time to make up for rounding."""
