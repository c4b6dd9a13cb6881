"""GPT-NeoX: parallel residual, rotation of a part of each head, query, key and value interleaved by head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.parts import DOWN, OUT, UP, K, Part, PerHead, Q, V, Whole

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys

_FUSED = re.compile(r".*\.attention\.query_key_value\.(weight|bias)")


class GPTNeoXFamily(Family):
    """Parallel residual, rotary fraction, query/key/value interleaved by head."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        heads, head_dim = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        fused = "attention.query_key_value"
        return {
            Q: (fused, PerHead(0, 3, heads, head_dim)),
            K: (fused, PerHead(1, 3, heads, head_dim)),
            V: (fused, PerHead(2, 3, heads, head_dim)),
            OUT: ("attention.dense", Whole()),
            UP: ("mlp.dense_h_to_4h", Whole()),
            DOWN: ("mlp.dense_4h_to_h", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        states: Tensor = self.backbone(model).embed_in(token_ids)
        return states

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        logits: Tensor = model.lm_head(self.backbone(model).final_layer_norm(hidden))
        return logits


def _fields(keys: Keys) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "num_hidden_layers": keys.layers,
        "hidden_size": keys.hidden,
        "intermediate_size": keys.number("feed_forward_length"),
        "num_attention_heads": keys.heads,
        "max_position_embeddings": keys.context,
        "layer_norm_eps": float(keys.get("attention.layer_norm_epsilon", 1e-5)),
        "use_parallel_residual": bool(keys.get("use_parallel_residual", True)),
        "rope_parameters": keys.rope_of_part(),
    }


def _values(name: str, values: NDArray[Any], config: Any) -> NDArray[Any]:
    """The file has all queries, then all keys, then all values; transformers has the three of each head together."""
    if not _FUSED.fullmatch(name):
        return values
    heads = config.num_attention_heads
    parts = values.reshape(3, heads, values.shape[0] // 3 // heads, *values.shape[1:])
    return parts.swapaxes(0, 1).reshape(values.shape)


GPT_NEOX = GPTNeoXFamily(
    "gpt_neox", backbone="gpt_neox", layers="gpt_neox.layers", gguf=GGUFArchitecture("gptneox", _fields, values=_values)
)
