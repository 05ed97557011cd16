"""Pacing within one process: one account a budget, shared by every client, thread and task that spends it."""

from __future__ import annotations

import os
from collections import OrderedDict
from datetime import datetime, timezone
from hashlib import blake2b
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

from enprompta._common.clock import monotonic
from enprompta.errors import RateLimit
from enprompta.limiters.pacer import Pacer
from enprompta.limiters.rate_limit_headers import read
from enprompta.limiters.sleepers import DeadlineReached, ThreadSleeper, WaitTooLong, async_sleeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enprompta.limiters.rate_limit_headers import Headers, Reading
    from enprompta.limiters.wait_queue import Reservation, Waker

__all__ = ["AccountRegistry", "LocalAccount", "LocalLimiter", "digest"]

_OVERSLEPT = 1.0  # seconds after the head should have woken at which any other waiter looks itself
_SOONER = 1e-3  # seconds by which a chance must come earlier to be worth waking the head for


class LocalAccount:
    """One budget as this process spends it.

    Nobody minds the clock in the background, and no thread is started. Who joins the line, who answers and who leaves
    it runs the policy under a lock that is never held for longer than that, and wakes those who may go. While the
    policy says that only time can help, the head of the line sleeps until the next chance and runs it then; the others
    sleep until woken. A thousand waiters thus cost one timer, and nothing runs when nobody waits. Should the head never
    wake, because its event loop was abandoned, the next one to look finds out and passes its place on.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start afresh, as a child after a fork must: the parent's waiters and requests are not here."""
        self._lock = Lock()
        self._pacer = Pacer()
        self._timer: tuple[Reservation | None, float] = (None, inf)  # who minds the clock, and until when it sleeps

    def acquire(
        self, ticket: Reservation | None = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Wait, blocking the thread, until a request may go.

        Args:
            ticket: The ticket of the call's last request when that was answered 429: it keeps its place in the line.
                None joins at the end.
            max_wait: Seconds to wait for the next request that can go, or for a probe's answer; if it takes longer, the
                call is refused as soon as that is known. It does not bound the time spent behind others in the line.
            deadline: When to give up, in seconds of the monotonic clock; None for never.

        Returns:
            The right to send one request. It must be ended by `observe`, `failed` or `cancel`; `waited` on it tells the
            seconds spent here.

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
        except BaseException:  # KeyboardInterrupt too must give the place back
            self.cancel(ticket)
            raise
        return ticket

    async def acquire_async(
        self, ticket: Reservation | None = None, *, max_wait: float, deadline: float | None = None
    ) -> Reservation:
        """Wait, as a task of asyncio or trio, until a request may go; see `acquire`."""
        ticket = self._enter(ticket, max_wait)
        if ticket.state == "granted":
            return ticket
        sleeper = async_sleeper()
        try:
            while (pause := self._check_turn(ticket, sleeper, deadline)) is not None:
                await sleeper.sleep(pause)
        except BaseException:  # and so must a task that is cancelled
            self.cancel(ticket)
            raise
        return ticket

    def observe(self, ticket: Reservation, status: int, headers: Headers, now: float | None = None) -> None:
        """Learn from an answer; call it as soon as the headers are there.

        Args:
            ticket: The request's.
            status: The HTTP status.
            headers: A mapping, or a list of raw pairs, which is faster to read.
            now: When the answer came, in seconds of the monotonic clock; None for the present.
        """
        reading = read(status, headers)
        with self._lock:
            now = monotonic() if now is None else now
            self._note("observe", ticket, reading)
            self._pacer.observe(ticket, reading, now)
            self._run_policy(now)

    def failed(self, ticket: Reservation) -> None:
        """Note that a request was sent, or may have been, and no answer came: it stays charged."""
        with self._lock:
            now = monotonic()
            self._note("fail", ticket)
            self._pacer.fail(ticket, now)
            self._run_policy(now)

    def cancel(self, ticket: Reservation) -> None:
        """Give back the right to a request that surely was not sent; a ticket that was ended before is left alone."""
        with self._lock:
            self._take_back(ticket)
            self._run_policy(monotonic())

    def holds(self) -> bool:
        """Return True if the next request has to wait here, so that a call that was answered 429 need not sleep first.

        Sleeping outside of the line would cost such a call its place in it: it would come back when the new window's
        budget is spent already.
        """
        with self._lock:
            return self._pacer.available(monotonic())[0] == 0

    def reset(self) -> None:
        """Forget what answers have reported, blocks included; the next request goes alone and finds out again."""
        with self._lock:
            self._pacer.reset()
            self._run_policy(monotonic())

    @property
    def rate_limit(self) -> RateLimit | None:
        """The budget as the server last reported it; None if it never did."""
        told = self._pacer.told
        return None if told is None else RateLimit(told[0], told[1], datetime.fromtimestamp(told[2], timezone.utc))

    def _enter(self, ticket: Reservation | None, max_wait: float) -> Reservation:
        with self._lock:
            now = monotonic()
            ticket = self._pacer.reserve(ticket, max_wait, now)
            self._run_policy(now, ticket)
            ticket.waited = 0.0
            return ticket

    def _check_turn(self, ticket: Reservation, sleeper: Waker, deadline: float | None) -> float | None:
        """See what has become of a ticket: the seconds to sleep before the next look, None when it may go."""
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
            if self._pacer.line.head is ticket:
                self._timer = ticket, chance
            else:
                chance += _OVERSLEPT
            return min(chance, inf if deadline is None else deadline) - now

    def _run_policy(self, now: float, looking: Reservation | None = None) -> None:
        """Run the policy after something has happened, and wake whom it concerns; the lock is held.

        Args:
            now: The present.
            looking: The ticket of the one who runs this, who needs no waking.
        """
        while self._pacer.line:
            if self._wake(self._pacer.grant(now), looking):
                self._wake_head(looking)
                return

    def _recheck(self, now: float, looking: Reservation) -> None:
        """Run the policy because time has passed; the lock is held."""
        self._run_policy(now, looking)

    def _note(self, step: str, ticket: Reservation, reading: Reading | None = None) -> None:
        """Tell others of a step of a request's life, before it is taken; the lock is held. Here there are none."""

    def _take_back(self, ticket: Reservation) -> None:
        self._note("cancel", ticket)
        self._pacer.cancel(ticket)

    def _wake(self, settled: list[Reservation], looking: Reservation | None = None) -> bool:
        """Wake those whose wait is over; False when some are gone, and what they were granted is free again."""
        deserted = [ticket for ticket in settled if ticket is not looking and ticket.waker and not ticket.waker.wake()]
        for ticket in deserted:
            self._take_back(ticket)
        return not deserted

    def _wake_head(self, looking: Reservation | None) -> None:
        """See to it that the head of the line minds the clock."""
        while (head := self._pacer.line.head) is not None and head is not looking and head.waker is not None:
            minder, until = self._timer
            if head is minder and self._pacer.chance_at > until - _SOONER:
                return
            self._timer = head, self._pacer.chance_at
            if head.waker.wake():
                return
            self._take_back(head)


AccountT = TypeVar("AccountT", bound=LocalAccount)


class AccountRegistry(Generic[AccountT]):
    """The accounts of this process, each made once, whoever asks.

    An account lives as long as a client holds it. The last ones used are kept a while longer, for programs that make
    a client for every call; so the memory they take does not grow. They are known by digests: no secret is kept here.
    """

    _KEPT = 64

    def __init__(self) -> None:
        self._accounts: WeakValueDictionary[str, AccountT] = WeakValueDictionary()
        self._recent: OrderedDict[str, AccountT] = OrderedDict()
        self._lock = Lock()
        self._watched = False

    def get(self, name: str, make: Callable[[], AccountT]) -> AccountT:
        """Find the account of a name, or make it.

        Args:
            name: A digest of what the account stands for.
            make: Makes one.
        """
        with self._lock:
            if not self._watched:
                self._watched = True
                if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
                    os.register_at_fork(after_in_child=self._renew)
            account = self._accounts.get(name)
            if account is None:
                account = self._accounts[name] = make()
            self._recent[name] = account
            self._recent.move_to_end(name)
            if len(self._recent) > self._KEPT:
                self._recent.popitem(last=False)
            return account

    def __iter__(self) -> Iterator[AccountT]:
        """Go through those that are held, or were used lately."""
        return iter(list(self._accounts.values()))

    def _renew(self) -> None:
        self._lock = Lock()
        for account in self:
            account.renew()


def digest(*parts: str) -> str:
    """Make a name out of parts of which one may be a secret, which cannot be found out from it."""
    return blake2b("\0".join(parts).encode(), digest_size=16, person=b"enprompta").hexdigest()


_ACCOUNTS: AccountRegistry[LocalAccount] = AccountRegistry()


class LocalLimiter:
    """Paces the requests of this process: the default.

    All clients of one credential and base URL share one account, whichever of their limiters they came by it with.
    """

    __slots__ = ()

    def account(self, key: str) -> LocalAccount:
        """Find the account that a client spends from.

        Args:
            key: The base URL and the credential, in one text. Only a digest of it is kept.
        """
        return _ACCOUNTS.get(digest(key), LocalAccount)

    def reset_rate_limit(self) -> None:
        """Forget what was learned about the rate limits of every client of this process that is paced locally.

        Blocks are lifted at once. For each credential the next request goes alone and learns the budget again.
        `Enprompta.reset_rate_limit` does the same for one client's credential.
        """
        for account in _ACCOUNTS:
            account.reset()

    def __repr__(self) -> str:
        return "LocalLimiter()"
