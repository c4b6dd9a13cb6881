"""A GGUF file's metadata as a transformers configuration, for the architectures that are served.

Every key under the architecture's name is used, or has the value that changes nothing, or the file is refused naming
it (`GGUFFile.check_used`). transformers' own reader knows a handful of keys and silently drops the others. The
meaning of a key is defined by llama.cpp (`src/models/*.cpp`, `conversion/*.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.base.gguf.rope import rope_parameters

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "expert_count": (0,), "expert_used_count": (0,), "nextn_predict_layers": (0,), "pooling_type": (0,),
    "logit_scale": (0.0, 1.0), "residual_scale": (0.0, 1.0), "embedding_scale": (0.0, 1.0),
    "attn_logit_softcapping": (0.0,), "final_logit_softcapping": (0.0,), "attention.sliding_window": (0,),
    "attention.causal": (True,), "attention.max_alibi_bias": (0.0,), "attention.clamp_kqv": (0.0,),
    "attention.output_scale": (0.0, 1.0), "attention.value_scale": (0.0, 1.0), "attention.shared_kv_layers": (0,),
    "attention.temperature_scale": (0.0,), "attention.temperature_length": (0,), "swin_norm": (False,),
    "use_parallel_residual": (False,),
}  # fmt: skip
"""Keys, with those of their values that mean the same as leaving them out."""

_NOTES = ("vocab_size", "tensor_data_layout")
"""Keys without effect: the vocabulary's size is the embedding's, and the layout concerns training checkpoints."""

_UNGROUPED = ("gpt2", "gptneox")
"""Architectures in which every head has its own keys (no grouped-query attention)."""
_SCALE_TOLERANCE = 1e-3
_GEMMA_WINDOW = 4096
_GEMMA_LARGE = {"gemma2": 46, "gemma3": 62}
"""Number of layers of the one model size whose attention is scaled by hidden size over heads, not by the head size."""


class _Keys:
    """The keys of the architecture, without its prefix."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file
        self.prefix = f"{file.architecture}."
        self.layers = self.number("block_count")
        self.hidden = self.number("embedding_length")
        self.heads = self.number("attention.head_count")
        self.head_dim = self.number("attention.key_length", self.hidden // self.heads)
        self.context = self.number("context_length")
        if self.number("attention.value_length", self.head_dim) != self.head_dim:
            raise file.refused(f"{self.prefix}attention.value_length differs from attention.key_length")

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a key."""
        return self._file.get(self.prefix + name, default)

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; where the file gives one for each layer they must be equal."""
        value = self.get(name, default)
        values = set(value) if isinstance(value, list) else {value}
        if len(values) != 1 or None in values:
            what = "is missing" if values == {None} else "differs between layers, which is not supported"
            raise self._file.refused(f"{self.prefix}{name} {what}")
        return int(values.pop())

    def shape(self) -> dict[str, Any]:
        """Configuration fields that most families share."""
        return {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.number("feed_forward_length"),
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.number("attention.head_count_kv", self.heads),
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context,
            "rms_norm_eps": float(self.get("attention.layer_norm_rms_epsilon", 1e-6)),
        }

    def rotary_dim(self) -> int:
        """Dimensions of a head that are rotated."""
        return self.number("rope.dimension_count", self.head_dim)

    def rope(self) -> dict[str, Any]:
        """``rope_parameters`` of a family that rotates whole heads."""
        if self.rotary_dim() != self.head_dim:
            raise self._file.refused(f"{self.prefix}rope.dimension_count is not the size of a head, {self.head_dim}")
        return rope_parameters(self._file, self.head_dim, self.context)

    def has_bias(self, *modules: str) -> bool:
        """Whether the first layer has a bias in one of these modules."""
        return any(f"blk.0.{module}.bias" in self._file for module in modules)

    def window(self, default: int = 0) -> int | None:
        """Window of sliding layers, in keys that a token sees; None without one."""
        return self.number("attention.sliding_window", default) or None

    def window_types(self, every: int) -> list[str]:
        """Each layer's kind of attention. every: the layers of a period, the last of which sees everything."""
        pattern = self.get("attention.sliding_window_pattern", every)
        if isinstance(pattern, list):
            sliding = [bool(entry) for entry in pattern][: self.layers]
        else:
            sliding = [bool((index + 1) % int(pattern)) for index in range(self.layers)]
        if self.window(_GEMMA_WINDOW if self._file.architecture == "gemma2" else 0) is None:
            sliding = [False] * self.layers
        return ["sliding_attention" if slides else "full_attention" for slides in sliding]


def _llama(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    window = keys.window()
    fields = keys.shape() | {"rope_parameters": keys.rope()}
    if window is not None and window < keys.context:  # Mistral's architecture is written as llama's
        return fields | {"model_type": "mistral", "sliding_window": window}
    return fields | {
        "model_type": "llama",
        "attention_bias": keys.has_bias("attn_q", "attn_k", "attn_v", "attn_output"),
        "mlp_bias": keys.has_bias("ffn_gate", "ffn_up", "ffn_down"),
    }


def _qwen(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    window = keys.window()
    if window is not None and window < keys.context:  # the file does not say for which layers
        raise file.refused(f"{keys.prefix}attention.sliding_window = {window} is not supported for this architecture")
    fields = keys.shape() | {"model_type": file.architecture, "rope_parameters": keys.rope()}
    if file.architecture == "qwen3":
        fields["attention_bias"] = keys.has_bias("attn_q", "attn_k", "attn_v", "attn_output")
    return fields


def _gemma_scalar(file: GGUFFile, keys: _Keys) -> int:
    """The number whose inverse square root scales attention; transformers keeps a whole one."""
    scale = float(keys.get("attention.scale", 0.0))
    if not scale:
        large = keys.layers == _GEMMA_LARGE[file.architecture]
        return keys.hidden // keys.heads if large else keys.head_dim
    scalar = round(scale**-2)
    if abs(scalar * scale**2 - 1) > _SCALE_TOLERANCE:
        raise file.refused(f"{keys.prefix}attention.scale = {scale} is not one over the root of a whole number")
    return scalar


def _gemma2(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    return keys.shape() | {
        "model_type": "gemma2",
        "rope_parameters": keys.rope(),
        "query_pre_attn_scalar": _gemma_scalar(file, keys),
        "attn_logit_softcapping": float(keys.get("attn_logit_softcapping", 50.0)) or None,
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 30.0)) or None,
        "sliding_window": keys.window(_GEMMA_WINDOW),
        "layer_types": keys.window_types(2),
    }


def _gemma3(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    local = {"rope_type": "default", "rope_theta": float(keys.get("rope.freq_base_swa", 10_000.0))}
    return keys.shape() | {
        "model_type": "gemma3_text",
        "rope_parameters": {"full_attention": keys.rope(), "sliding_attention": local},
        "query_pre_attn_scalar": _gemma_scalar(file, keys),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 0.0)) or None,
        "sliding_window": keys.window() or _GEMMA_WINDOW,
        "layer_types": keys.window_types(6),
    }


def _phi3(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    rotary = keys.rotary_dim()
    rope = rope_parameters(file, rotary, keys.context) | {"partial_rotary_factor": rotary / keys.head_dim}
    if rope["rope_type"] not in ("default", "longrope"):
        raise file.refused(
            f"{keys.prefix}rope.scaling.type = {rope['rope_type']} is not supported for this architecture"
        )
    original = rope.get("original_max_position_embeddings", keys.context)
    return keys.shape() | {
        "model_type": "phi3",
        "rope_parameters": rope,
        "original_max_position_embeddings": original,
        "sliding_window": keys.window(),
    }


def _gpt2(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "n_layer": keys.layers,
        "n_embd": keys.hidden,
        "n_head": keys.heads,
        "n_inner": keys.number("feed_forward_length"),
        "n_positions": keys.context,
        "layer_norm_epsilon": float(keys.get("attention.layer_norm_epsilon", 1e-5)),
    }


def _gptneox(file: GGUFFile, keys: _Keys) -> dict[str, Any]:
    rotary = keys.rotary_dim()
    rope = rope_parameters(file, rotary, keys.context) | {"partial_rotary_factor": rotary / keys.head_dim}
    return {
        "model_type": "gpt_neox",
        "num_hidden_layers": keys.layers,
        "hidden_size": keys.hidden,
        "intermediate_size": keys.number("feed_forward_length"),
        "num_attention_heads": keys.heads,
        "max_position_embeddings": keys.context,
        "layer_norm_eps": float(keys.get("attention.layer_norm_epsilon", 1e-5)),
        "use_parallel_residual": bool(keys.get("use_parallel_residual", True)),
        "rope_parameters": rope,
    }


_ARCHITECTURES: Mapping[str, Callable[[GGUFFile, _Keys], dict[str, Any]]] = {
    "llama": _llama, "qwen2": _qwen, "qwen3": _qwen, "gemma2": _gemma2, "gemma3": _gemma3, "phi3": _phi3,
    "gpt2": _gpt2, "gptneox": _gptneox,
}  # fmt: skip


def read_config(file: GGUFFile) -> PreTrainedConfig:
    """The configuration of the model in ``file``; marks all keys that are not about the tokenizer as used.

    Raises BaseModelError (unsupported_gguf) for an architecture, or a value, that cannot be computed with.
    """
    build = _ARCHITECTURES.get(file.architecture)
    if build is None:
        raise file.refused(f"this architecture is not one of {', '.join(_ARCHITECTURES)}")
    keys = _Keys(file)
    fields = build(file, keys)
    _check_neutral(file, keys)
    model_type = fields.pop("model_type")
    embedding = file.shape("token_embd.weight")
    return AutoConfig.for_model(
        model_type,
        **fields,
        vocab_size=embedding[0] if embedding else 0,
        tie_word_embeddings="output.weight" not in file,
        bos_token_id=file.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=file.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=file.get("tokenizer.ggml.padding_token_id"),
    )


def _check_neutral(file: GGUFFile, keys: _Keys) -> None:
    """Refuse keys that the family's function did not read and that would change the result."""
    for name in _NOTES:
        file.ignore(keys.prefix + name)
    left = [key for key in file.unused_keys if key.startswith(keys.prefix)]
    for key in left:
        name = key.removeprefix(keys.prefix)
        if name not in _NEUTRAL:
            continue  # `check_used` names it, with all other unused keys
        value = file.get(key)
        if value not in _NEUTRAL[name]:
            raise file.refused(f"{key} = {value!r} is not supported")
    scale = keys.get("attention.scale")
    if (
        scale
        and file.architecture not in _GEMMA_LARGE
        and abs(float(scale) * keys.head_dim**0.5 - 1) > _SCALE_TOLERANCE
    ):
        raise file.refused(f"{keys.prefix}attention.scale = {scale} is not supported for this architecture")
    if file.architecture in _UNGROUPED and keys.number("attention.head_count_kv", keys.heads) != keys.heads:
        raise file.refused(f"{keys.prefix}attention.head_count_kv is not the number of heads, {keys.heads}")
    if keys.number("embedding_length_out", keys.hidden) not in (0, keys.hidden):
        raise file.refused(f"{keys.prefix}embedding_length_out is not the states' size, {keys.hidden}")
