"""The rules of pacing, and their numbers.

What keeps this right, whatever the order and the delay of requests and answers:

I1. Within a window `Remaining` only falls. A request of ours that was answered in this window is therefore inside
    `LIMIT - least Remaining`, and one that is not inside it has not been answered. So every unanswered request is
    charged, to whatever window is current, until its answer says which one it was counted in. Used plus charged never
    exceeds LIMIT at the moment a request is let go, in any window it can fall into.
I2. The server's clock is known as an interval, never as a point. A window counts as over only when even the slowest
    clock in the interval is past `Reset`. A request can then be late, by a second and a round trip at most, but never
    early; and the budget that was not touched in that second is spent in the rest of the window.
I3. `_base` is a local time that is never later than the one from which the least `Remaining` is exact. A charge that
    the server has surely counted before `_base` is inside that number, or in an older window, and is dropped: it can
    neither be lost nor count twice.

They hold when nobody else spends the budget, `Date` and `Reset` come from one clock, a request is counted within
`TRANSIT` of its grant and within `GRACE` of its failure, and clocks drift by less than `DRIFT`. When one of these does
not hold, the price is one burst of answers 429, and the rules for other spenders, late edges and clocks that were set
bring the account back.

Bad news is a claim until it is confirmed:

B1. A 429 without a consistent budget pauses the line for `PROBE_EVERY`; then one request goes at a time until an answer
    is good. Each further 429 doubles the pause, up to `LONGEST_PAUSE` or a window.
B2. A wait of more than `LONG` is a block, unless it is the rest of a minute whose budget this program spent itself. A
    block lets a probe go after `LONG`, then at most one per `NEXT_PROBE`. A probe answered 429 confirms the block.
B3. A good answer to a request sent since the block began lifts it. One that was in flight when a 429 blocked the line
    lifts it too, but the next request goes alone. One that shows an earlier window still open refutes a later one.
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
"""Seconds from its grant within which a request has been counted by the server, answered or not."""
GRACE = 2.0
"""Seconds after a request failed without an answer within which the server has counted it, if it ever does."""
PROBE_EVERY = 2.0
"""Seconds after which a lone request whose answer does not come is followed by another one."""
DECAY = 0.7
"""What is left, a window later, of the belief that others spend the same budget."""
BARE_RUN = 20
"""Answers without a budget, in a row, after which the server is taken to have stopped telling it."""
LATEST_EDGE = 1.5
"""Seconds; the most that a window's end is allowed to lie behind the `Reset` that was told."""
EARLIEST_RESET = -2.0
"""Seconds; a reset that lies further before its answer, its time in flight aside, is absurd."""
LONG = 30.0
"""Seconds; a longer wait is probed, for the first time after so many seconds."""
NEXT_PROBE = 60.0
"""Seconds from one probe to the next, at least; also the time after which a probe's answer is given up."""
LONGEST_OWN_WAIT = 65.0
"""Seconds; the rest of a window that this program has used up itself is not probed, unless it is longer."""
PAUSE = 2.0
"""Seconds for which the line pauses after a 429 without a budget; then requests go one at a time, so far apart."""
LONGEST_PAUSE = 60.0
"""Seconds; the pause doubles with each further 429, up to this."""
SOON = 1e-3
"""Seconds; stands for the wait for a probe's answer, which may come at any time but never at once."""
TICK = 1e-3
"""Seconds past a computed moment at which it has surely come, whatever rounding did to it."""
