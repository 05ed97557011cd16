"""One call from request to response, with all its decisions but no I/O.

`Exchange.steps()` is a generator of the steps in `enprompta._core.steps`. It receives the result or the exception of
each step, and returns the `HttpReply`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from enprompta import errors
from enprompta._common import log
from enprompta._common.clock import monotonic, real_time
from enprompta._common.handler_errors import is_from_handler
from enprompta._core.steps import HttpReply, SendRequest, Sleep, WaitForBudget
from enprompta._http import failures
from enprompta._http.exchange.retry import Retrier
from enprompta.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ErrorInfo,
    RateLimitError,
)
from enprompta.limiters.rate_limit_headers import TOO_MANY_REQUESTS, read
from enprompta.limiters.sleepers import DeadlineReached, WaitTooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from enprompta._core.steps import Answer, Steps
    from enprompta._http.exchange.auth import ApiKeyAuth, ClientCredentials
    from enprompta._http.exchange.hook_reports import HookReports
    from enprompta._http.exchange.retry import RetryPolicy
    from enprompta.errors import Attempt
    from enprompta.limiters.interface import Account, Reservation


class ExchangeConfig(NamedTuple):
    """Configuration for the calls of one client view."""

    retry: RetryPolicy
    account: Account
    auth: ApiKeyAuth | ClientCredentials
    deadline: float | None = None
    """Seconds for a whole call; None for no limit."""
    hooks: Sequence[object] = ()
    secrets: Callable[[], Sequence[str]] = tuple[str, ...]
    """Returns the secrets to redact in responses."""
    clock: Callable[[], float] = monotonic
    wall_clock: Callable[[], float] = real_time


class Exchange:
    """One call in progress, with its attempts and the time it has spent.

    Args:
        request: The request.
        call: Name of the call for messages, such as `GET /prompts`.
        plan: The configuration of the client view.
        deadline_at: Deadline in monotonic seconds; None applies the configured one.
    """

    # Defaults of the class, so that a call sets few attributes.
    waited = 0.0
    """Seconds spent waiting for the rate limit."""
    slept = 0.0
    """Seconds slept between attempts."""
    authorized = 0.0
    """Seconds spent waiting for an access token."""
    ticket: Reservation = None
    retrier: Retrier | None = None
    reports: HookReports | None = None
    """Reports the call to the hooks; None without hooks."""
    renewed = False
    budget_reported = False
    """True if the last answer was a 429 that reported a consistent budget."""

    def __init__(
        self, request: httpx.Request, call: str, plan: ExchangeConfig, deadline_at: float | None = None
    ) -> None:
        self.request, self.call, self.plan, self.deadline_at = request, call, plan, deadline_at
        self.failed: list[Attempt] = []
        self.began = 0.0

    def steps(self) -> Steps[HttpReply]:
        """Send the request, with retries according to the policy.

        Raises:
            APIStatusError: The last response was not 2xx.
            APIConnectionError: The last attempt got no response.
            APITimeoutError: The deadline passed; the message lists where the time was spent.
            RateLimitError: The rate limit would require waiting longer than `max_wait`; nothing was sent.
        """
        plan = self.plan
        self.began = plan.clock()
        if self.deadline_at is None and plan.deadline is not None:
            self.deadline_at = self.began + plan.deadline
        return self._reported() if plan.hooks else self._attempts()

    def _reported(self) -> Steps[HttpReply]:
        """Send the request and report the call to the hooks."""
        from enprompta._http.exchange.hook_reports import HookReports  # noqa: PLC0415 (few programs use hooks)

        plan = self.plan
        self.reports = reports = HookReports(plan.hooks, self.request, self.call, plan.secrets)
        try:
            reply = yield from self._attempts()
        except BaseException as error:
            reports.ended(plan.clock() - self.began, self.failed, error)
            raise
        reports.ended(plan.clock() - self.began, self.failed, reply)
        return reply

    def _attempts(self) -> Steps[HttpReply]:
        """Send the request until it succeeds or the policy gives up."""
        plan = self.plan
        while True:
            if plan.auth.renews:
                yield from self._authorize()
            try:
                self.ticket = yield WaitForBudget(plan.account, self.ticket, plan.retry.max_wait, self.deadline_at)
            except (WaitTooLong, DeadlineReached) as refused:
                raise self._refused_error(refused) from None
            if self.ticket.waited or self.deadline_at is not None:
                self._check_wait(self.ticket.waited)
            if self.reports:
                self._announce(self.reports)
            started = plan.clock()
            try:
                response: Answer = yield SendRequest(self.request, self.call, self.deadline_at)
            except BaseException as failure:
                outcome = self._unanswered(failure, started)
                if outcome is None:
                    raise
            else:
                outcome = self._answered(response, started)
                if isinstance(outcome, HttpReply):
                    return outcome
            yield from self._back_off_or_raise(self._attempt(plan.clock() - started, outcome), outcome)

    def _authorize(self) -> Steps[None]:
        """Set the access token of the request; wait for it if there is none yet."""
        auth, clock, headers = self.plan.auth, self.plan.clock, self.request.headers
        if ready := auth.header:
            headers["Authorization"] = ready
            return
        started = clock()
        try:
            headers["Authorization"] = yield from auth.obtain(self.deadline_at)
        except APITimeoutError as late:
            self.authorized += clock() - started
            if self.deadline_at is None or clock() < self.deadline_at:
                raise
            raise self._deadline_error("has passed", late.attempts) from late
        self.authorized += clock() - started

    def _unanswered(self, failure: BaseException, started: float) -> APIError | None:
        """Report to the limiter and the hooks that no response came; return the failure if it may be retried."""
        plan = self.plan
        # A request that was never sent is refunded to the budget. One that was canceled or interrupted stays charged,
        # because the server may have counted it.
        unsent = getattr(failure, "unsent", False)
        (plan.account.cancel if unsent else plan.account.failed)(self.ticket)
        self.ticket = None
        if self.reports:
            self.reports.answered(plan.clock() - started, failure)
        return failure if isinstance(failure, APIConnectionError) and not is_from_handler(failure) else None

    def _answered(self, response: Answer, started: float) -> HttpReply | APIError:
        """Report a response to the limiter and the hooks; return the reply, or the error if it is not 2xx."""
        plan = self.plan
        plan.account.observe(self.ticket, response.status_code, response.headers.raw)
        if response.status_code == TOO_MANY_REQUESTS:
            self.budget_reported = read(TOO_MANY_REQUESTS, response.headers.raw).limit > 0
        else:  # a rate-limited request keeps its place in the queue
            self.ticket = None
        duration = plan.clock() - started
        if self.reports:
            self.reports.answered(duration, response)
        if not response.is_success:
            mask = failures.mask_for(self.request, plan.secrets())
            return failures.status_error(self.call, response, plan.wall_clock(), mask)
        if log.logger.isEnabledFor(logging.DEBUG):  # collecting the fields takes longer than this check
            log.event(logging.DEBUG, "response", call=self.call, status=response.status_code, seconds=duration)
        return HttpReply(response, self.failed, duration, self.deadline_at)

    def _refused_error(self, refused: WaitTooLong | DeadlineReached) -> APIError:
        """Return the error of a request that the limiter did not let through."""
        self.waited += refused.waited
        return self._budget_error(refused) if isinstance(refused, WaitTooLong) else self._deadline_error("has passed")

    def _check_wait(self, waited: float) -> None:
        """Report the wait for the rate limit; give up if the deadline passed meanwhile."""
        plan = self.plan
        if waited:
            self.waited += waited
            log.event(logging.DEBUG, "waited", call=self.call, seconds=waited)
            if self.reports:
                self.reports.waited(waited)
        if self.deadline_at is not None and plan.clock() >= self.deadline_at:
            plan.account.cancel(self.ticket)
            raise self._deadline_error("has passed")

    def _announce(self, reports: HookReports) -> None:
        """Report an attempt to the hooks, which may add headers."""
        try:
            reports.announced(len(self.failed) + 1)
        except BaseException:  # such as KeyboardInterrupt
            self.plan.account.cancel(self.ticket)
            raise

    def _attempt(self, duration: float, error: APIError) -> Attempt:
        number = len(self.failed) + 1
        if isinstance(error, APIStatusError):
            return errors.Attempt(number, duration, error.status_code, request_id=error.request_id)
        return errors.Attempt(number, duration, error=error.message)

    def _renews(self, error: APIError) -> bool:
        """True if a 401 is to be retried with a new token; forgets the rejected one."""
        auth = self.plan.auth
        if not isinstance(error, AuthenticationError) or not auth.renews or self.renewed:
            return False
        self.renewed = True
        auth.reject(self.request.headers["Authorization"])
        return True

    def _back_off_or_raise(self, attempt: Attempt, error: APIError) -> Steps[None]:
        """Wait before the next attempt, or raise the final error."""
        plan = self.plan
        if self._renews(error):
            self.failed.append(attempt)
            return
        if self.deadline_at is not None and plan.clock() >= self.deadline_at:
            self.failed.append(attempt)  # before importing tenacity
            raise self._deadline_error("has passed") from error
        self.retrier = self.retrier or Retrier(plan.retry)
        try:
            wait = self.retrier.failed(error)
        except APIError:
            self.failed.append(attempt)
            # Without the frames of the retry machinery.
            raise self._final(error).with_traceback(None) from error.__cause__
        # A request rate-limited with a consistent budget waits in the limiter's queue, where it keeps its place. Any
        # other 429 holds this call alone, for as long as it asks.
        in_queue = isinstance(error, RateLimitError) and self.budget_reported and plan.account.holds()
        if self.deadline_at is not None and plan.clock() + (0 if in_queue else wait) >= self.deadline_at:
            self.failed.append(attempt)
            raise self._deadline_error(f"leaves no time to wait {wait:.1f} s") from error
        self.failed.append(replace(attempt, wait=wait))
        log.event(
            logging.INFO, "retry", call=self.call, attempt=attempt.number, wait=wait,
            status=attempt.status_code, error=type(error).__name__, request_id=attempt.request_id,
        )  # fmt: skip
        if self.reports:
            self.reports.retried(wait, attempt, error)
        if not in_queue:
            yield Sleep(wait)
            self.slept += wait

    def _final(self, error: APIError) -> APIError:
        """Complete the final error with its attempts and the reason why there is no retry."""
        error.attempts = tuple(self.failed)
        if len(self.failed) > 1:
            error.add_context(f"gave up after {len(self.failed)} attempts")
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        most = self.plan.retry.max_wait
        if asked is not None and asked > most:
            error.add_context(
                f"not retried, because the API asks to wait {asked:.0f} s, more than max_wait ({most:g} s)"
            )
        return error

    def _deadline_error(self, why: str, token_attempts: Sequence[Attempt] = ()) -> APITimeoutError:
        """Return the error for a passed deadline, with where the time was spent."""
        deadline = self.plan.deadline
        # A token request runs within the deadline of another call, whose error states it.
        of = "" if deadline is None else f" of {deadline:g} s"
        wire = sum(attempt.duration for attempt in self.failed)
        token = f"{self.authorized:.2f} s waited for an access token, " if self.authorized else ""
        return APITimeoutError(
            f"{self.call}: the deadline{of} {why}: {token}{self.waited:.2f} s waited for the "
            f"request budget, {self.slept:.2f} s slept between attempts, {wire:.2f} s on the wire in "
            f"{len(self.failed)} attempts",
            attempts=(*self.failed, *(replace(one, number=one.number + len(self.failed)) for one in token_attempts)),
        )

    def _budget_error(self, refused: WaitTooLong) -> RateLimitError:
        limit = refused.rate_limit
        of = f" of {limit.limit} requests" if limit else ""
        sent = f" again after {len(self.failed)} attempts" if self.failed else ""
        return RateLimitError(
            f"{self.call} was not sent{sent}: the request budget{of} is used up for another {refused.wait:.0f} s, more "
            f"than max_wait ({self.plan.retry.max_wait:g} s)",
            status_code=TOO_MANY_REQUESTS,
            info=ErrorInfo(code="RATE_LIMIT_EXCEEDED"),
            rate_limit=limit,
            retry_after=refused.wait,
            attempts=self.failed,
        )
