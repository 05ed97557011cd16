"""For any input, verification returns True or False, and parsing returns an event or raises one of the two errors.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000,000 inputs.
"""

from __future__ import annotations

import os

from tests.webhooks import fuzz

INPUTS = 1_000_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 10_000


def test_mutated_deliveries_raise_the_two_errors_alone() -> None:
    """Mutated deliveries, half of them signed again, all end in a documented outcome."""
    outcomes = fuzz.run(INPUTS, seed=20240117)
    assert sum(outcomes.values()) == INPUTS
    assert {"WebhookSignatureError", "WebhookPayloadError", "PromptExecuted", "UnknownEvent"} <= outcomes.keys()
