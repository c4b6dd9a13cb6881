"""A GGUF file's metadata as a transformers configuration, for the architectures that some family reads.

Every key under the architecture's name is used, or has the value that changes nothing, or the file is refused naming
it (`GGUFFile.check_used`). transformers' own reader knows a handful of keys and silently drops the others. The
meaning of a key is defined by llama.cpp (`src/models/*.cpp`, `conversion/*.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from adaptrix_core.base.families.gguf_architecture import SCALE_TOLERANCE, GGUFArchitecture
from adaptrix_core.base.families.lookup import gguf_architectures
from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.base.gguf.keys import Keys

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


def read_config(file: GGUFFile) -> PreTrainedConfig:
    """The configuration of the model in ``file``; marks all keys that are not about the tokenizer as used.

    Raises BaseModelError (unsupported_gguf) for an architecture, or a value, that cannot be computed with.
    """
    architecture = architecture_of(file)
    keys = Keys(file)
    fields = architecture.fields(keys)
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


def architecture_of(file: GGUFFile) -> GGUFArchitecture:
    """How files of this architecture are read. Raises BaseModelError (unsupported_gguf) where no family says it."""
    known: dict[str, None] = {}
    for architecture in gguf_architectures():
        if architecture.name == file.architecture:
            return architecture
        known[architecture.name] = None
    raise file.refused(f"this architecture is not one of {', '.join(known)}")


def _check_neutral(file: GGUFFile, keys: Keys) -> None:
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
    if keys.prefix + "attention.scale" in left:
        scale = float(keys.get("attention.scale"))
        if scale and abs(scale * keys.head_dim**0.5 - 1) > SCALE_TOLERANCE:
            raise keys.refused(f"attention.scale = {scale} is not supported for this architecture")
    if keys.prefix + "attention.head_count_kv" in left and keys.number("attention.head_count_kv") != keys.heads:
        raise keys.refused(f"attention.head_count_kv is not the number of heads, {keys.heads}")
    if keys.number("embedding_length_out", keys.hidden) not in (0, keys.hidden):
        raise keys.refused(f"embedding_length_out is not the states' size, {keys.hidden}")
