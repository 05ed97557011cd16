"""The pages of the Workbench, one module each, with a function `register()`."""

from __future__ import annotations

PAGES = (
    "home",
    "prompts",
    "prompt",
    "templates",
    "workflows",
    "executions",
    "traces",
    "webhooks",
    "teams",
    "requests",
    "keys",
    "faults",
    "explorer",
)
