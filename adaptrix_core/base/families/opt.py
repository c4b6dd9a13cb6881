"""OPT: learned positions with an offset, optional projections of the embedding, norms before or after.

llama.cpp has no architecture for it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family, Rotary
from adaptrix_core.base.families.parts import DOWN, OUT, UP, K, Part, Q, V, Whole


class OPTFamily(Family):
    """Learned positions with an offset, optional embedding projections, norm before or after."""

    def modules(self, config: Any) -> dict[str, tuple[str, Part]]:
        """See `Family.modules`."""
        return {
            Q: (Q, Whole()),
            K: (K, Whole()),
            V: (V, Whole()),
            OUT: ("self_attn.out_proj", Whole()),
            UP: ("fc1", Whole()),
            DOWN: ("fc2", Whole()),
        }

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        decoder = self.backbone(model)
        states = decoder.embed_tokens(token_ids)
        if decoder.project_in is not None:
            states = decoder.project_in(states)
        placed: Tensor = states + decoder.embed_positions(None, 0, position_ids=positions)
        return placed

    def rotary(self, model: PreTrainedModel, hidden: Tensor, positions: Tensor) -> Rotary:
        """No rotary embedding in this family."""
        return {}

    def layer_arguments(self, model: PreTrainedModel, index: int, positions: Tensor, rotary: Rotary) -> dict[str, Any]:
        """See `Family.layer_arguments`."""
        return {"attention_mask": None, "position_ids": positions}

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        decoder = self.backbone(model)
        if decoder.final_layer_norm is not None:
            hidden = decoder.final_layer_norm(hidden)
        if decoder.project_out is not None:
            hidden = decoder.project_out(hidden)
        logits: Tensor = model.lm_head(hidden)
        return logits


OPT = OPTFamily("opt", backbone="model.decoder", layers="model.decoder.layers")
