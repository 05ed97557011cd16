"""Limits on what clients may spend and change, and idempotency keys of tool calls."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from enprompta.errors import EnpromptaError

if TYPE_CHECKING:
    from collections.abc import Hashable

MAX_CALLS = 10_000  # calls remembered, to recognize repeated ones


class BudgetExhaustedError(EnpromptaError):
    """A budget of the server is used up; the call was not sent."""


@dataclass(slots=True)
class ToolCall:
    """One tool call, with every repetition of it."""

    idempotency_key: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Sent with the request, so that the service answers a repetition without charging it again."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while the call runs: a repetition waits."""
    is_counted: bool = False
    """True while the call counts towards a budget."""
    is_done: bool = False
    """True once the service may have carried the call out."""
    cost: float = 0.0
    """USD."""


class CallRegistry:
    """Recognizes tool calls that a client sends again."""

    def __init__(self) -> None:
        self._calls: OrderedDict[Hashable, tuple[ToolCall, float]] = OrderedDict()

    def call_for(self, identity: Hashable, *, lifetime: float = float("inf")) -> ToolCall:
        """Return the call with this identity, or a new one if it was never made or is older than `lifetime` seconds."""
        now = anyio.current_time()
        call, made_at = self._calls.get(identity, (None, now))
        if call is None or now - made_at > lifetime:
            call = ToolCall()
            self._calls[identity] = call, now
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
        return call


class CountBudget:
    """A number of calls."""

    def __init__(self, limit: int, *, what: str, option: str) -> None:
        self._limit = limit
        self._what = what
        self._option = option
        self._count = 0

    @property
    def remaining(self) -> int:
        """Number of calls left."""
        return self._limit - self._count

    def reserve(self, call: ToolCall) -> None:
        """Count a call before it is sent; a repetition counts once.

        Raises:
            BudgetExhaustedError: No call is left.
        """
        if call.is_counted:
            return
        if self.remaining <= 0:
            raise BudgetExhaustedError(
                f"The budget of this MCP server is used up: {self._limit} {self._what}. "
                f"Nothing was sent. Restart the server, or start it with a larger {self._option}."
            )
        self._count += 1
        call.is_counted = True

    def refund(self, call: ToolCall) -> None:
        """Stop counting a call that the service refused, unless an earlier attempt may have been carried out."""
        if call.is_counted and not call.is_done:
            self._count -= 1
            call.is_counted = False


class SpendBudget:
    """An amount of USD, checked before each execution: the last one may exceed it, no further one starts."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._spent = 0.0
        self._highest = 0.0
        self.lock: anyio.Lock = anyio.Lock()
        """Held during an execution when there is a limit, so that each one is checked after the one before was paid."""

    @property
    def remaining(self) -> float | None:
        """USD left; None when there is no limit."""
        return None if self._limit is None else max(0.0, self._limit - self._spent)

    def check(self, call: ToolCall) -> None:
        """Check that there is money left for a call; a repetition of a call that was paid is free.

        Raises:
            BudgetExhaustedError: The limit is reached.
        """
        if self._limit is not None and self._spent >= self._limit and not call.is_done:
            raise BudgetExhaustedError(
                f"The budget of this MCP server is used up: {self._spent:.4f} of {self._limit:.4f} USD. "
                "Nothing was sent. Restart the server, or start it with a larger --max-usd."
            )

    def charge(self, call: ToolCall, cost: float | None) -> None:
        """Add the cost of a call; an unknown cost counts as much as the most expensive call so far."""
        cost = self._highest if cost is None else cost
        self._highest = max(self._highest, cost)
        self._spent += cost - call.cost
        call.cost = cost
