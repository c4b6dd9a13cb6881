"""A run of one prompt with its inside kept: the states that leave every layer, and what every layer attends by.

For inspection, outside the running batch: layers run one after the other with plain attention, and nothing of it is on
the way of requests. Here are the record and the run over transformers modules; `inspected_packed.py` has the run over
packed weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.injection.injector import LayerInjector

INSPECTED_TOKENS = 2048
"""Longest prompt: its states, queries and keys are 0.3 GB in a model of 135M parameters, 9 GB in one of 7B."""

QUERIES_AT_ONCE = 256
"""Tokens whose attention weights are made at once: all of a long prompt's would be gigabytes."""


@dataclass(frozen=True, eq=False)
class AttentionInputs:
    """What one layer's attention weights are made of; float32, in host memory once the run is over."""

    query: Tensor
    """``(tokens, heads, head_dim)``, rotated as the layer rotates it."""
    key: Tensor
    """``(tokens, kv_heads, head_dim)``"""
    scaling: float
    window: int | None
    """Keys that a token sees, itself among them; None for all before it."""
    cap: float | None
    """Softcap of the scores: ``cap * tanh(score / cap)``."""

    def weights(self, start: int, stop: int) -> Tensor:
        """Attention weights of the tokens ``start … stop``, ``(heads, stop - start, tokens)``; they add up to 1."""
        group = self.query.shape[1] // self.key.shape[1]
        query = self.query[start:stop].transpose(0, 1)
        key = self.key.repeat_interleave(group, 1).transpose(0, 1)
        scores = (query @ key.transpose(1, 2)) * self.scaling
        if self.cap is not None:
            scores = torch.tanh(scores / self.cap) * self.cap
        at = torch.arange(start, stop, device=scores.device)[:, None]
        seen = torch.arange(len(key[0]), device=scores.device)[None]
        visible = seen <= at
        if self.window is not None:
            visible &= seen > at - self.window
        return scores.masked_fill(~visible, float("-inf")).softmax(-1)


@dataclass(frozen=True, eq=False)
class InspectedRun:
    """One prompt computed under one mix schedule."""

    token_ids: tuple[int, ...]
    states: Tensor
    """States that leave each layer, ``(layers, tokens, hidden)`` float32 in host memory."""
    attention: tuple[AttentionInputs, ...]
    """By layer; empty where it was not asked for, or the family's layers do not attend through our function."""


@dataclass(eq=False)
class RecordingAttention:
    """Stands in for `SpanAttention`: attends plainly to the tokens of one prompt, and keeps what it attended by."""

    keeps: bool = True
    recorded: dict[int, AttentionInputs] = field(default_factory=dict)

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        window: int | None,
        cap: float | None,
    ) -> Tensor:
        """See `SpanAttention.attend`."""
        inputs = AttentionInputs(query.float(), key.float(), scaling, window, cap)
        values = value.float().repeat_interleave(query.shape[1] // value.shape[1], 1).transpose(0, 1)
        parts = [
            (inputs.weights(start, min(start + QUERIES_AT_ONCE, len(query))) @ values).transpose(0, 1)
            for start in range(0, len(query), QUERIES_AT_ONCE)
        ]
        if self.keeps:
            self.recorded[layer] = AttentionInputs(inputs.query.cpu(), inputs.key.cpu(), scaling, window, cap)
        return torch.cat(parts).to(query.dtype)


@torch.inference_mode()
def inspect_modules(base: BaseModel, injector: LayerInjector, row: Row, attention: bool) -> InspectedRun:
    """Run the prompt of ``row`` through the model's modules under the injector's hooks; its adapters are there."""
    length = len(row.tokens)
    positions = torch.arange(length, device=base.device)[None]
    recorder = RecordingAttention(keeps=attention)
    states = []
    with injector.step([row.mix_at(place) for place in range(length)]):
        hidden = base.embed(torch.tensor([row.tokens], device=base.device), positions)
        rotary = base.rotary(hidden, positions)
        for layer in range(base.info.num_layers):
            hidden = base.run_span(range(layer, layer + 1), hidden, positions, rotary, recorder)
            states.append(hidden[0].float().cpu())
    recorded = tuple(recorder.recorded[layer] for layer in sorted(recorder.recorded))
    return InspectedRun(tuple(row.tokens), torch.stack(states), recorded)
