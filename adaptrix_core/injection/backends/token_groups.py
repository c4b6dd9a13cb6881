"""A step's tokens, grouped by mix: what a batched LoRA kernel reads instead of one mix per token.

Tokens of one mix are computed in tiles, each under all terms of the mix, so a token's updates are summed inside one
program, in the order of its terms: no atomics, and the same sum whatever else is in the batch. Tokens without adapters
are in no tile. Knows nothing of devices or kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.mix import Mix

TILE = 16
"""Tokens of a tile, which one program computes: the fewest rows that a tensor core multiplies."""


@dataclass(frozen=True)
class TokenGroups:
    """Tokens, tiles and terms of one step, in host memory."""

    order: NDArray[np.int32]
    """Indices of the tokens under some adapter, those of one mix together, ``(n,)``."""
    tiles: NDArray[np.int32]
    """(first place in ``order``, number of tokens, group) of every tile, ``(tiles, 3)``."""
    slots: NDArray[np.int32]
    """Slot of each group's terms, ``(groups, terms)``; shorter mixes are filled up with terms of factor 0."""
    factors: NDArray[np.float32]
    """Factor of each group's terms at each layer, ``(layers, groups, terms)``."""


def group_tokens(mixes: Sequence[Mix], slot_of: Mapping[WeightsDigest, int], num_layers: int) -> TokenGroups:
    """Group the tokens of a step; token ``i`` is under ``mixes[i]``, ``slot_of`` has each adapter's slot."""
    tokens: dict[Mix, list[int]] = {}
    for index, mix in enumerate(mixes):
        if mix:
            tokens.setdefault(mix, []).append(index)
    order: list[int] = []
    tiles: list[tuple[int, int, int]] = []
    shape = (len(tokens), max(map(len, tokens), default=0))
    slots, factors = np.zeros(shape, np.int32), np.zeros((num_layers, *shape), np.float32)
    for group, (mix, members) in enumerate(tokens.items()):
        end = len(order) + len(members)
        tiles += [(first, min(TILE, end - first), group) for first in range(len(order), end, TILE)]
        order += members
        for place, term in enumerate(mix):
            slots[group, place] = slot_of[term.adapter]
            factors[:, group, place] = [term.weight_at(layer) for layer in range(num_layers)]
    return TokenGroups(np.array(order, np.int32), np.array(tiles, np.int32).reshape(-1, 3), slots, factors)


def padded_groups(groups: TokenGroups, tokens: int, terms: int) -> TokenGroups:
    """The same work in arrays whose shapes depend on ``tokens`` and ``terms`` alone.

    Every group has a token, so there are at most as many tiles as tokens. The padding is tiles without tokens, of one
    further group whose factors are 0: programs that find one end at once.
    """
    shape, (used, width) = (tokens + 1, terms), groups.slots.shape
    order, tiles = np.zeros(tokens, np.int32), np.full((tokens, 3), (0, 0, tokens), np.int32)
    slots, factors = np.zeros(shape, np.int32), np.zeros((len(groups.factors), *shape), np.float32)
    order[: len(groups.order)], tiles[: len(groups.tiles)] = groups.order, groups.tiles
    slots[:used, :width], factors[:, :used, :width] = groups.slots, groups.factors
    return TokenGroups(order, tiles, slots, factors)
