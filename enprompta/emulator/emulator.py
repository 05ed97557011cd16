"""The emulator as a thing to start and stop, and to set up."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from enprompta.emulator.access.accounts import AccountStore, Keys
from enprompta.emulator.access.idempotency import Idempotency
from enprompta.emulator.access.oauth_clients import Clients, OAuthClients
from enprompta.emulator.access.rate_limiter import RateLimiter
from enprompta.emulator.access.visitors import Visitors
from enprompta.emulator.api.app import create_app
from enprompta.emulator.database import Database, unusable
from enprompta.emulator.errors import ErrorDialect
from enprompta.emulator.execution.executor import Executor
from enprompta.emulator.execution.local_model import LocalModel
from enprompta.emulator.execution.providers import MODELS, Providers
from enprompta.emulator.execution.upstream import Upstream, shown_url, split_login
from enprompta.emulator.execution.workflow_runner import WorkflowRunner
from enprompta.emulator.services import Services
from enprompta.emulator.serving.faults import Faults
from enprompta.emulator.serving.server_thread import ServerThread, listen
from enprompta.emulator.stores import prompts, templates, usage
from enprompta.emulator.webhooks.delivery_queue import BACKOFF, TIMEOUT, DeliveryQueue
from enprompta.emulator.webhooks.event_publisher import EventPublisher
from enprompta.errors import ConfigurationError

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


class _Running(NamedTuple):
    server: ServerThread
    services: Services


class Emulator:
    """The Enprompta API on this machine; a context manager that serves while it is open.

    It serves from a thread of this process. Any number of emulators may run side by side; each has its own data.

    Args:
        db: An SQLite file to keep the data in, or `:memory:` to start empty and forget.
        host: The address to listen at. Anything but a loopback address lets other machines in: the keys are no secret.
        port: The port to listen at; 0 for a free one.
        allowed_hosts: More names that clients reach it by, such as a container's. Requests for a host that is neither
            one of these, nor `host`, nor loopback are refused, and so are those of web pages of another origin.
        window: Seconds of a minute's window; windows start at multiples of it.
        day: Seconds of a day's window.
        clock: Gives the time in Unix seconds; all that has a time, and every window, follows it.
        limits: Requests a minute and a day by tier, such as `{"pro": (5, 100)}`, in place of the reference's.
        credits: Executions a month by tier, None for no limit, in place of the reference's.
        rate_limits: False never to answer 429; the headers then tell of a budget that nobody can use up.
        error_dialect: `reference` for errors as the API reference shows them, `detailed` for the other documented form.
        upstream: An OpenAI-compatible server to run prompts on, such as `http://localhost:11434`; None for what
            `ENPROMPTA_EMULATOR_UPSTREAM` says and, when that says nothing, to echo prompts.
        upstream_key: The upstream's bearer token; None for what `ENPROMPTA_EMULATOR_UPSTREAM_KEY` says, if anything.
        upstream_timeout: Seconds an upstream may take before the execution fails.
        local_model: True runs prompts on a small model in this process, which the extra `local-model` installs.
        strict_models: True refuses providers and models that are not known with a 400, where prompts are echoed; by
            default any name is accepted. An upstream and the local model judge names themselves.
        models: Models by provider, `*` for anything, that a strict emulator knows beside those of openai, anthropic and
            google: `{"ollama": ["llama3*"]}`.
        webhook_backoff: Seconds to wait after each attempt to deliver an event that failed; one more attempt is made
            than there are waits. Real seconds, whatever the clock tells.
        webhook_timeout: Seconds that a receiver may take to answer.
        allow_remote_webhooks: True sends events to receivers on other machines too. By default a delivery to a host
            that has any address beyond loopback fails at once, so that events cannot be used to scan a network.
        token_lifetime: Seconds until an access token ends, by the clock.
        oauth_errors: `rfc6749` for errors of the token endpoint as that RFC has them, `envelope` for the API's own.

    Raises:
        ConfigurationError: The database cannot be used, the port cannot be listened at, or a setting makes no sense.
    """

    keys: Keys = Keys()
    """The API keys of its accounts, one for each tier."""
    clients: OAuthClients = OAuthClients()
    """The OAuth2 clients of its paid accounts, with all scopes: `emulator.clients.pro.client_id`."""
    upstream: str | None
    """Where prompts run, a login in the URL masked; None when they are echoed."""
    faults: Faults
    """What is to go wrong: `emulator.faults.add("/prompts/*", status=503, times=2)`."""

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
    ) -> None:
        if error_dialect not in get_args(ErrorDialect):
            raise ConfigurationError(f"error_dialect must be one of {', '.join(get_args(ErrorDialect))}")
        if oauth_errors not in {"rfc6749", "envelope"}:
            raise ConfigurationError("oauth_errors must be one of rfc6749, envelope")
        self._db = db
        self._host = host
        self._port = port
        self._visitors = Visitors(host, allowed_hosts)
        self._window = window
        self._day = day
        self._clock = clock
        self._limits = limits
        self._credits = credits
        self._rate_limits = rate_limits
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
        self._webhook_backoff = webhook_backoff
        self._webhook_timeout = webhook_timeout
        self._allow_remote_webhooks = allow_remote_webhooks
        self._token_lifetime = token_lifetime
        self._rfc_errors = oauth_errors == "rfc6749"
        self.faults = Faults()
        self._running: _Running | None = None

    def start(self) -> Self:
        """Start to serve; returns the emulator itself, when requests are answered."""
        if self._running is not None:
            raise ConfigurationError("The emulator is running already")
        listener = listen(self._host, self._port)
        try:
            database = Database(self._db)
            try:
                services = self._services(database)
                self._running = _Running(ServerThread(listener, create_app(services)), services)
            except sqlite3.Error as error:  # damage that shows when its first rows are read
                database.close()
                raise unusable(self._db, error) from error
            except BaseException:
                database.close()
                raise
        except BaseException:
            listener.close()
            raise
        return self

    def stop(self) -> None:
        """Stop to serve; returns when nothing of it is left running. Not started, there is nothing to do."""
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
        """The base URL to give to a client."""
        return f"http://{self._started().server.address}/api/v1"

    def set_label(self, prompt_id: str, label: str, version: int) -> None:
        """Point a label of a prompt at one of its versions; the API has no call for it.

        Until it is set, `production` follows the newest version.

        Args:
            prompt_id: The prompt.
            label: The label, such as `production` or `staging`.
            version: The number of a version that is there.

        Raises:
            LookupError: There is no such prompt or version.
        """
        prompts.set_label(self._started().services.database, prompt_id, label, version)

    def add_client(self, tier: str, *, scopes: Iterable[str]) -> OAuthClient:
        """Make an OAuth2 client that may do less than those of `clients`.

        Args:
            tier: Whose client: `pro`, `team`, `enterprise`, or `free` for one without API access.
            scopes: All it may ask for, such as `["prompts:read"]`.

        Raises:
            ConfigurationError: There is no such tier or scope.
        """
        return self._started().services.clients.add(tier, scopes)

    def expire_tokens(self) -> None:
        """End all access tokens now; the next request with one is a 401."""
        services = self._started().services
        services.clients.expire(services.clock())
        services.idempotency.forget_tokens()

    @property
    def token_requests(self) -> int:
        """Requests the token endpoint has had since the start, refused ones too."""
        return self._started().services.clients.requests

    def _started(self) -> _Running:
        if self._running is None:
            raise ConfigurationError("The emulator is not running: use it in a `with` block or call start() first")
        return self._running

    def _services(self, database: Database) -> Services:
        now = self._clock()
        templates.seed(database, now)
        model: Provider | None = None
        if self.local_model:
            model = LocalModel()
        elif self._upstream:
            model = Upstream(self._upstream, key=self._upstream_key, timeout=self._upstream_timeout)
        accounts = AccountStore(database, limits=self._limits, credits=self._credits)
        usage.seed(database, now)
        providers = Providers(model, self._known_models)
        delivery_queue = DeliveryQueue(
            database,
            self._clock,
            backoff=self._webhook_backoff,
            timeout=self._webhook_timeout,
            remote=self._allow_remote_webhooks,
        )
        events = EventPublisher(database, self._clock, delivery_queue)
        executor = Executor(database, accounts, providers, events)
        return Services(
            clock=self._clock,
            started_at=now,
            error_dialect=self._error_dialect,
            database=database,
            accounts=accounts,
            clients=Clients(database, accounts, lifetime=self._token_lifetime, rfc_errors=self._rfc_errors),
            limiter=RateLimiter(database, window=self._window, day=self._day, enabled=self._rate_limits),
            idempotency=Idempotency(database),
            providers=providers,
            delivery_queue=delivery_queue,
            events=events,
            executor=executor,
            runner=WorkflowRunner(database, self._clock, accounts=accounts, executor=executor, events=events),
            faults=self.faults,
            visitors=self._visitors,
        )
