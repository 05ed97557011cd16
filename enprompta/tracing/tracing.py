"""The tracer of an application: `Tracing(client)`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource

from enprompta._client.base_client import BaseClient
from enprompta._client.ingest_client import IngestClient
from enprompta._common import semantic_conventions as names
from enprompta._version import __version__
from enprompta.errors import ConfigurationError
from enprompta.limiters.local import digest
from enprompta.models.live_prompts import LivePrompt
from enprompta.models.prompts import Prompt
from enprompta.tracing import lifetimes
from enprompta.tracing.contents import ClientHooks
from enprompta.tracing.exporter import Exporter
from enprompta.tracing.finishing import Finisher
from enprompta.tracing.instrumentors import instrument
from enprompta.tracing.observe import observed
from enprompta.tracing.prompt_links import MEMORY, link_of
from enprompta.tracing.provider import ExportProcessor, IsolatedProvider
from enprompta.tracing.redaction import Redaction
from enprompta.tracing.scopes import Scopes
from enprompta.tracing.spans import PromptBlock, SpanBlock, kind_attributes, session_attributes
from enprompta.tracing.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Self

    from enprompta import AsyncEnprompta, Enprompta
    from enprompta.tracing.instrumentors import Instrumentor
    from enprompta.tracing.spans import SpanKind
    from enprompta.tracing.stats import TracingStats

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_MAX_QUEUE = 100_000
DEFAULT_MAX_BYTES = 128_000_000
DEFAULT_SPOOL_BYTES = 256_000_000
DEFAULT_INTERVAL = 1.0  # seconds
SHUTDOWN_SECONDS = lifetimes.EXIT_SECONDS
FLUSH_SECONDS = 30.0


class Tracing:
    """Records spans of your program and sends them to the service, in the background.

    The provider is separate from OpenTelemetry's global one, which stays as it is. One thread sends the spans with the
    credentials, proxy and TLS settings of the client, outside its rate limit. Neither recording nor sending raises an
    exception or waits in your code. What waits is sent when the program ends, when it receives SIGTERM, and in
    `shutdown()`, each within a deadline. One object serves all threads, tasks and forked processes.

    Args:
        client: An `Enprompta` or `AsyncEnprompta`, whose account receives the spans. Its own calls are traced too.
        service_name: The name of your program. None reads `OTEL_SERVICE_NAME`.
        redact: Rules that mask, hash or drop personal data and secrets in every part of every span. None sends spans as
            they are.
        capture: `all` records inputs and outputs. `none` removes them, and every other text of a span that may hold
            contents, also from the spans of instrumented libraries; numbers, models, names and links remain.
        set_global: Make this the provider of the whole process; it must not have one yet.
        spool: A folder that keeps spans which could not be sent, also when the process ends or is killed; the next
            process sends them. None keeps them in memory only.
        resource: More attributes of your program, such as `{"deployment.environment.name": "production"}`.
        sampler: Decides which traces to record; None records all.
        max_queue: Spans that may wait to be encoded; the newest are dropped and counted beyond that.
        max_bytes: Bytes that waiting spans may take in memory, estimated.
        spool_bytes: Bytes that the spool's folder may take.
        interval: Seconds after which spans are sent even if they do not fill a batch of 512.

    Raises:
        ConfigurationError: An argument is invalid, the spool cannot be written, or `set_global` comes too late.
    """

    def __init__(
        self,
        client: Enprompta | AsyncEnprompta,
        *,
        service_name: str | None = None,
        redact: Redaction | None = None,
        capture: Literal["all", "none"] = "all",
        set_global: bool = False,
        spool: str | PathLike[str] | None = None,
        resource: Mapping[str, str] | None = None,
        sampler: Sampler | None = None,
        max_queue: int = DEFAULT_MAX_QUEUE,
        max_bytes: int = DEFAULT_MAX_BYTES,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
        interval: float = DEFAULT_INTERVAL,
    ) -> None:
        _check(client, redact, capture, service_name)
        _check_positive(max_queue=max_queue, max_bytes=max_bytes, spool_bytes=spool_bytes, interval=interval)
        if set_global and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            raise ConfigurationError(
                "set_global=True comes too late: the process has a global tracer provider. Add tracing.processor() to "
                "that provider instead"
            )
        self._client = client
        self._account = digest(client.account_key)
        self._is_captured = capture == "all"
        self._redact = redact
        self._scopes = Scopes()
        self._finisher = Finisher(redact, self._account, is_captured=self._is_captured)
        self._exporter = Exporter(
            IngestClient(client), self._finisher.finish,
            max_queue=max_queue, max_bytes=max_bytes, interval=interval,
            spool=_open_spool(spool, self._account, spool_bytes),
        )  # fmt: skip
        attributes = {**(resource or {}), **({names.SERVICE_NAME: service_name} if service_name else {})}
        self._provider = IsolatedProvider(Resource.create(attributes), sampler)
        self._processor = ExportProcessor(self._exporter, self._scopes)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("enprompta.tracing", __version__, names.SCHEMA_URL)
        self._instrumented: dict[str, Instrumentor] = {}
        self._is_shut_down = False
        self._hooks = ClientHooks(self._provider, is_captured=self._is_captured)
        client.add_hook(self._hooks)
        MEMORY.start(self._account)
        lifetimes.watch(self)
        if set_global:
            trace.set_tracer_provider(self._provider)

    @property
    def provider(self) -> TracerProvider:
        """The OpenTelemetry provider of this object, for instrumentors and for spans you start yourself."""
        return self._provider

    def processor(self) -> SpanProcessor:
        """Return a span processor that sends the spans of another provider: `provider.add_span_processor(...)`.

        Redaction, capture, links and the queue are those of this object, which also decides when to stop. Your other
        processors see the spans unchanged.

        Raises:
            Nothing: it can be called at any time.
        """
        return ExportProcessor(self._exporter, self._scopes)

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "chain",
        session_id: str | None = None,
        input: object = None,
        attributes: Mapping[str, str | bool | int | float] | None = None,
    ) -> SpanBlock:
        """Return a block that is a span: `with tracing.span("answer") as span: …`, or with `async with`.

        An exception is recorded and raised again. `span.set_output(...)` records the result.

        Args:
            name: The name of the step.
            kind: What the step is.
            session_id: The conversation or user session of this span and of all spans inside. None keeps the outer one.
            input: The input: text, or a value that is written as JSON. None records none.
            attributes: More attributes.

        Raises:
            ConfigurationError: The kind is unknown, or the session id is not text.
        """
        made: dict[str, AttributeValue] = {**kind_attributes(kind, name), **(attributes or {})}
        if session_id is not None:
            session_attributes(session_id)
        return self._block(name, made, session_id, input)

    def _block(
        self, name: str, attributes: dict[str, AttributeValue], session_id: str | None, given: object = None
    ) -> SpanBlock:
        return SpanBlock(
            self._tracer, self._provider, self._scopes, name, attributes,
            session_id=session_id, given=given, is_captured=self._is_captured,
        )  # fmt: skip

    @overload
    def observe(self, function: F, /) -> F: ...
    @overload
    def observe(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        kind: SpanKind = "chain",
        session_id: str | None = None,
    ) -> Callable[[F], F]: ...
    def observe(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        kind: SpanKind = "chain",
        session_id: str | None = None,
    ) -> Any:
        """Make each call of a function a span: `@tracing.observe` or `@tracing.observe(kind="tool")`.

        The arguments are the input and the result is the output. Plain and async functions, generators and async
        generators keep their kind. A generator or a returned stream ends its span when it has been read.

        Args:
            function: The function.
            name: The name of the span; None uses the function's.
            kind: What the function is.
            session_id: As for `span`.

        Raises:
            ConfigurationError: The kind is unknown, the session id is not text, or this does not decorate a function.
        """
        kind_attributes(kind, "")
        if session_id is not None:
            session_attributes(session_id)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(function) or isinstance(function, type):
                raise ConfigurationError(f"observe decorates functions and methods, not {function!r}")
            label = name or getattr(function, "__qualname__", type(function).__name__).rpartition("<locals>.")[2]
            attributes: dict[str, AttributeValue] = {**kind_attributes(kind, label)}
            return observed(function, lambda: self._block(label, attributes, session_id))

        return decorate if function is None else decorate(function)

    def prompt(self, prompt: LivePrompt | Prompt, /) -> PromptBlock:
        """Return a block whose model calls are linked to a prompt: `with tracing.prompt(live): …`.

        Calls whose input holds a text that `render()` returned are linked without it.

        Args:
            prompt: A prompt from `prompts.get_live` or `prompts.get`.

        Raises:
            ConfigurationError: It is not a prompt.
        """
        given: Any = prompt
        if not isinstance(given, (LivePrompt, Prompt)):
            raise ConfigurationError(
                f"tracing.prompt takes a prompt from prompts.get_live or prompts.get, not {type(given).__name__}"
            )
        return PromptBlock(self._scopes, link_of(given).attributes())

    def instrument(self, *libraries: str) -> None:
        """Trace calls of libraries with their installed OpenInference or OpenTelemetry instrumentors.

        Args:
            *libraries: Names such as `openai`, `anthropic` and `langchain`.

        Raises:
            ConfigurationError: A name is unknown, an instrumentor is not installed (the error names its package) or
                refuses the library's version, or the library is instrumented elsewhere.
        """
        for library in libraries:
            if library not in self._instrumented:
                self._instrumented[library] = instrument(library, self._provider)

    @property
    def stats(self) -> TracingStats:
        """The counters of this process: spans sent, dropped, redacted and waiting."""
        return self._exporter.counters.snapshot(waiting=self._exporter.waiting, redacted=self._finisher.redacted)

    def flush(self, *, deadline: float = FLUSH_SECONDS) -> bool:
        """Send everything that has ended so far.

        Args:
            deadline: Seconds to wait at most.

        Returns:
            True if everything was sent; False if the service was unavailable or the deadline passed.

        Raises:
            Nothing: failures are counted in `stats`.
        """
        return self._exporter.flush(deadline)

    def shutdown(self, *, deadline: float = SHUTDOWN_SECONDS) -> bool:
        """Send everything that has ended and stop; spans that end later are dropped and counted.

        Libraries are no longer instrumented afterwards. It is called when the program ends.

        Args:
            deadline: Seconds to wait at most.

        Returns:
            True if everything was sent. False if spans were dropped, or remain in the spool.

        Raises:
            Nothing: failures are counted in `stats`.
        """
        if self._is_shut_down:
            return True
        self._is_shut_down = True
        self._client.remove_hook(self._hooks)
        for instrumentor in self._instrumented.values():
            instrumentor.uninstrument()
        is_sent = self._exporter.shutdown(deadline)
        MEMORY.stop(self._account)
        lifetimes.forget(self)
        return is_sent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Shut down in a thread, so that other tasks run meanwhile."""
        import anyio.to_thread  # noqa: PLC0415 (httpx imports it with its first async request)

        await anyio.to_thread.run_sync(self.shutdown)

    def __repr__(self) -> str:
        if not hasattr(self, "_exporter"):  # the constructor failed
            return "<Tracing that could not be created>"
        state = "shut down" if self._is_shut_down else "active"
        return f"<Tracing {self._client.base_url} {state}>"

    # The interface of `lifetimes`.

    def begin_flush(self, seconds: float, /, *, is_last: bool) -> Callable[[], bool]:
        """Start to send everything; return a function that waits until that is done."""
        return self._exporter.begin_flush(seconds, is_last=is_last)

    def after_fork(self) -> None:
        """Start over in a child process."""
        MEMORY.after_fork()
        self._finisher.after_fork()
        self._exporter.after_fork()


def _check(client: object, redact: object, capture: object, service_name: object) -> None:
    """Check the arguments of `Tracing`.

    Raises:
        ConfigurationError: One of them is invalid.
    """
    if not isinstance(client, BaseClient):
        raise ConfigurationError(f"Tracing takes an Enprompta or AsyncEnprompta, not {type(client).__name__}")
    if redact is not None and not isinstance(redact, Redaction):
        raise ConfigurationError(f"redact must be a Redaction(...) or None, not {redact!r}")
    if capture not in {"all", "none"}:
        raise ConfigurationError(f"capture must be 'all' or 'none', not {capture!r}")
    if service_name is not None and not (isinstance(service_name, str) and service_name):
        raise ConfigurationError(f"service_name must be text that is not empty, not {service_name!r}")


def _check_positive(**given: object) -> None:
    """Check sizes and seconds.

    Raises:
        ConfigurationError: One of them is not a number above 0.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ConfigurationError(f"{name} must be a number above 0, not {value!r}")


def _open_spool(folder: Any, account: str, max_bytes: int) -> Spool | None:  # noqa: ANN401 (any argument)
    """Open the spool.

    Raises:
        ConfigurationError: The folder is not a path, or cannot be written.
    """
    if folder is None:
        return None
    try:
        return Spool(Path(folder).expanduser(), account, max_bytes)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(f"the spool folder {folder!r} cannot be used: {error}") from error
