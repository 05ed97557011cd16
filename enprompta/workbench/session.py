"""The session that all pages share: a client, the log of exchanges, and the emulator's control interface."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from enprompta import AsyncEnprompta, __version__
from enprompta.emulator import ControlError, EmulatorControl, Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from enprompta.exchanges import ExchangeLog

JSON: TypeAlias = dict[str, Any]  # what the control interface returns has no models
"""A JSON object of the control interface."""

USER_AGENT = f"enprompta-workbench/{__version__}"
"""`User-Agent` of the Workbench's own requests, by which the Requests page can hide them."""

_WAIT = 20  # seconds that a request for new exchanges waits
_PAUSE = 1.0  # seconds before the emulator is asked again after a failure


class Session:
    """The account and the log that the pages show.

    It follows the log of an emulator in another process; without a control interface, it is on the live service.
    """

    def __init__(
        self, client: AsyncEnprompta, log: ExchangeLog, *, control: EmulatorControl | None = None, follows: bool = False
    ) -> None:
        self.client: AsyncEnprompta = client
        self.log = log
        self.control = control
        self.base_url: str = client.base_url
        self.relay_url: str | None = None
        """Base URL for programs whose calls to the live service are to be logged; None without a relay."""
        self.report_url: str = ""
        """Value of `ENPROMPTA_WORKBENCH` for programs that report their own view of their calls."""
        self.account: str = "team" if control is not None else "account"
        """Name of the account in use."""
        self._follows = follows

    @property
    def is_live(self) -> bool:
        """True on the live service, False on an emulator."""
        return self.control is None

    @property
    def accounts(self) -> list[str]:
        """Names of the accounts to choose from: those of the emulator, or one on the live service."""
        return ["free", "pro", "team", "enterprise"] if self.control is not None else [self.account]

    async def use(self, account: str) -> None:
        """Switch to another of the `accounts`."""
        if self.control is None or account not in self.accounts:
            return
        previous, self.client = self.client, emulator_client(self.control.origin, account)
        self.account = account
        await previous.aclose()

    async def follow(self) -> None:
        """Copy the emulator's exchanges into the log, until cancelled; return at once if the log is the emulator's."""
        if self.control is None or not self._follows:
            return
        revision = 0
        while True:
            try:
                newest, exchanges = await self.control.exchanges(revision, wait=_WAIT)
            except ControlError:
                await asyncio.sleep(_PAUSE)
                continue
            for exchange in exchanges:
                self.log.add(exchange)
            revision = newest if newest >= revision else 0  # a lower one means that the emulator was restarted

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()
        if self.control is not None:
            await self.control.aclose()


def emulator_client(origin: str, account: str = "team") -> AsyncEnprompta:
    """Make a client of one of the emulator's accounts."""
    return AsyncEnprompta(
        api_key=getattr(Keys(), account), base_url=f"{origin}/api/v1", default_headers={"User-Agent": USER_AGENT}
    )


_current: list[Session] = []


def current() -> Session:
    """Return the session of this process."""
    return _current[-1]


def begin(session: Session) -> Callable[[], None]:
    """Make a session the current one; return a function that ends it."""
    _current.append(session)

    def end() -> None:
        with suppress(ValueError):
            _current.remove(session)

    return end
