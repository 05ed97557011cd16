"""The `Emulator` class: configure, start and stop a local server."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from enprompta.emulator.access.accounts import AccountStore, Keys
from enprompta.emulator.access.idempotency import Idempotency
from enprompta.emulator.access.oauth_clients import OAuthClients, OAuthClientStore
from enprompta.emulator.access.rate_limiter import RateLimiter
from enprompta.emulator.access.trusted_hosts import TrustedHosts
from enprompta.emulator.api.app import create_app
from enprompta.emulator.api.request_context import Services
from enprompta.emulator.database import Database, unusable
from enprompta.emulator.errors import ErrorDialect
from enprompta.emulator.execution.executor import Executor
from enprompta.emulator.execution.local_model import LocalModel
from enprompta.emulator.execution.providers import MODELS, Providers
from enprompta.emulator.execution.upstream import Upstream, shown_url, split_login
from enprompta.emulator.execution.workflow_runner import Parts, WorkflowRunner
from enprompta.emulator.serving.clock import EmulatorClock
from enprompta.emulator.serving.faults import Faults
from enprompta.emulator.serving.server_thread import ServerThread, listen
from enprompta.emulator.stores import prompts, templates, usage
from enprompta.emulator.webhooks.delivery_queue import BACKOFF, TIMEOUT, DeliveryQueue, EventPublisher
from enprompta.errors import ConfigurationError
from enprompta.exchanges import ExchangeLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self

    from enprompta.emulator.access.oauth_clients import OAuthClient
    from enprompta.emulator.execution.providers import Provider

_UPSTREAM_VARIABLE = "ENPROMPTA_EMULATOR_UPSTREAM"
_UPSTREAM_KEY_VARIABLE = "ENPROMPTA_EMULATOR_UPSTREAM_KEY"
_DAY = 86_400.0
_MIN_TOKEN = 16  # characters


class _Running(NamedTuple):
    server: ServerThread
    services: Services


class Emulator:
    """A local server that implements the Enprompta API; a context manager that serves while it is open.

    The server runs on a thread of this process. Several emulators can run side by side; each has its own data.

    Args:
        db: SQLite file for the data, or `:memory:` to start empty and keep nothing.
        host: Address to listen on. Any address other than loopback accepts other machines, and the keys are public.
        port: Port to listen on; 0 for any free one.
        allowed_hosts: More host names to answer for, such as a container's. A request for any host other than these,
            `host` and loopback is refused, and so is a request from a web page of another origin.
        window: Length of the per-minute window in seconds; windows start at multiples of it.
        day: Length of the per-day window in seconds.
        clock: Returns Unix seconds; the source of every time and window.
        limits: Requests per minute and per day by tier, such as `{"pro": (5, 100)}`; overrides the reference's.
        credits: Executions per month by tier, None for no limit; overrides the reference's.
        rate_limits: False to never answer 429; the headers then report a budget too large to use up.
        error_dialect: `reference` for errors as in the API reference, `detailed` for the other documented format.
        upstream: OpenAI-compatible server to run prompts on, such as `http://localhost:11434`. None reads
            `ENPROMPTA_EMULATOR_UPSTREAM`; without that, the emulator echoes prompts.
        upstream_key: Bearer token for the upstream; None reads `ENPROMPTA_EMULATOR_UPSTREAM_KEY`, if set.
        upstream_timeout: Seconds that an upstream may take before the execution fails.
        local_model: True to run prompts on a small model in this process; needs the extra `local-model`.
        strict_models: True to reject unknown providers and models with a 400 when prompts are echoed. By default any
            name is accepted. An upstream and the local model always check names themselves.
        models: Models by provider for `strict_models`, in addition to those of openai, anthropic and google. `*`
            matches anything: `{"ollama": ["llama3*"]}`.
        webhook_backoff: Seconds to wait after each failed delivery attempt; there is one attempt more than waits.
            Always real seconds, not the clock's.
        webhook_timeout: Seconds that a receiver may take to respond.
        allow_remote_webhooks: True to deliver events to other machines too. By default, a delivery to a host with any
            address other than loopback fails at once, so that webhooks cannot be used to scan a network.
        token_lifetime: Seconds until an access token expires, by the clock.
        control_token: Bearer token of the control interface; None for a random one. At least 16 ASCII characters.
        oauth_errors: `rfc6749` for token endpoint errors as in that RFC, `envelope` for the API's error format.

    Raises:
        ConfigurationError: The database or the port cannot be used, or a setting is invalid.
    """

    keys: Keys = Keys()
    """API keys of the emulator's accounts, one for each tier."""
    clients: OAuthClients = OAuthClients()
    """OAuth2 clients of the paid accounts, with all scopes: `emulator.clients.pro.client_id`."""
    upstream: str | None
    """URL of the server that runs prompts, with any login redacted; None when prompts are echoed."""
    faults: Faults
    """Injected faults: `emulator.faults.add("/prompts/*", status=503, times=2)`."""

    clock: EmulatorClock
    """The emulator's time: `emulator.clock.advance(60)` moves it, and with it windows, months and tokens."""
    exchanges: ExchangeLog
    """The requests that the emulator has answered, with their responses; credentials are redacted."""
    control_token: str
    """Bearer token of the control interface below `/control`, which `EmulatorControl` uses."""

    def __init__(
        self,
        *,
        db: str | PathLike[str] = ":memory:",
        host: str = "127.0.0.1",
        port: int = 0,
        allowed_hosts: Sequence[str] = (),
        window: float = 60.0,
        day: float = _DAY,
        clock: Callable[[], float] = time.time,
        limits: Mapping[str, tuple[int, int]] | None = None,
        credits: Mapping[str, int | None] | None = None,
        rate_limits: bool = True,
        error_dialect: Literal["reference", "detailed"] = "reference",
        upstream: str | None = None,
        upstream_key: str | None = None,
        upstream_timeout: float = 120.0,
        local_model: bool = False,
        strict_models: bool = False,
        models: Mapping[str, Sequence[str]] | None = None,
        webhook_backoff: Sequence[float] = BACKOFF,
        webhook_timeout: float = TIMEOUT,
        allow_remote_webhooks: bool = False,
        token_lifetime: int = 3600,
        oauth_errors: Literal["rfc6749", "envelope"] = "rfc6749",
        control_token: str | None = None,
    ) -> None:
        if error_dialect not in get_args(ErrorDialect):
            raise ConfigurationError(f"error_dialect must be one of {', '.join(get_args(ErrorDialect))}")
        if oauth_errors not in {"rfc6749", "envelope"}:
            raise ConfigurationError("oauth_errors must be one of rfc6749, envelope")
        if control_token is not None and (len(control_token) < _MIN_TOKEN or not control_token.isascii()):
            raise ConfigurationError(f"control_token needs at least {_MIN_TOKEN} ASCII characters")
        self._db = db
        self._host = host
        self._port = port
        self._trusted_hosts = TrustedHosts(host, allowed_hosts)
        self._limiter = partial(RateLimiter, window=window, day=day, enabled=rate_limits)
        self.clock = EmulatorClock(clock)
        self.exchanges = ExchangeLog()
        self.control_token = control_token or secrets.token_urlsafe(24)
        self._accounts = partial(AccountStore, limits=limits, credits=credits)
        self._error_dialect: ErrorDialect = error_dialect
        self._upstream = upstream or os.environ.get(_UPSTREAM_VARIABLE)
        if self._upstream:
            split_login(self._upstream)
        self.upstream = shown_url(self._upstream) if self._upstream else None
        self._upstream_key = upstream_key or os.environ.get(_UPSTREAM_KEY_VARIABLE)
        self._upstream_timeout = upstream_timeout
        self.local_model = local_model
        self._known_models = {**MODELS, **(models or {})} if strict_models else None
        if local_model and self.upstream:
            raise ConfigurationError("Prompts run either on the local model or on an upstream: choose one")
        self._queue = partial(
            DeliveryQueue, backoff=webhook_backoff, timeout=webhook_timeout, remote=allow_remote_webhooks
        )
        self._clients = partial(OAuthClientStore, lifetime=token_lifetime, rfc_errors=oauth_errors == "rfc6749")
        self.faults = Faults()
        self.workbench_url: str | None = None
        """Address of the Workbench to which the emulator's page `/` leads; None to show how to start one."""
        self._running: _Running | None = None

    def start(self) -> Self:
        """Start the server, wait until it accepts requests, and return the emulator."""
        if self._running is not None:
            raise ConfigurationError("The emulator is already running")
        with ExitStack() as on_failure:
            listener = on_failure.enter_context(listen(self._host, self._port))
            database = on_failure.enter_context(closing(Database(self._db)))
            try:
                services = self._services(database)
                self._running = _Running(ServerThread(listener, create_app(services)), services)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # damage that only shows when the first rows are read
                raise unusable(self._db, error) from error
            on_failure.pop_all()
        return self

    def stop(self) -> None:
        """Stop the server and wait until it has ended; does nothing if the emulator is not running."""
        running, self._running = self._running, None
        if running is not None:
            running.server.stop()
            running.services.database.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def __repr__(self) -> str:
        where = "stopped" if self._running is None else f"at {self.url}"
        return f"<Emulator {where}>"

    @property
    def url(self) -> str:
        """Base URL to configure a client with."""
        return f"{self.origin}/api/v1"

    @property
    def origin(self) -> str:
        """Scheme, host and port of the server, such as `http://127.0.0.1:8787`."""
        return f"http://{self._started().server.address}"

    def set_label(self, prompt_id: str, label: str, version: int) -> None:
        """Point a label of a prompt at one of its versions; the API has no endpoint for this.

        Until it is set, `production` follows the newest version.

        Args:
            prompt_id: ID of the prompt.
            label: Label to set, such as `production` or `staging`.
            version: Number of an existing version.

        Raises:
            LookupError: The prompt or the version does not exist.
        """
        prompts.set_label(self._started().services.database, prompt_id, label, version)

    def add_client(self, tier: str, *, scopes: Iterable[str]) -> OAuthClient:
        """Create an OAuth2 client with fewer scopes than those of `clients`.

        Args:
            tier: Tier of the client's account: `pro`, `team`, `enterprise`, or `free` (no API access).
            scopes: Scopes that the client may request, such as `["prompts:read"]`.

        Raises:
            ConfigurationError: The tier or a scope does not exist.
        """
        return self._started().services.clients.add(tier, scopes)

    def expire_tokens(self) -> None:
        """Expire all access tokens now; the next request with one gets a 401."""
        services = self._started().services
        services.clients.expire(services.clock())
        services.idempotency.forget_tokens()

    @property
    def token_requests(self) -> int:
        """Number of requests to the token endpoint since the start, including refused ones."""
        return self._started().services.clients.requests

    def _started(self) -> _Running:
        if self._running is None:
            raise ConfigurationError("The emulator is not running: use it in a `with` block or call start() first")
        return self._running

    def _services(self, database: Database) -> Services:
        now = self.clock()
        templates.seed(database, now)
        model: Provider | None = None
        if self.local_model:
            model = LocalModel()
        elif self._upstream:
            model = Upstream(self._upstream, key=self._upstream_key, timeout=self._upstream_timeout)
        accounts = self._accounts(database)
        usage.seed(database, now)
        providers = Providers(model, self._known_models)
        delivery_queue = self._queue(database, self.clock)
        events = EventPublisher(database, self.clock, delivery_queue)
        executor = Executor(database, accounts, providers, events)
        return Services(
            clock=self.clock,
            started_at=now,
            error_dialect=self._error_dialect,
            database=database,
            accounts=accounts,
            clients=self._clients(database, accounts),
            limiter=self._limiter(database),
            idempotency=Idempotency(database),
            providers=providers,
            delivery_queue=delivery_queue,
            events=events,
            executor=executor,
            runner=WorkflowRunner(Parts(database, self.clock, accounts, executor, events)),
            faults=self.faults,
            exchanges=self.exchanges,
            control_token=self.control_token,
            workbench_url=lambda: self.workbench_url,
            trusted_hosts=self._trusted_hosts,
        )
