"""Trains a gate to choose one adapter for a whole question: the one that answers such questions best.

Adapters that each answer questions of their own, in a format of their own, are worth little added up; what a token
needs is one of them, whole. So each example's right adapter is found (the one under which its answer is likeliest),
the inputs of every injection point are taken while that adapter answers, and the directions are fitted to tell the
right adapter from the others by these inputs: a multinomial logistic regression for each point, without a bias, which a
gate does not have. No gradient runs through the model, so it takes one forward pass of each adapter over each example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptrix_core.base import BaseModel
from adaptrix_core.base.families.parts import Point
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.training.examples.packing import Example, Pack, common_prefix, micro_batches, pack
from adaptrix_core.training.gates.attached import attached, lora_update
from adaptrix_core.training.trainer import answer_losses
from adaptrix_core.training.trunk import TrunkCache


@dataclass(frozen=True)
class ChoiceTraining:
    """The settings of a choosing gate's training."""

    top_k: int | None = None
    """See `Gate`: 1 gives a token to one adapter, whole; None shares it out, which answers a little more rightly
    (docs/composition.md)."""
    tokens_per_example: int = 24
    """Tokens of each example whose inputs are kept, drawn at random; those that all prompts begin with are left out."""
    penalty: float = 1e-3
    """Weight of the directions' squares in the loss, per standardised input."""
    seed: int = 0
    """Of the draw of tokens."""
    pack_tokens: int = 1024
    """Most tokens of a row of packed examples."""


@dataclass(frozen=True)
class ChoosingGate:
    """A trained gate, and what it was trained to choose."""

    gate: Gate
    chosen: tuple[int, ...]
    """For each example, the place of its right adapter."""


def train_choice(
    base: BaseModel,
    adapters: Sequence[LoraWeights],
    examples: Sequence[Example],
    settings: ChoiceTraining | None = None,
    on_examples: Callable[[int], None] = lambda done: None,
) -> ChoosingGate:
    """The gate over ``adapters``, in their order, that gives each example to its right adapter.

    base: unpacked, float32. on_examples: called with the number of examples that were computed so far. Raises
    InvalidRequest for fewer than two adapters, and where no example is some adapter's.
    """
    settings = settings or ChoiceTraining()
    if len(adapters) < 2 or not examples:
        raise InvalidRequest(
            f"a gate is trained over {len(adapters)} adapter(s) on {len(examples)} examples; give at least 2 and 1",
            param="gate",
        )
    reader = _Reader(base, adapters, examples, settings)
    chosen: dict[int, int] = {}
    read: list[_Read] = []
    for part in micro_batches(examples, reader.prefix, settings.pack_tokens):
        ones = reader.read(part)
        read += ones
        chosen |= {example.index: one.adapter for example, one in zip(part, ones, strict=True)}
        on_examples(len(read))
    if missing := sorted(set(range(len(adapters))) - set(chosen.values())):
        raise InvalidRequest(
            f"of {len(examples)} examples none is answered best by adapter number {missing[0] + 1}; add examples of "
            "what it is for, or leave it out",
            param="gate",
        )
    points = {point for weights in adapters for point in weights.points}
    gates = _fitted_gates(sorted(points), adapters, read, settings.penalty)
    gate = Gate(gates, len(adapters), top_k=settings.top_k)
    return ChoosingGate(gate, tuple(chosen[example.index] for example in examples))


@dataclass(frozen=True)
class _Read:
    """One example under its right adapter."""

    adapter: int
    inputs: Mapping[Point, Tensor]
    """Of the drawn tokens at the adapter's points, ``(tokens, d_in)``; points with the same inputs share a tensor."""


class _Reader:
    """Computes examples under every adapter by itself."""

    def __init__(
        self, base: BaseModel, adapters: Sequence[LoraWeights], examples: Sequence[Example], settings: ChoiceTraining
    ) -> None:
        self._base, self._adapters = base, adapters
        self._count = settings.tokens_per_example
        self._drawn = torch.Generator().manual_seed(settings.seed)
        first_layer = min(layer for weights in adapters for layer, _ in weights.points)
        self._trunk = TrunkCache(base.module, base.family.layers(base.module), first_layer)
        self.prefix = common_prefix(examples)

    @torch.no_grad()
    def read(self, examples: Sequence[Example]) -> list[_Read]:
        """The examples, packed into one row, each as its right adapter computes it."""
        packed = pack(examples, self.prefix)
        states, tokens = self._trunk.states(packed), self._tokens(packed)
        losses, inputs = zip(*(self._under(weights, packed, states) for weights in self._adapters), strict=True)
        right = torch.stack(losses).argmin(0).tolist()
        return [_Read(place, _rows(inputs[place], rows)) for place, rows in zip(right, tokens, strict=True)]

    def _under(self, weights: LoraWeights, packed: Pack, states: Tensor) -> tuple[Tensor, dict[Point, Tensor]]:
        """(loss of each example's answer in nats, inputs at each point)."""
        seen: dict[Point, Tensor] = {}

        def update(point: Point, inputs: Tensor) -> Tensor:
            seen[point] = inputs
            return lora_update(inputs, weights.points[point])

        with attached(self._base, weights.points, update), self._trunk.skipped(states):
            losses = answer_losses(self._base.module, packed)
        answers = losses.split([example.answer_length for example in packed.examples])
        return torch.stack([answer.sum() for answer in answers]), seen

    def _tokens(self, packed: Pack) -> list[Tensor]:
        """The tokens of each example that are kept, as indices into the pack."""
        drawn, start = [], packed.prefix_length
        for example in packed.examples:
            own = len(example.token_ids) - packed.prefix_length
            drawn.append(start + torch.randperm(own, generator=self._drawn)[: self._count].sort().values)
            start += own
        return drawn


def _rows(inputs: Mapping[Point, Tensor], tokens: Tensor) -> dict[Point, Tensor]:
    """The inputs of these tokens. Modules that read one tensor (query, key, value) share their rows, too."""
    kept = {whole.data_ptr(): whole.index_select(0, tokens) for whole in inputs.values()}
    return {point: kept[whole.data_ptr()] for point, whole in inputs.items()}


def _fitted_gates(
    points: Sequence[Point], adapters: Sequence[LoraWeights], read: Sequence[_Read], penalty: float
) -> dict[Point, PointGate]:
    """The gate at every point. Points with the same inputs and adapters are fitted once."""
    fitted: dict[tuple[object, ...], PointGate] = {}
    gates = {}
    for point in points:
        acting = tuple(point in weights.points for weights in adapters)
        known = [one for one in read if point in one.inputs]
        key = (acting, *(one.inputs[point].data_ptr() for one in known))
        if key not in fitted:
            inputs = torch.cat([one.inputs[point] for one in known])
            labels = torch.cat([torch.full((len(one.inputs[point]),), one.adapter) for one in known])
            directions = _directions(inputs, labels, acting, penalty)
            fitted[key] = PointGate(directions, torch.zeros(len(adapters)), acting)
        gates[point] = fitted[key]
    return gates


def _directions(inputs: Tensor, labels: Tensor, acting: Sequence[bool], penalty: float) -> Tensor:
    """The logistic regression's directions, ``(adapters, d_in)``; zero for adapters that do not act at the point."""
    scale = inputs.square().mean(0).sqrt().clamp(min=1e-6)
    scaled, absent = inputs / scale, ~torch.tensor(acting)
    directions = torch.zeros(len(acting), inputs.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([directions], max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        scores = (scaled @ directions.T).masked_fill(absent, float("-inf"))
        total = torch.nn.functional.cross_entropy(scores, labels) + penalty * directions.square().sum()
        total.backward()
        return total

    solver.step(loss)
    return (directions.detach() / scale).contiguous()
