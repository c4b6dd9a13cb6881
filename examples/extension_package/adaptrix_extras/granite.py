"""The model family Granite: Llama's layout, with factors on the embedding and on the logits."""

from __future__ import annotations

from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family


class GraniteFamily(Family):
    """Factors inside the layers are applied by transformers' own modules."""

    def embed(self, model: PreTrainedModel, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `Family.embed`."""
        states: Tensor = super().embed(model, token_ids, positions) * model.config.embedding_multiplier
        return states

    def head(self, model: PreTrainedModel, hidden: Tensor) -> Tensor:
        """See `Family.head`."""
        logits: Tensor = super().head(model, hidden) / model.config.logits_scaling
        return logits


GRANITE = GraniteFamily("granite")
