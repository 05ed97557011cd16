"""Whatever comes in, verifying gives True or False and reading an event or one of the two errors.

`ENPROMPTA_LONG_TESTS=1` runs the long form: 1,000,000 inputs.
"""

from __future__ import annotations

import os

from tests.webhooks import fuzz

INPUTS = 1_000_000 if os.environ.get("ENPROMPTA_LONG_TESTS") else 10_000


def test_mutated_deliveries_raise_the_two_errors_alone() -> None:
    """Of deliveries that were changed, half of them signed anew, each ends in one of the ways that are documented."""
    outcomes = fuzz.run(INPUTS, seed=20240117)
    assert sum(outcomes.values()) == INPUTS
    assert {"WebhookSignatureError", "WebhookPayloadError", "PromptExecuted", "UnknownEvent"} <= outcomes.keys()
