"""How a family's layers become the layers that the native kernels compute over packed weights.

The kernels compute one arrangement, Llama's: a norm, attention, a norm, a gated MLP with silu. A family whose layers
are so arranged says with this record what differs inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NORMS: Mapping[str, str] = {"input_norm": "input_layernorm", "post_norm": "post_attention_layernorm"}
"""The kernels' name of a norm -> its module inside a layer, in the Llama layout."""

HEAD_NORMS: Mapping[str, str] = {"q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm"}
"""The same for norms of each query and key head."""


@dataclass(frozen=True)
class PackedLayers:
    """What the kernels have to know of a family's layers, beside its modules."""

    norms: Mapping[str, str]
    biases: bool = False
    """Whether query, key and value have biases. The kernels add no others."""
