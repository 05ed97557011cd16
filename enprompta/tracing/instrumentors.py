"""Find the installed instrumentors of libraries by name: OpenInference first, then OpenTelemetry."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, Protocol

from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


class Instrumentor(Protocol):
    """An instrumentor of OpenTelemetry's `BaseInstrumentor`, as far as it is used here."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """True if the library is instrumented."""
        ...

    def instrument(self, *, tracer_provider: TracerProvider, raise_exception_on_conflict: bool) -> object:
        """Instrument the library."""
        ...

    def uninstrument(self) -> object:
        """Undo it."""
        ...


class _Known(NamedTuple):
    """One instrumentor."""

    package: str
    module: str
    name: str


def _openinference(library: str, name: str) -> _Known:
    module = library.replace("-", "_")
    return _Known(f"openinference-instrumentation-{library}", f"openinference.instrumentation.{module}", name)


def _opentelemetry(library: str, name: str) -> _Known:
    module = library.replace("-", "_")
    return _Known(f"opentelemetry-instrumentation-{library}", f"opentelemetry.instrumentation.{module}", name)


KNOWN: dict[str, tuple[_Known, ...]] = {
    "anthropic": (
        _openinference("anthropic", "AnthropicInstrumentor"),
        _opentelemetry("anthropic", "AnthropicInstrumentor"),
    ),
    "bedrock": (_openinference("bedrock", "BedrockInstrumentor"), _opentelemetry("bedrock", "BedrockInstrumentor")),
    "crewai": (_openinference("crewai", "CrewAIInstrumentor"), _opentelemetry("crewai", "CrewAIInstrumentor")),
    "google-genai": (
        _openinference("google-genai", "GoogleGenAIInstrumentor"),
        _opentelemetry("google-genai", "GoogleGenAiSdkInstrumentor"),
    ),
    "groq": (_openinference("groq", "GroqInstrumentor"), _opentelemetry("groq", "GroqInstrumentor")),
    "langchain": (
        _openinference("langchain", "LangChainInstrumentor"),
        _opentelemetry("langchain", "LangchainInstrumentor"),
    ),
    "litellm": (_openinference("litellm", "LiteLLMInstrumentor"),),
    "llama-index": (
        _openinference("llama-index", "LlamaIndexInstrumentor"),
        _opentelemetry("llamaindex", "LlamaIndexInstrumentor"),
    ),
    "mistralai": (_openinference("mistralai", "MistralAIInstrumentor"),),
    "openai": (
        _openinference("openai", "OpenAIInstrumentor"),
        _opentelemetry("openai-v2", "OpenAIInstrumentor"),
        _opentelemetry("openai", "OpenAIInstrumentor"),
    ),
    "openai-agents": (_openinference("openai-agents", "OpenAIAgentsInstrumentor"),),
}


def instrumentor_for(library: str) -> Instrumentor:
    """Return the installed instrumentor of a library.

    Raises:
        ConfigurationError: The library is unknown, or no instrumentor for it is installed.
    """
    known = KNOWN.get(library.lower().replace("_", "-") if isinstance(library, str) else "")  # pyright: ignore[reportUnnecessaryIsInstance] (any argument)
    if known is None:
        raise ConfigurationError(
            f"there is no instrumentor by the name {library!r}; the names are {', '.join(sorted(KNOWN))}. For another "
            "library, pass tracing.provider to its instrumentor: Instrumentor().instrument(tracer_provider=...)"
        )
    for one in known:
        if _is_installed(one.module):
            return getattr(import_module(one.module), one.name)()
    raise ConfigurationError(
        f"{library} cannot be traced, because its instrumentor is not installed: pip install {known[0].package}"
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def instrument(library: str, provider: TracerProvider) -> Instrumentor:
    """Instrument a library with a provider; return the instrumentor.

    Raises:
        ConfigurationError: As `instrumentor_for`; or another provider instruments the library already, or the
            instrumentor refuses the installed version of the library.
    """
    instrumentor = instrumentor_for(library)
    if instrumentor.is_instrumented_by_opentelemetry:
        raise ConfigurationError(
            f"{library} is instrumented already, and can have one destination only: call its instrumentor's "
            "uninstrument() first, or shut down the other Tracing"
        )
    try:
        instrumentor.instrument(tracer_provider=provider, raise_exception_on_conflict=True)
    except Exception as error:  # of the instrumentor, which has its own kinds
        raise ConfigurationError(f"{library} cannot be traced by {type(instrumentor).__module__}: {error}") from error
    return instrumentor
