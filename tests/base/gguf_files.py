"""Writes random transformers models as `.gguf` files, with the keys and tensors that llama.cpp's converters write.

(`conversion/*.py` of llama.cpp.) Tests load such a file and compare with the model that it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.tiny_models import byte_tokenizer

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
    "gpt2": "gpt2",
    "gpt_neox": "gptneox",
}
"""transformers' ``model_type`` -> the format's name."""

Change = Callable[[GGUFWriter], object]


def write_gguf(
    path: Path,
    module: PreTrainedModel,
    *changes: Change,
    tokenizer: PreTrainedTokenizerFast | None = None,
    rename: Mapping[str, str] | None = None,
) -> Path:
    """Write ``module`` to ``path``. changes: write more keys and tensors. rename: tensors to write by another name."""
    config = module.config
    architecture = ARCHITECTURES[config.model_type]
    writer = GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    _shape(writer, config)
    _FAMILY_KEYS.get(config.model_type, lambda *_: None)(writer, config)
    _vocabulary(writer, tokenizer or byte_tokenizer(config.vocab_size))
    for change in changes:
        change(writer)
    for name, values in _tensors(module, architecture).items():
        writer.add_tensor((rename or {}).get(name, name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def replacing(writer_change: Change) -> Change:
    """A change that may also overwrite a key that is written already."""

    def change(writer: GGUFWriter) -> None:
        fresh = GGUFWriter(path=None, arch=writer.arch)
        writer_change(fresh)
        for key in fresh.kv_data[0]:
            writer.kv_data[0].pop(key, None) if key != "general.architecture" else None
        writer_change(writer)

    return change


def text(key: str, value: str) -> Change:
    """A change that writes a key with text."""
    return lambda writer: writer.add_string(key, value)


def rope_factors(module: PreTrainedModel, rotary_dim: int, theta: float) -> NDArray[np.float32]:
    """What each frequency of ``module`` was divided by, as `rope_freqs.weight` has it."""
    plain = 1.0 / theta ** (np.arange(0, rotary_dim, 2) / rotary_dim)
    return (plain / module.model.rotary_emb.inv_freq.numpy()).astype(np.float32)


def _shape(writer: GGUFWriter, config: Any) -> None:
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    writer.add_head_count(heads)
    if config.model_type == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    if config.model_type == "gpt_neox":
        writer.add_layer_norm_eps(config.layer_norm_eps)
        return
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if head_dim * heads != config.hidden_size or config.model_type.startswith(("qwen3", "gemma")):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)


def _theta(config: Any) -> float:
    parameters = config.rope_parameters
    return float(parameters.get("full_attention", parameters)["rope_theta"])


def _llama(writer: GGUFWriter, config: Any) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(_theta(config))
    if config.model_type == "mistral":
        writer.add_sliding_window(config.sliding_window)


def _gemma2(writer: GGUFWriter, config: Any) -> None:
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_sliding_window(config.sliding_window)
    writer.add_rope_freq_base(_theta(config))


def _gemma3(writer: GGUFWriter, config: Any) -> None:
    writer.add_rope_freq_base(_theta(config))
    writer.add_sliding_window(config.sliding_window)
    local = config.rope_parameters["sliding_attention"]["rope_theta"]
    writer.add_float32("gemma3.rope.freq_base_swa", local)


def _phi3(writer: GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    head_dim = config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim))
    writer.add_rope_freq_base(_theta(config))
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_sliding_window(config.sliding_window or 0)


def _gpt_neox(writer: GGUFWriter, config: Any) -> None:
    head_dim = config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head_dim))
    writer.add_rope_freq_base(_theta(config))
    writer.add_parallel_residual(config.use_parallel_residual)


_FAMILY_KEYS: Mapping[str, Callable[[GGUFWriter, Any], None]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": lambda writer, config: writer.add_rope_freq_base(_theta(config)),
    "qwen3": lambda writer, config: writer.add_rope_freq_base(_theta(config)),
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi3": _phi3,
    "gpt_neox": _gpt_neox,
}


def _vocabulary(writer: GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    entries = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = set(tokenizer.all_special_tokens) | {str(token) for token in tokenizer.added_tokens_decoder.values()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in entries])
    writer.add_token_types([3 if token in special else 1 for token, _ in entries])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def _tensors(module: PreTrainedModel, architecture: str) -> dict[str, NDArray[np.float32]]:
    config = module.config
    known = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(known, config.num_hidden_layers)
    tied = config.tie_word_embeddings
    found = {}
    for name, tensor in module.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        path, _, kind = name.rpartition(".")
        found[f"{names.get_name(path)}.{kind}"] = _as_converted(name, tensor.float().numpy(), config)
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in found.items()}


def _as_converted(name: str, values: NDArray[Any], config: Any) -> NDArray[Any]:
    heads = config.num_attention_heads
    if (
        config.model_type in ("llama", "mistral")
        and ".self_attn." in name
        and name.split(".")[-2] in ("q_proj", "k_proj")
    ):
        parts = heads if "q_proj" in name else config.num_key_value_heads
        halves = values.reshape(parts, 2, values.shape[0] // parts // 2, *values.shape[1:])
        return halves.swapaxes(1, 2).reshape(values.shape)
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return values + 1
    if config.model_type == "gpt2" and name.split(".")[-2] in ("c_attn", "c_proj", "c_fc") and values.ndim == 2:
        return values.T
    if config.model_type == "gpt_neox" and "query_key_value" in name:
        return values.reshape(heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)
    return values
