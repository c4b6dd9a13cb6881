"""What a comparison of a mix with the base model has found, and which of it is beyond the thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from adaptrix_core.config.context_section import ContextSettings


@dataclass(frozen=True, eq=False)
class StateConflict:
    """Two adapters of a mix, and how much their changes of the states go against each other."""

    one: str
    other: str
    by_layer: tuple[float | None, ...]
    """0 where they change states alike, 0.5 where they have nothing in common, 1 where they undo each other; None where
    one of them changes nothing."""

    @property
    def largest(self) -> float:
        """Of any layer."""
        return max((value for value in self.by_layer if value is not None), default=0.0)


@dataclass(frozen=True, eq=False)
class ContextReport:
    """One prompt under a mix and under the base model. Rows of all tables are the layers of ``layers``, in order."""

    mix: str
    tokens: tuple[str, ...]
    """The prompt's tokens as text, or their ids where the base model has no tokenizer."""
    layers: tuple[int, ...]
    similarity: Tensor
    """Cosine of the states that leave a layer, ``(layers, tokens)``."""
    attention_drift: Tensor | None
    """Share of attention that lies on other tokens than in the base model, ``(layers, heads, tokens)``; None where it
    was not asked for."""
    divergence: Tensor
    """Of the predictions of the next token, in nats, ``(tokens,)``."""
    agreement: Tensor
    """Whether the likeliest next token is the base model's, ``(tokens,)`` bool."""
    conflicts: tuple[StateConflict, ...]
    """Of every two adapters of the mix."""
    thresholds: ContextSettings

    @property
    def layer_similarity(self) -> dict[int, float]:
        """Mean over the tokens, by layer."""
        return dict(zip(self.layers, self.similarity.mean(1).tolist(), strict=True))

    @property
    def drifted_layers(self) -> tuple[int, ...]:
        """Layers whose mean similarity is below the threshold."""
        return tuple(layer for layer, value in self.layer_similarity.items() if value < self.thresholds.similarity)

    @property
    def drifted_tokens(self) -> tuple[int, ...]:
        """Places of the tokens whose mean similarity over the layers is below the threshold."""
        means = self.similarity.mean(0).tolist()
        return tuple(place for place, value in enumerate(means) if value < self.thresholds.similarity)

    @property
    def conflicting(self) -> tuple[StateConflict, ...]:
        """Pairs whose conflict is above the threshold in some layer."""
        return tuple(pair for pair in self.conflicts if pair.largest > self.thresholds.conflict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        attention = self.attention_drift
        return {
            "mix": self.mix,
            "tokens": list(self.tokens),
            "layers": list(self.layers),
            "similarity": _rounded(self.similarity),
            "layer_similarity": {str(layer): round(value, 5) for layer, value in self.layer_similarity.items()},
            "attention_drift": None if attention is None else _rounded(attention.mean(1)),
            "attention_drift_by_head": None if attention is None else _rounded(attention.mean(2)),
            "coherence": {
                "divergence": _rounded(self.divergence),
                "mean_divergence": round(float(self.divergence.mean()), 5),
                "agreement": self.agreement.tolist(),
                "mean_agreement": round(float(self.agreement.float().mean()), 5),
            },
            "conflicts": [
                {
                    "adapters": [pair.one, pair.other],
                    "by_layer": [None if value is None else round(value, 5) for value in pair.by_layer],
                    "largest": round(pair.largest, 5),
                }
                for pair in self.conflicts
            ],
            "thresholds": {"similarity": self.thresholds.similarity, "conflict": self.thresholds.conflict},
            "drifted_layers": list(self.drifted_layers),
            "drifted_tokens": list(self.drifted_tokens),
            "is_conflicting": bool(self.conflicting),
        }


def _rounded(values: Tensor) -> Any:
    """Nested lists, to 5 digits after the point: the rest differs from machine to machine."""
    listed = values.tolist()
    return [[round(v, 5) for v in row] for row in listed] if values.dim() == 2 else [round(v, 5) for v in listed]
