"""The systems that the engine is compared with, each over the same weights, and each without a prefix cache.

Every function is run in a worker's process, raises `Absent` with the reason where its package is missing, and gives
the peer what it is fastest with: transformers and PEFT the better number format of the two, llama.cpp and OpenVINO
GenAI the GGUF file itself, with the layouts and number formats that they choose for this machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from adaptrix_core.base.source import resolve
from benchmarks.harness.workers import Absent, Rows, System
from benchmarks.harness.workload import BASE, NUM_ADAPTERS, OUTPUT_TOKENS, assignment, gguf_file, name

TRANSFORMERS, PEFT = "transformers generate, no adapter", "PEFT mixed batch, 8 adapters"
LLAMA_CPP = "llama.cpp, no adapter"
OPENVINO = "OpenVINO GenAI, continuous batching, no adapter"
OPENVINO_FIXED = "OpenVINO GenAI, fixed batch, no adapter"
PROBE_PROMPT, PROBE_TOKENS = 8, 4
"""Tokens; few, because emulated bfloat16 can be a hundred times slower."""
KV_CACHE_GB = 1


def transformers_system(prompts: Rows, threads: int) -> System:
    """`transformers.generate`, no adapter."""
    torch.set_num_threads(threads)
    model, dtype = _faster_dtype(prompts)
    return System({TRANSFORMERS: _generating(model, prompts)}, _details("transformers", dtype))


def peft_system(prompts: Rows, threads: int, adapters: Path) -> System:
    """PEFT's mixed batch: each row names its adapter."""
    try:
        import peft
    except ImportError as error:
        raise _absent("peft", error) from error
    torch.set_num_threads(threads)
    model, dtype = _faster_dtype(prompts)
    adapted = peft.PeftModel.from_pretrained(model, str(adapters / name(0)), adapter_name=name(0))
    for index in range(1, NUM_ADAPTERS):
        adapted.load_adapter(str(adapters / name(index)), adapter_name=name(index))
    run = _generating(adapted.eval(), prompts, lambda rows: {"adapter_names": assignment(rows)})
    return System({PEFT: run}, _details("peft", dtype))


def llama_cpp_system(prompts: Rows, threads: int) -> System:
    """llama.cpp, one row: its Python binding decodes one sequence at a time."""
    try:
        import llama_cpp
    except ImportError as error:
        raise _absent("llama-cpp-python", error) from error
    model = llama_cpp.Llama(
        str(gguf_file()), n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False, logits_all=False
    )

    def generate(rows: int) -> Rows:
        return [_one(prompt) for prompt in prompts[:rows]]

    def _one(prompt: list[int]) -> list[int]:
        model.reset()  # or it would keep what this prompt shares with the last one
        tokens: list[int] = []
        for token in model.generate(prompt, temp=0.0):
            tokens.append(int(token))
            if len(tokens) == OUTPUT_TOKENS:
                break
        return tokens

    built = llama_cpp.llama_print_system_info().decode()
    return System({LLAMA_CPP: generate}, {"llama-cpp-python": f"{llama_cpp.__version__}, {built}"})


def openvino_system(prompts: Rows, threads: int) -> System:
    """OpenVINO GenAI: continuous batching, and the whole batch at once as its stateful pipeline does it."""
    try:
        import numpy as np
        import openvino as ov
        import openvino_genai as genai
    except ImportError as error:
        raise _absent("openvino-genai", error) from error
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    scheduler.cache_size = KV_CACHE_GB
    scheduler.max_num_seqs = len(prompts)
    scheduler.max_num_batched_tokens = 2048
    properties = {"INFERENCE_NUM_THREADS": threads}
    batching = genai.ContinuousBatchingPipeline(str(gguf_file()), scheduler, "CPU", properties)
    stateful = genai.LLMPipeline(str(gguf_file()), "CPU", ATTENTION_BACKEND="SDPA", **properties)
    greedy = genai.GenerationConfig()
    greedy.max_new_tokens = greedy.min_new_tokens = OUTPUT_TOKENS
    greedy.ignore_eos, greedy.do_sample = True, False

    def continuous(rows: int) -> Rows:
        tensors = [ov.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts[:rows]]
        return [list(result.m_generation_ids[0]) for result in batching.generate(tensors, [greedy] * rows)]

    def at_once(rows: int) -> Rows:
        tokens = stateful.generate(ov.Tensor(np.array(prompts[:rows], dtype=np.int64)), greedy).tokens
        return [list(row) for row in tokens]

    return System({OPENVINO: continuous, OPENVINO_FIXED: at_once}, {"openvino-genai": genai.__version__})


def _generating(
    model: Any, prompts: Rows, extra: Callable[[int], dict[str, Any]] = lambda rows: {}
) -> Callable[[int], Rows]:
    def generate(rows: int) -> Rows:
        return _generate(model, prompts[:rows], OUTPUT_TOKENS, **extra(rows))

    return generate


@torch.inference_mode()
def _generate(model: Any, rows: Rows, new_tokens: int, **extra: Any) -> Rows:
    ids = torch.tensor(rows)
    exactly = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False}
    generated = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **exactly, **extra)
    return [list(row) for row in generated[:, ids.shape[1] :].tolist()]


def _faster_dtype(prompts: Rows) -> tuple[PreTrainedModel, torch.dtype]:
    """The model in float32 or bfloat16, whichever generates faster on this machine."""
    transformers_logging.disable_progress_bar()
    seconds: dict[torch.dtype, float] = {}
    models: dict[torch.dtype, PreTrainedModel] = {}
    for dtype in (torch.float32, torch.bfloat16):
        models[dtype] = AutoModelForCausalLM.from_pretrained(resolve(BASE, dtype).directory, dtype=dtype).eval()
        _generate(models[dtype], [prompts[0][:PROBE_PROMPT]], 1)
        began = time.perf_counter()
        _generate(models[dtype], [prompts[0][:PROBE_PROMPT]], PROBE_TOKENS)
        seconds[dtype] = time.perf_counter() - began
    best = min(seconds, key=seconds.__getitem__)
    return models[best], best


def _details(package: str, dtype: torch.dtype) -> dict[str, str]:
    return {package: f"{str(dtype).removeprefix('torch.')}, the faster of float32 and bfloat16 here"}


def _absent(package: str, error: ImportError) -> Absent:
    return Absent(f"{package} cannot be imported ({error}); pip install -e '.[peers]'")
