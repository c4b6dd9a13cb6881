"""Phi-3: query, key and value in one module, gate and up in another, rotation of a part of each head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.parts import DOWN, GATE, OUT, UP, K, Part, Q, Slice, V, Whole

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys


class Phi3Family(Family):
    """Fused query/key/value and fused gate/up."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        q, kv, f = (
            config.num_attention_heads * head_dim,
            config.num_key_value_heads * head_dim,
            config.intermediate_size,
        )
        qkv, gate_up = "self_attn.qkv_proj", "mlp.gate_up_proj"
        return {
            Q: (qkv, Slice(0, q)),
            K: (qkv, Slice(q, q + kv)),
            V: (qkv, Slice(q + kv, q + 2 * kv)),
            OUT: (OUT, Whole()),
            GATE: (gate_up, Slice(0, f)),
            UP: (gate_up, Slice(f, 2 * f)),
            DOWN: (DOWN, Whole()),
        }


def _fields(keys: Keys) -> dict[str, Any]:
    rope = keys.rope_of_part()
    if rope["rope_type"] not in ("default", "longrope"):
        raise keys.refused(f"rope.scaling.type = {rope['rope_type']} is not supported for this architecture")
    return keys.shape() | {
        "model_type": "phi3",
        "rope_parameters": rope,
        "original_max_position_embeddings": rope.get("original_max_position_embeddings", keys.context),
        "sliding_window": keys.window(),
    }


PHI3 = Phi3Family("phi3", gguf=GGUFArchitecture("phi3", _fields))
