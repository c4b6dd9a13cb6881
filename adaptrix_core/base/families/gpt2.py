"""GPT-2: learned positions, query, key and value in one module, weights stored transposed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family, Rotary
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.parts import DOWN, OUT, UP, K, Part, Q, Slice, V, Whole

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys

_CONV1D = re.compile(r".*\.(c_attn|c_proj|c_fc)\.weight")


class GPT2Family(Family):
    """Learned positions, fused `c_attn`, weights stored transposed (Conv1D)."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        h = config.hidden_size
        return {
            Q: ("attn.c_attn", Slice(0, h)),
            K: ("attn.c_attn", Slice(h, 2 * h)),
            V: ("attn.c_attn", Slice(2 * h, 3 * h)),
            OUT: ("attn.c_proj", Whole()),
            UP: ("mlp.c_fc", Whole()),
            DOWN: ("mlp.c_proj", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        backbone = self.backbone(model)
        states: Tensor = backbone.wte(token_ids) + backbone.wpe(positions)
        return states

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """No rotary embedding in this family."""
        return {}

    def layer_arguments(self, model: PreTrainedModel, index: int, positions: Tensor, rotary: Rotary) -> dict[str, Any]:
        """See `Family.layer_arguments`."""
        return {"attention_mask": None, "use_cache": False}

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        logits: Tensor = model.lm_head(self.backbone(model).ln_f(hidden))
        return logits


def _fields(keys: Keys) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "n_layer": keys.layers,
        "n_embd": keys.hidden,
        "n_head": keys.heads,
        "n_inner": keys.number("feed_forward_length"),
        "n_positions": keys.context,
        "layer_norm_epsilon": float(keys.get("attention.layer_norm_epsilon", 1e-5)),
    }


def _values(name: str, values: NDArray[Any], config: Any) -> NDArray[Any]:
    """The converter transposes the weights of Conv1D modules, as linear ones have them."""
    return values.T if _CONV1D.fullmatch(name) else values


GPT2 = GPT2Family(
    "gpt2", backbone="transformer", layers="transformer.h", gguf=GGUFArchitecture("gpt2", _fields, values=_values)
)
