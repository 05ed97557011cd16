"""Find the installed instrumentors of libraries by name: OpenInference first, then OpenTelemetry."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

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


# The instrumentors of each library, preferred ones first: project, its name there, and its class.
KNOWN: dict[str, tuple[tuple[str, str, str], ...]] = {
    "anthropic": (
        ("openinference", "anthropic", "AnthropicInstrumentor"),
        ("opentelemetry", "anthropic", "AnthropicInstrumentor"),
    ),
    "bedrock": (
        ("openinference", "bedrock", "BedrockInstrumentor"),
        ("opentelemetry", "bedrock", "BedrockInstrumentor"),
    ),
    "crewai": (("openinference", "crewai", "CrewAIInstrumentor"), ("opentelemetry", "crewai", "CrewAIInstrumentor")),
    "google-genai": (
        ("openinference", "google-genai", "GoogleGenAIInstrumentor"),
        ("opentelemetry", "google-genai", "GoogleGenAiSdkInstrumentor"),
    ),
    "groq": (("openinference", "groq", "GroqInstrumentor"), ("opentelemetry", "groq", "GroqInstrumentor")),
    "langchain": (
        ("openinference", "langchain", "LangChainInstrumentor"),
        ("opentelemetry", "langchain", "LangchainInstrumentor"),
    ),
    "litellm": (("openinference", "litellm", "LiteLLMInstrumentor"),),
    "llama-index": (
        ("openinference", "llama-index", "LlamaIndexInstrumentor"),
        ("opentelemetry", "llamaindex", "LlamaIndexInstrumentor"),
    ),
    "mistralai": (("openinference", "mistralai", "MistralAIInstrumentor"),),
    "openai": (
        ("openinference", "openai", "OpenAIInstrumentor"),
        ("opentelemetry", "openai-v2", "OpenAIInstrumentor"),
        ("opentelemetry", "openai", "OpenAIInstrumentor"),
    ),
    "openai-agents": (("openinference", "openai-agents", "OpenAIAgentsInstrumentor"),),
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
    for project, name, kind in known:
        module = f"{project}.instrumentation.{name.replace('-', '_')}"
        if _is_installed(module):
            return getattr(import_module(module), kind)()
    project, name, _ = known[0]
    raise ConfigurationError(
        f"{library} cannot be traced, because its instrumentor is not installed: "
        f"pip install {project}-instrumentation-{name}"
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
