"""Measure in the browser how long the list of requests keeps a person waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from enprompta.exchanges import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

PLACES = (0.1, 0.5, 0.9, 0.3, 0.7, 0.2, 1.0, 0.0)

# Runs an action, and waits until a condition holds; returns the milliseconds until then, and the longest frame.
_WATCH = """
const watch = (act, isDone) => new Promise((resolve) => {
  const began = performance.now();
  let before = began, longest = 0;
  const frame = (now) => {
    longest = Math.max(longest, now - before);
    before = now;
    if (isDone()) resolve([performance.now() - began, longest]);
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame((now) => { before = now; act(); requestAnimationFrame(frame); });
});
"""
_SCROLL = f"""async (place) => {{
  {_WATCH}
  const view = document.querySelector(".requests-list");
  const box = view.getBoundingClientRect();
  const shown = (y) => document.elementFromPoint(box.left + 40, y)?.closest(".requests-row");
  return watch(
    () => {{ view.scrollTop = (view.scrollHeight - view.clientHeight) * place; }},
    () => shown(box.top + 4) && shown(box.bottom - 24),
  );
}}"""
_FILTER = f"""async ([label, value, summary]) => {{
  {_WATCH}
  const field = [...document.querySelectorAll("label")].find((one) => one.textContent === label).control;
  return watch(
    () => {{
      field.value = value;
      field.dispatchEvent(new Event("input", {{bubbles: true}}));
    }},
    () => new RegExp(summary).test(document.querySelector("[role=status]").textContent),
  );
}}"""


class Pause(NamedTuple):
    """How long a person waited."""

    ms: float
    """Until the list showed what was asked for."""
    longest_frame: float
    """Milliseconds in which the page did not react."""


def many(number: int = 10_000) -> Iterator[Exchange]:
    """Make exchanges with bodies of 1 kB; each tenth has failed."""
    for one in range(number):
        path, status = f"/api/v1/prompts/pmt_{one}", 404 if one % 10 == 0 else 200
        yield Exchange(0, time.time(), "GET", path, status=status, program="bench", response_body=b"{}" * 500)


def scrolling(page: Page) -> list[Pause]:
    """Jump to places all over the list."""
    return [Pause(*page.evaluate(_SCROLL, place)) for place in PLACES]


def filtering(page: Page, label: str, value: str, summary: str) -> Pause:
    """Change a filter.

    Args:
        page: The page of requests.
        label: Name of the field.
        value: What to enter.
        summary: Pattern of the summary above the list that says that the filter is applied.
    """
    return Pause(*page.evaluate(_FILTER, [label, value, summary]))
