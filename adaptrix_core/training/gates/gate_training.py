"""Trains a gate over adapters that stay as they are, on a few hundred examples (LoRA-Flow, arXiv:2402.11455).

What is learned is one direction and one offset for each adapter at each injection point (`injection/gate.py`). Base and
adapters are frozen, so a step costs little more than a forward and a backward pass of the layers above the first
adapted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adaptrix_core.base import BaseModel
from adaptrix_core.base.families.parts import Point
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.training.examples.packing import Example, batches, common_prefix, micro_batches, pack
from adaptrix_core.training.gates.attached import attached, lora_update
from adaptrix_core.training.trainer import answer_loss
from adaptrix_core.training.trunk import TrunkCache


@dataclass(frozen=True)
class GateTraining:
    """The settings of a gate's training."""

    steps: int = 100
    batch_size: int = 8
    learning_rate: float = 3e-3
    seed: int = 0
    pack_tokens: int = 1024
    """Most tokens of a row of packed examples."""


def train_gate(
    base: BaseModel,
    adapters: Sequence[LoraWeights],
    examples: Sequence[Example],
    settings: GateTraining | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Gate:
    """The gate over ``adapters``, in their order, that makes the examples' answers likeliest.

    base: unpacked, float32. on_step: called after each step with its number, from 1, and its loss in nats per answer
    token. Raises InvalidRequest for fewer than two adapters or no example, AdaptrixError where the training diverges.
    """
    settings = settings or GateTraining()
    if len(adapters) < 2 or not examples:
        raise InvalidRequest(
            f"a gate is trained over {len(adapters)} adapter(s) on {len(examples)} examples; give at least 2 and 1",
            param="gate",
        )
    torch.manual_seed(settings.seed)
    base.module.requires_grad_(False)
    gate = _TrainedGate(adapters)
    trunk = TrunkCache(base.module, base.family.layers(base.module), min(layer for layer, _ in gate.points))
    prefix = common_prefix(examples)
    optimizer = torch.optim.AdamW(gate.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    with attached(base, gate.points, gate.update):
        for step, batch in zip(range(1, settings.steps + 1), _batches(examples, settings), strict=False):
            answer_tokens, loss = sum(example.answer_length for example in batch), 0.0
            for part in micro_batches(batch, prefix, settings.pack_tokens):
                packed = pack(part, prefix)
                with trunk.skipped(trunk.states(packed)):
                    share = answer_loss(base.module, packed) / answer_tokens
                share.backward()
                loss += share.item()
            if not math.isfinite(loss):
                raise AdaptrixError(
                    f"the loss of step {step} is {loss}: the gate's training has diverged; train with a learning_rate "
                    f"below {settings.learning_rate:g}",
                    code="training_diverged",
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            on_step(step, loss)
    return gate.trained()


def _batches(examples: Sequence[Example], settings: GateTraining) -> Iterator[list[Example]]:
    epoch = 0
    while True:
        yield from batches(examples, settings.batch_size, settings.seed, epoch)
        epoch += 1


class _TrainedGate(nn.Module):
    """The gate's numbers as parameters, beginning with equal shares for all adapters."""

    def __init__(self, adapters: Sequence[LoraWeights]) -> None:
        super().__init__()
        self.points = sorted({point for weights in adapters for point in weights.points})
        self._there = {point: [weights.points.get(point) for weights in adapters] for point in self.points}
        self._directions, self._offsets = nn.ParameterList(), nn.ParameterList()
        for point in self.points:
            d_in = next(own.lora_a.shape[1] for own in self._there[point] if own is not None)
            self._directions.append(nn.Parameter(torch.zeros(len(adapters), d_in)))
            self._offsets.append(nn.Parameter(torch.zeros(len(adapters))))

    def update(self, point: Point, inputs: Tensor) -> Tensor:
        """The gated sum of the adapters' updates at a point, with gradients for the gate. See `attached.Update`."""
        number = self.points.index(point)
        shares = self._shares(number, inputs)
        updates = [
            lora_update(inputs, weights) * shares[:, place, None]
            for place, weights in enumerate(self._there[point])
            if weights is not None
        ]
        return torch.stack(updates).sum(0)

    def trained(self) -> Gate:
        """The gate as it is now."""
        made = {
            point: PointGate(
                directions.detach().clone(),
                offsets.detach().clone(),
                tuple(own is not None for own in self._there[point]),
            )
            for point, directions, offsets in zip(self.points, self._directions, self._offsets, strict=True)
        }
        return Gate(made, len(self._there[self.points[0]]))

    def _shares(self, number: int, inputs: Tensor) -> Tensor:
        acting = torch.tensor([own is not None for own in self._there[self.points[number]]])
        scores = (inputs @ self._directions[number].T).masked_fill(~acting, float("-inf"))
        shares: Tensor = torch.softmax(scores, -1) + self._offsets[number] * acting
        return shares
