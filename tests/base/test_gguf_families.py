"""Every family computes from its `.gguf` file what transformers and llama.cpp compute: logits of 60 tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import PreTrainedModel

from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.packed_model import PackedModel
from tests.base.gguf_files import rope_factors, write_gguf
from tests.tiny_models import random_module

NUM_TOKENS = 60
VOCAB = 288
THETA = 100.0


@dataclass(frozen=True)
class Case:
    """A model, and what its file says beyond its shape."""

    variant: str
    changes: dict[str, Any]
    extra: Callable[[GGUFWriter, PreTrainedModel], object] = lambda writer, module: None
    in_llama_cpp: bool = True
    """Whether llama.cpp computes the same: it leaves out Mistral's and Phi-3's sliding windows, and a Gemma's scale."""
    told: dict[str, float] = field(default_factory=dict)
    """What llama.cpp does not read from the file."""


def rope(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": THETA, **parameters}}


def linear(writer: GGUFWriter, factor: float) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(factor)


def yarn(writer: GGUFWriter, _: PreTrainedModel) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(16)


def yarn_between(writer: GGUFWriter, module: PreTrainedModel) -> None:
    yarn(writer, module)
    writer.add_rope_scaling_yarn_beta_fast(1.5)
    writer.add_rope_scaling_yarn_beta_slow(0.25)


def long_and_short(writer: GGUFWriter, module: PreTrainedModel) -> None:
    parameters = module.config.rope_parameters
    writer.add_rope_scaling_attn_factors(parameters["attention_factor"])
    for kind in ("long", "short"):
        factors = np.array(parameters[f"{kind}_factor"], np.float32)
        writer.add_tensor(f"rope_factors_{kind}.weight", factors)


LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": THETA,
    "partial_rotary_factor": 0.5,
    "short_factor": [1.0, 1.3, 2.0, 3.1],
    "long_factor": [1.0, 9.0, 20.0, 31.0],
    "attention_factor": 1.2,
    "original_max_position_embeddings": 256,
}
GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e2},
}
GEMMA3_LAYERS = [*["sliding_attention"] * 5, "full_attention"]

CASES = {
    "llama": Case("llama", {}),
    "llama, tied": Case("llama", {"tie_word_embeddings": True}),
    "llama, biases": Case("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, wide heads": Case("llama", {"head_dim": 32}),
    "llama 3.1": Case(
        "llama",
        LLAMA3,
        lambda writer, module: writer.add_tensor("rope_freqs.weight", rope_factors(module, 16, THETA)),
    ),
    "llama, linear": Case("llama", rope("linear", factor=4.0), lambda writer, _: linear(writer, 4.0)),
    "llama, linear by its old name": Case(
        "llama", rope("linear", factor=4.0), lambda writer, _: writer.add_float32("llama.rope.scale_linear", 4.0)
    ),
    "llama, yarn": Case("llama", YARN, yarn),
    "llama, yarn between other frequencies": Case(
        "llama",
        rope("yarn", factor=4.0, beta_fast=1.5, beta_slow=0.25, original_max_position_embeddings=16),
        yarn_between,
        told={"yarn_beta_fast": 1.5, "yarn_beta_slow": 0.25},
    ),
    "llama, yarn with an attention factor": Case(
        "llama",
        {"rope_parameters": YARN["rope_parameters"] | {"attention_factor": 1.5 * (0.1 * float(np.log(4.0)) + 1)}},
        lambda writer, module: (yarn(writer, module), writer.add_rope_scaling_attn_factors(1.5)),
    ),
    "mistral": Case("mistral", {}, in_llama_cpp=False),
    "qwen2": Case(
        "qwen2", {"use_sliding_window": False, "sliding_window": None, "layer_types": ["full_attention"] * 4}
    ),
    "qwen3": Case("qwen3", {}),
    "qwen3, yarn": Case("qwen3", YARN, yarn),
    "gemma2": Case("gemma2", {"query_pre_attn_scalar": 16, "head_dim": 16}),
    "gemma2, scaled": Case(
        "gemma2",
        {"query_pre_attn_scalar": 24},
        lambda writer, _: writer.add_attention_scale(24**-0.5),
        in_llama_cpp=False,
    ),
    "gemma2, another window": Case("gemma2", {"query_pre_attn_scalar": 16, "sliding_window": 20}),
    "gemma3": Case(
        "gemma3",
        {
            "query_pre_attn_scalar": 16,
            "num_hidden_layers": 6,
            "layer_types": GEMMA3_LAYERS,
            "rope_parameters": GEMMA3_ROPE,
        },
        lambda writer, _: linear(writer, 8.0),
    ),
    "phi3": Case("phi3", {"sliding_window": None}),
    "phi3, a window": Case("phi3", {}, in_llama_cpp=False),
    "phi3, longrope": Case(
        "phi3",
        {
            "sliding_window": None,
            "rope_parameters": LONGROPE,
            "original_max_position_embeddings": 256,
            "max_position_embeddings": 512,
        },
        long_and_short,
    ),
    "gpt2": Case("gpt2", {}),
    "gptneox": Case("gpt_neox", {"use_parallel_residual": True}),
    "gptneox, one after the other": Case("gpt_neox-sequential", {}),
}


def tokens() -> list[int]:
    return torch.randint(2, VOCAB, (NUM_TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()


def module_of(case: Case) -> PreTrainedModel:
    return random_module(case.variant, vocab_size=VOCAB, **case.changes)


def made(case: Case, path: Path) -> tuple[Path, torch.Tensor]:
    """The file of a case, and transformers' logits ``(tokens, vocab)``."""
    module = module_of(case)
    write_gguf(path, module, lambda writer: case.extra(writer, module))
    with torch.inference_mode():
        return path, module(torch.tensor([tokens()])).logits[0]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", CASES)
def test_a_file_computes_what_the_model_it_was_made_from_computes(tmp_path: Path, name: str) -> None:
    path, expected = made(CASES[name], tmp_path / "model.gguf")
    base = BaseModelManager(str(path), device="cpu", precision="fp32").load_model()
    with torch.inference_mode():
        logits = base.module(torch.tensor([tokens()])).logits[0]
    assert relative(logits, expected) < 1e-4


PACKED = [name for name in CASES if name.split(",")[0].split(" ")[0] in ("llama", "mistral", "qwen2", "qwen3")]


@pytest.mark.parametrize("name", [name for name in PACKED if "biases" not in name])
def test_packed_weights_rotate_and_see_as_far_as_the_file_says(tmp_path: Path, name: str) -> None:
    module = module_of(CASES[name])
    path = write_gguf(tmp_path / "model.gguf", module, lambda writer: CASES[name].extra(writer, module))
    base = BaseModelManager(str(path), device="cpu", precision="int8").load_model()
    if not isinstance(base, PackedModel):
        pytest.skip("no packed weights on this machine")
    cosine, sine = module.model.rotary_emb(torch.empty(1, 1, 1), torch.arange(NUM_TOKENS)[None])
    for ours, theirs in zip(base.rotary_table(NUM_TOKENS), (cosine[0], sine[0]), strict=True):
        assert (ours - theirs).abs().max() < 1e-5
    windows = [base.window(layer) for layer in range(base.info.num_layers)]
    assert windows == [getattr(module.config, "sliding_window", None)] * base.info.num_layers


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_computes_the_same_from_the_file(tmp_path: Path, name: str) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed")
    case = CASES[name]
    if not case.in_llama_cpp:
        pytest.skip("llama.cpp computes this otherwise")
    path, expected = made(case, tmp_path / "model.gguf")
    # What is -1 comes from the file; keys and values are kept as they are computed here, in float32.
    of_the_file = {"yarn_attn_factor": -1.0, "yarn_beta_fast": -1.0, "yarn_beta_slow": -1.0}
    kept = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32}
    sizes = {"n_ctx": 64, "n_batch": 64, "n_threads": 1}
    model = llama_cpp.Llama(str(path), logits_all=True, verbose=False, **sizes, **kept, **of_the_file | case.told)
    model.eval(tokens())
    theirs = torch.from_numpy(np.array(model.scores[:NUM_TOKENS]))
    assert relative(theirs, expected) < 5e-3
