"""Gemma 2 and Gemma 3: norms that multiply by 1 + weight, layers with windows, softcaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family, Rotary, layer_types
from adaptrix_core.base.families.gguf_architecture import SCALE_TOLERANCE, GGUFArchitecture

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys

_WINDOW = 4096
"""Window of sliding layers where a file names none, in keys that a token sees."""


class GemmaFamily(Family):
    """The Llama layout with softcapped logits."""

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        return softcapped(super().head(model, hidden), model.config.final_logit_softcapping)


class Gemma3Family(GemmaFamily):
    """Global and sliding layers rotate by different frequencies."""

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """See `Family.rotary`."""
        rope = self.backbone(model).rotary_emb
        return {kind: rope(hidden, positions, kind) for kind in set(layer_types(model))}


def softcapped(logits: Tensor, cap: float | None) -> Tensor:
    """``cap * tanh(logits / cap)`` (Gemma 2 technical report, arXiv:2408.00118, section 2); identity without a cap."""
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _fields_of_gemma2(keys: Keys) -> dict[str, Any]:
    window = keys.window(_WINDOW)
    return keys.shape() | {
        "model_type": "gemma2",
        "rope_parameters": keys.rope(),
        "query_pre_attn_scalar": _scalar(keys, large=46),
        "attn_logit_softcapping": float(keys.get("attn_logit_softcapping", 50.0)) or None,
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 30.0)) or None,
        "sliding_window": window,
        "layer_types": _layer_types(keys, 2, window),
    }


def _fields_of_gemma3(keys: Keys) -> dict[str, Any]:
    window = keys.window()
    local = {"rope_type": "default", "rope_theta": float(keys.get("rope.freq_base_swa", 10_000.0))}
    return keys.shape() | {
        "model_type": "gemma3_text",
        "rope_parameters": {"full_attention": keys.rope(), "sliding_attention": local},
        "query_pre_attn_scalar": _scalar(keys, large=62),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": float(keys.get("final_logit_softcapping", 0.0)) or None,
        "sliding_window": window or _WINDOW,
        "layer_types": _layer_types(keys, 6, window),
    }


def _scalar(keys: Keys, large: int) -> int:
    """The number whose inverse square root scales attention; transformers keeps a whole one.

    large: number of layers of the one model size whose attention is scaled by hidden size over heads, not by head size.
    """
    scale = float(keys.get("attention.scale", 0.0))
    if not scale:
        return keys.hidden // keys.heads if keys.layers == large else keys.head_dim
    scalar = round(scale**-2)
    if abs(scalar * scale**2 - 1) > SCALE_TOLERANCE:
        raise keys.refused(f"attention.scale = {scale} is not one over the root of a whole number")
    return scalar


def _layer_types(keys: Keys, every: int, window: int | None) -> list[str]:
    """Each layer's kind of attention. every: the layers of a period, the last of which sees everything."""
    pattern = keys.get("attention.sliding_window_pattern", every)
    if isinstance(pattern, list):
        sliding = [bool(entry) for entry in pattern][: keys.layers]
    else:
        sliding = [bool((index + 1) % int(pattern)) for index in range(keys.layers)]
    if window is None:
        sliding = [False] * keys.layers
    return ["sliding_attention" if slides else "full_attention" for slides in sliding]


def _values(name: str, values: NDArray[Any], config: Any) -> NDArray[Any]:
    """Norms: the file's multiply by the weight, transformers' by 1 + weight."""
    return values - 1 if name.endswith("norm.weight") else values


GEMMA2 = GemmaFamily("gemma2", gguf=GGUFArchitecture("gemma2", _fields_of_gemma2, values=_values))
GEMMA3 = Gemma3Family("gemma3", gguf=GGUFArchitecture("gemma3", _fields_of_gemma3, values=_values))
