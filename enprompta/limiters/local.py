"""Pacing within one process: one account per budget, shared by every client, thread and task that spends it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timezone
from hashlib import blake2b
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

from enprompta import errors
from enprompta._common.clock import monotonic
from enprompta._common.forks import run_in_child
from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import read
from enprompta.limiters.sleepers import DeadlineReached, ThreadSleeper, WaitTooLong, async_sleeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta.errors import RateLimit
    from enprompta.limiters.rate_limit_headers import Headers, Reading
    from enprompta.limiters.wait_queue import Reservation, Waker

__all__ = ["AccountRegistry", "LocalAccount", "LocalLimiter", "digest"]

_OVERSLEPT = 1.0  # seconds after the head should have woken at which another waiter checks
_SOONER = 1e-3  # seconds by which a chance must come earlier to wake the head for it


class LocalAccount:
    """One request budget, as this process spends it.

    There is no background thread. Each caller that joins the queue, leaves it or gets a response runs the policy under
    a short lock, and wakes the requests that may go. While only time can help, the head of the queue sleeps until the
    next chance and then runs the policy; the others sleep until woken. So a thousand waiters cost one timer, and
    nothing runs while the queue is empty. If the head never wakes, because its event loop was abandoned, the next
    waiter that checks removes it.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start empty in a child after a fork, which has none of the parent's waiters and requests."""
        self._lock = Lock()
        self._pacer = Pacer()
        self._timer: tuple[Reservation | None, float] = (None, inf)  # the ticket that keeps the time, and when it wakes

    def acquire(
        self, ticket: Reservation | None = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Block the thread until a request may go.

        Args:
            ticket: Reservation of the call's last request if that got 429, which keeps its place in the queue. None
                joins at the end.
            max_wait: Longest time in seconds until the next request can go or a probe is answered; the call is refused
                as soon as it is known to take longer. Time behind other requests in the queue does not count.
            deadline: When to give up, in seconds of the monotonic clock; None for never.

        Returns:
            Permission to send one request. End it with `observe`, `failed` or `cancel`. Its `waited` is the seconds
            spent here.

        Raises:
            WaitTooLong: The next chance is further away than `max_wait`.
            DeadlineReached: The deadline passed.
        """
        ticket = self._enter(ticket, max_wait)
        if ticket.state == "granted":
            return ticket
        sleeper = ThreadSleeper()
        try:
            while (pause := self._check_turn(ticket, sleeper, deadline)) is not None:
                sleeper.sleep(pause)
        except BaseException:  # KeyboardInterrupt too must release the place
            self.cancel(ticket)
            raise
        return ticket

    async def acquire_async(
        self, ticket: Reservation | None = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Suspend the asyncio or trio task until a request may go; see `acquire`."""
        ticket = self._enter(ticket, max_wait)
        if ticket.state == "granted":
            return ticket
        sleeper = async_sleeper()
        try:
            while (pause := self._check_turn(ticket, sleeper, deadline)) is not None:
                await sleeper.sleep(pause)
        except BaseException:  # and so must a cancelled task
            self.cancel(ticket)
            raise
        return ticket

    def observe(self, ticket: Reservation, status: int, headers: Headers, now: float | None = None) -> None:
        """Learn from a response; call it as soon as its headers have arrived.

        Args:
            ticket: The request's ticket.
            status: The HTTP status.
            headers: A mapping, or a list of raw pairs, which is faster to read.
            now: When the response came, in seconds of the monotonic clock; None for now.
        """
        reading = read(status, headers)
        with self._lock:
            now = monotonic() if now is None else now
            self._note("observe", ticket, reading)
            self._pacer.observe(ticket, reading, now)
            self._run_policy(now)

    def failed(self, ticket: Reservation) -> None:
        """Record that a request was or may have been sent and got no response: it stays charged."""
        with self._lock:
            now = monotonic()
            self._note("fail", ticket)
            self._pacer.fail(ticket, now)
            self._run_policy(now)

    def cancel(self, ticket: Reservation) -> None:
        """Return the budget of a request that was not sent for certain; ignore a ticket that has ended."""
        with self._lock:
            self._take_back(ticket)
            self._run_policy(monotonic())

    def holds(self) -> bool:
        """Return True if the next request has to wait in the queue, so a call that got 429 need not sleep first.

        Sleeping outside the queue would cost the call its place: it would return when the budget of the new window is
        already spent.
        """
        with self._lock:
            return self._pacer.available(monotonic())[0] == 0

    def reset(self) -> None:
        """Forget what responses have reported, blocks included; the next request goes alone and learns it again."""
        with self._lock:
            self._pacer.reset()
            self._run_policy(monotonic())

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget as the server last reported it; None if it never did."""
        if (last := self._pacer.last_reported) is None:
            return None
        return errors.RateLimit(last[0], last[1], datetime.fromtimestamp(last[2], timezone.utc))

    def _enter(self, ticket: Reservation | None, max_wait: float) -> Reservation:
        with self._lock:
            now = monotonic()
            ticket = self._pacer.reserve(ticket, max_wait, now)
            self._run_policy(now, ticket)
            ticket.waited = 0.0
            return ticket

    def _check_turn(self, ticket: Reservation, sleeper: Waker, deadline: float | None) -> float | None:
        """Return the seconds to sleep before the next check of a ticket, or None if it may go."""
        with self._lock:
            now = monotonic()
            ticket.waker = sleeper
            self._recheck(now, ticket)
            ticket.waited = now - ticket.asked
            if ticket.state == "granted":
                return None
            if ticket.state == "refused":
                raise WaitTooLong(ticket.wait, ticket.waited, self.rate_limit)
            if deadline is not None and now >= deadline:
                raise DeadlineReached(ticket.waited)
            chance = self._pacer.chance_at
            if self._pacer.queue.head is ticket:
                self._timer = ticket, chance
            else:
                chance += _OVERSLEPT
            return min(chance, inf if deadline is None else deadline) - now

    def _run_policy(self, now: float, looking: Reservation | None = None) -> None:
        """Run the policy after an event, and wake the requests it settles; the lock is held.

        Args:
            now: Current time.
            looking: Reservation of the caller, which is awake.
        """
        while self._pacer.queue.waiting:
            settled = self._pacer.grant(now)
            if settled == [looking] or self._wake(settled, looking):
                if self._pacer.queue.waiting:
                    self._wake_head(looking)
                return

    def _recheck(self, now: float, looking: Reservation) -> None:
        """Run the policy after time has passed; the lock is held."""
        self._run_policy(now, looking)

    def _note(self, step: str, ticket: Reservation, reading: Reading | None = None) -> None:
        """Report a step of a request to other processes before it is taken; the lock is held. Does nothing here."""

    def _take_back(self, ticket: Reservation) -> None:
        self._note("cancel", ticket)
        self._pacer.cancel(ticket)

    def _wake(self, settled: list[Reservation], looking: Reservation | None = None) -> bool:
        """Wake the settled tickets; return False if some are abandoned, so that their budget is free again."""
        deserted = [ticket for ticket in settled if ticket is not looking and ticket.waker and not ticket.waker.wake()]
        for ticket in deserted:
            self._take_back(ticket)
        return not deserted

    def _wake_head(self, looking: Reservation | None) -> None:
        """Make sure that the head of the queue keeps the time."""
        queue = self._pacer.queue
        while queue.waiting and (head := queue.head) is not None and head is not looking and head.waker is not None:
            timekeeper, until = self._timer
            if head is timekeeper and self._pacer.chance_at > until - _SOONER:
                return
            self._timer = head, self._pacer.chance_at
            if head.waker.wake():
                return
            self._take_back(head)


AccountT = TypeVar("AccountT", bound=LocalAccount)


class AccountRegistry(Generic[AccountT]):
    """The accounts of this process, one per name.

    An account lives as long as a client holds it. The last 64 used are kept longer, for programs that make a client for
    every call, so memory is bounded. Names are digests: no secret is kept here.
    """

    _KEPT = 64

    def __init__(self) -> None:
        self._accounts: WeakValueDictionary[str, AccountT] = WeakValueDictionary()
        self._recent: OrderedDict[str, AccountT] = OrderedDict()
        self._lock = Lock()
        run_in_child(self._renew)

    def get(self, name: str, make: Callable[[], AccountT]) -> AccountT:
        """Return the account of a name, or create it.

        Args:
            name: Digest that identifies the account.
            make: Creates an account.
        """
        with self._lock:
            account = self._accounts.get(name)
            if account is None:
                account = self._accounts[name] = make()
            self._recent[name] = account
            self._recent.move_to_end(name)
            if len(self._recent) > self._KEPT:
                self._recent.popitem(last=False)
            return account

    def __iter__(self) -> Iterator[AccountT]:
        """Iterate over the accounts that are in use or were used recently."""
        return iter(list(self._accounts.values()))

    def _renew(self) -> None:
        self._lock = Lock()
        for account in self:
            account.renew()


def digest(*parts: str) -> str:
    """Hash parts, which may include a secret, into a name that does not reveal them."""
    return blake2b("\0".join(parts).encode(), digest_size=16, person=b"enprompta").hexdigest()


_ACCOUNTS: AccountRegistry[LocalAccount] = AccountRegistry()


class LocalLimiter:
    """Paces the requests of this process: the default.

    All clients with the same credential and base URL share one account, also through different limiters.
    """

    __slots__ = ()

    def account(self, key: str) -> LocalAccount:
        """Return the account that a client spends from.

        Args:
            key: The base URL and the credential, as one text. Only its digest is kept.
        """
        return _ACCOUNTS.get(digest(key), LocalAccount)

    def reset_rate_limit(self) -> None:
        """Forget the rate limits learned for every locally paced client of this process.

        Blocks are lifted at once. For each credential the next request goes alone and learns the budget again.
        `Enprompta.reset_rate_limit` does the same for one client's credential.
        """
        for account in _ACCOUNTS:
            account.reset()

    def __repr__(self) -> str:
        return "LocalLimiter()"
