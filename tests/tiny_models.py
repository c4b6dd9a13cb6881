"""Tiny random models of every family, made in memory, with adapters and a tokenizer for them.

Weights are large, biases and norms are random too: softcaps, sliding windows (6 tokens), rotary fractions and parallel
residuals then change the logits visibly, so a test that compares logits notices when one of them is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from adaptrix_core.base import BaseModel, Point
from adaptrix_core.injection.lora import LoraWeights, PointWeights

NUM_LAYERS = 4
VOCAB_SIZE = 199
CONTEXT = 64
WINDOW = 6

_COMMON: Mapping[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 4,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
_PLAIN = {**_COMMON, "intermediate_size": 96, "initializer_range": 0.3}
_GROUPED = {**_PLAIN, "num_key_value_heads": 2}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_GEMMA3_ROPE = {
    "full_attention": {"rope_type": "default", "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e2},
}
_GEMMA = {**_GROUPED, "head_dim": 16, "sliding_window": WINDOW, "query_pre_attn_scalar": 24}
_OPT = {**_COMMON, "ffn_dim": 96, "init_std": 0.3}

CONFIGS: Mapping[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**_GROUPED),
    "llama-rope3": lambda: LlamaConfig(**_GROUPED, rope_parameters=_LLAMA3_ROPE),
    "mistral": lambda: MistralConfig(**_GROUPED, sliding_window=WINDOW),
    "qwen2": lambda: Qwen2Config(**_GROUPED, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=2),
    "qwen3": lambda: Qwen3Config(**_GROUPED, head_dim=32),
    "gemma2": lambda: Gemma2Config(**_GEMMA, attn_logit_softcapping=3.0, final_logit_softcapping=5.0),
    "gemma3": lambda: Gemma3TextConfig(
        **_GEMMA, rope_parameters=_GEMMA3_ROPE, layer_types=["sliding_attention", "full_attention"] * 2
    ),
    "phi3": lambda: Phi3Config(**_GROUPED, partial_rotary_factor=0.5, sliding_window=WINDOW),
    "gpt2": lambda: GPT2Config(
        n_embd=64,
        n_layer=NUM_LAYERS,
        n_head=4,
        vocab_size=VOCAB_SIZE,
        n_positions=CONTEXT,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "gpt_neox": lambda: GPTNeoXConfig(**_PLAIN, rotary_pct=0.25, use_parallel_residual=True),
    "gpt_neox-sequential": lambda: GPTNeoXConfig(**_PLAIN, rotary_pct=0.25, use_parallel_residual=False),
    "opt": lambda: OPTConfig(**_OPT),
    "opt-projected": lambda: OPTConfig(**_OPT, word_embed_proj_dim=32),
    "opt-post-norm": lambda: OPTConfig(**_OPT, do_layer_norm_before=False),
}
"""Every family, with its variants that compute something else."""


def random_module(
    variant: str = "llama", seed: int = 0, vocab_size: int = VOCAB_SIZE, **changes: Any
) -> PreTrainedModel:
    """A random float32 model of ``variant``; ``changes`` are set on its configuration first."""
    torch.manual_seed(seed)
    config = CONFIGS[variant]()
    for name, value in {**changes, "vocab_size": vocab_size}.items():
        setattr(config, name, value)
    module: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


def random_base(variant: str = "llama", seed: int = 0, **options: Any) -> BaseModel:
    """``random_module`` as a base model; ``tokenizer`` may be among the options."""
    tokenizer = options.pop("tokenizer", None)
    if tokenizer is not None:
        options["vocab_size"] = len(tokenizer)
    return BaseModel.from_module(random_module(variant, seed, **options), tokenizer, lineage=f"test/{variant}")


def random_prompts(lengths: Iterable[int], seed: int = 0, vocab_size: int = VOCAB_SIZE) -> list[list[int]]:
    """Random token ids, none of them a special one."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2, vocab_size, (length,), generator=generator).tolist() for length in lengths]


def random_weights(
    base: BaseModel, points: Iterable[Point] | None = None, rank: int = 3, seed: int = 0, scaling: float = 0.5
) -> LoraWeights:
    """An adapter that changes logits visibly; at every point of layers 1 and 2 unless ``points`` says where."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [p for p in base.points if p[0] in (1, 2)] if points is None else list(points)
    return LoraWeights(
        {
            point: PointWeights(
                torch.randn(rank, base.points[point].d_in, generator=generator) * 0.3,
                torch.randn(base.points[point].d_out, rank, generator=generator) * 0.3,
                scaling,
            )
            for point in chosen
        }
    )


_CORPUS = [
    "the quick brown fox jumps over the lazy dog, and the stop comes late",
    '{"name": "value", "count": 12, "list": [true, false, null]}',
    "日本語の文字と 中文字符, emoji 😀 👩‍👩‍👧‍👦 🇫🇷, accents éàü",
]


def byte_tokenizer(vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer like GPT-2's, trained on a few lines; its only special token is ``<eos>``, id 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of Llama 2's kind: spaces as ``▁``, unknown characters as byte tokens, a leading space stripped."""
    pieces = ["<unk>", "<eos>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")
