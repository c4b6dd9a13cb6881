"""The work that every system is given: distinct prompts of equal length, and random adapters on a few layers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from adaptrix_core.adapters import TrustPolicy, describe, export_peft, write_package
from adaptrix_core.base import BaseModel, BaseModelInfo, BaseModelManager
from adaptrix_core.base.source import EMBEDDED, resolve
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import BaseModelError
from adaptrix_core.injection.lora import LoraWeights
from loadtest.random_adapters import MODULES, RANK, random_weights

BASE = "smollm2-135m"
MIDDLE, BAND = (6, 12, 18), tuple(range(15, 30))
"""The layers that adapters are on: three in the middle, or every one of the upper half."""
NUM_ADAPTERS = 8
PROMPT_TOKENS, OUTPUT_TOKENS = 42, 48
MAX_STEP_TOKENS = 2048
"""Tokens that the compared engine computes at once: the prompts of 32 rows are one step."""
GREEDY = SamplingParams(max_tokens=OUTPUT_TOKENS, temperature=0.0, ignore_eos=True)
CONFIG = {
    "base": BASE,
    "layers": MIDDLE,
    "band": BAND,
    "modules": MODULES,
    "rank": RANK,
    "adapters": NUM_ADAPTERS,
    "prompt_tokens": PROMPT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
}
_TEXT = (
    "Row {number}: a small language model serves many specialities when adapters are chosen per request; the lower "
    "layers are shared by all of them, so what is computed there is computed once, and every row of a batch keeps "
    "its own mix."
)


def prompts(count: int) -> list[list[int]]:
    """``count`` distinct prompts of PROMPT_TOKENS tokens."""
    tokenizer = AutoTokenizer.from_pretrained(resolve(BASE, torch.float32).directory)
    return [tokenizer.encode(_TEXT.format(number=number))[:PROMPT_TOKENS] for number in range(count)]


def random_tokens(length: int, seed: int, vocab_size: int) -> list[int]:
    """A prompt that says nothing and shares nothing with another seed's."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(100, vocab_size, (length,), generator=generator).tolist()


def gguf_file() -> Path:
    """The file that BASE is made from, which peers read as well."""
    embedded = EMBEDDED[BASE]
    package = importlib.util.find_spec(embedded.package)
    if package is None or not package.submodule_search_locations:
        raise BaseModelError(f"package {embedded.package!r} is missing; run: {embedded.install}", code="base_not_found")
    return Path(next(iter(package.submodule_search_locations))) / embedded.file


def known_precisions(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Those the engine has on this machine, and why it lacks the others."""
    known, missing = [], {}
    for precision in wanted:
        try:
            BaseModelManager(BASE, precision=precision)
            known.append(precision)
        except BaseModelError as error:
            missing[f"Adaptrix {precision}"] = str(error)
    return known, missing


def load_base(precision: str) -> BaseModel:
    """The base model with its weights in the named layout."""
    return BaseModelManager(BASE, precision=precision).load_model()


def make_engine(base: BaseModel, directory: Path, options: EngineOptions, **loader_options: Any) -> Engine:
    """An engine over the adapters of ``directory``, which need no signature."""
    return Engine(base, directory, TrustPolicy("off"), options, **loader_options)


def random_adapters(
    base: BaseModel, count: int, layers: Sequence[int] = MIDDLE, rank: int = RANK
) -> Iterator[tuple[str, LoraWeights]]:
    """Name and weights of ``count`` adapters on MODULES of ``layers``, strong enough to change what is said."""
    for number in range(count):
        yield name(number), random_weights(base, number, layers, rank)


def write_adapters(base: BaseModel, directory: Path, count: int, layers: Sequence[int] = MIDDLE) -> list[str]:
    """Write `random_adapters` as packages; returns their names."""
    return [
        _write(directory / adapter, adapter, base.info, weights)
        for adapter, weights in random_adapters(base, count, layers)
    ]


def write_peft_adapters(base: BaseModel, directory: Path, count: int, layers: Sequence[int] = MIDDLE) -> None:
    """Write the same adapters in PEFT's format."""
    for adapter, weights in random_adapters(base, count, layers):
        export_peft(weights, base, directory / adapter)


def name(index: int) -> str:
    """The name of adapter ``index``."""
    return f"adapter-{index}"


def assignment(rows: int) -> list[str]:
    """The adapter of each row, round robin."""
    return [name(row % NUM_ADAPTERS) for row in range(rows)]


def _write(directory: Path, adapter: str, info: BaseModelInfo, weights: LoraWeights) -> str:
    write_package(directory, describe(weights, info, adapter), weights)
    return adapter
