"""Decode steps in fixed shapes: captured once as CUDA graphs and replayed, one launch instead of one per kernel.

A step of one token per row is padded to few shapes: rows and the longest block table to powers of two. Its geometry is
computed from three inputs (tokens, positions, block tables) on the device, LoRA kernels read their plan from tensors
that stay (`TritonLora`), and padded rows write to the cache's scratch block. So the kernels that a step launches depend
only on its shapes and on the key that `LoraBackend.begin` returns, and a graph is kept for each pair that has occurred.

Without capturing, the same steps run anywhere: that is how their geometry is tested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.attention import SpanAttention
from adaptrix_core.engine.scheduling.scheduler import Chunk
from adaptrix_core.injection.injector import LayerInjector

RunSpans = Callable[[Tensor, Tensor, Sequence[int], Callable[[int], SpanAttention]], Tensor]
"""(states entering the first span ``(1, tokens, hidden)``, positions ``(1, tokens)``, spans, a span's attention) ->
states leaving the last one."""

_LEAST_BLOCKS = 4
"""Shortest padded block table, in blocks: attention over so few costs nothing."""
_MOST_GATHERED = 2
"""Largest gathered keys of a step, padding included, as a multiple of a layer's cache; larger steps are not padded."""
_MOST_GRAPHS = 64
"""Graphs that are kept (LRU)."""
_WARM_UPS = 2
"""Runs before a capture, in which kernels are compiled and libraries take their memory."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    output: Tensor


class GraphedDecode:
    """Runs steps in which every row has one token, in all spans. Engine thread only."""

    def __init__(
        self,
        base: BaseModel,
        cache: KVCache,
        injector: LayerInjector,
        run_spans: RunSpans,
        max_rows: int,
        capture: bool = True,
    ) -> None:
        """run_spans: as for any step. capture: whether steps are captured and replayed, or run as they are."""
        self._base = base
        self._cache = cache
        self._injector = injector
        self._run_spans = run_spans
        self._max_rows = max_rows
        self._capture = capture
        self._graphs: LRUCache[Hashable, _Graph] = LRUCache(_MOST_GRAPHS)
        self._memory: Any = None
        """The memory pool that all graphs share: between replays, each keeps only its output."""
        self.num_steps = 0
        self.error: str | None = None
        """Why no more steps are captured; None while they are."""

    def stats(self) -> dict[str, Any]:
        """Graphs held, steps computed through them and, if a capture failed, why."""
        return {"graphs": len(self._graphs), "steps": self.num_steps, "error": self.error}

    def run(self, chunks: Sequence[Chunk]) -> Tensor | None:
        """The states that leave the last span, ``(1, rows, hidden)``, valid until the next call.

        chunks: of one token each. None: the step must be computed in another way.
        """
        longest = max(chunk.start for chunk in chunks) // self._cache.block_size + 1
        rows = min(_power_of_two(len(chunks)), self._max_rows)
        blocks = max(_power_of_two(longest), _LEAST_BLOCKS)
        if self.error is not None or rows * blocks > _MOST_GATHERED * self._cache.num_blocks:
            return None
        inputs = self._inputs(chunks, rows, blocks)
        mixes = [chunk.row.mix_at(chunk.start) for chunk in chunks] + [()] * (rows - len(chunks))
        with self._injector.step(mixes, fixed=True) as launches:
            hidden = self._replay((rows, blocks, launches), inputs) if self._capture else self._forward(inputs)
        if hidden is None:
            return None
        self.num_steps += 1
        return hidden[:, : len(chunks)]

    def _inputs(self, chunks: Sequence[Chunk], rows: int, blocks: int) -> Tensor:
        """Token, position and block ids by span of every row, ``(rows, 2 + spans * blocks)``, on the host.

        Entries beyond a table repeat its first block. A row of padding has one token, in the scratch block.
        """
        lines = [
            [chunk.row.tokens[chunk.start], chunk.start]
            + [block for table in chunk.row.tables for block in _filled(table, blocks)]
            for chunk in chunks
        ]
        padding = [0, 0] + [self._cache.scratch_block] * (len(self._cache.spans) * blocks)
        return torch.tensor(lines + [padding] * (rows - len(chunks)))

    def _forward(self, inputs: Tensor) -> Tensor:
        """Compute one step from its inputs; reads none of their values once they are on the device."""
        inputs = inputs.to(self._base.device)
        tables = inputs[:, 2:].unflatten(1, (len(self._cache.spans), -1))
        positions = inputs[:, 1]

        def attention_of(span: int) -> SpanAttention:
            return SpanAttention.of_last_tokens(self._cache, span, tables[:, span], positions)

        hidden = self._base.embed(inputs[None, :, 0], positions[None])
        return self._run_spans(hidden, positions[None], range(len(self._cache.spans)), attention_of)

    def _replay(self, key: tuple[int, int, Hashable | None], inputs: Tensor) -> Tensor | None:
        if key[-1] is None:
            return None
        graph = self._graphs.get(key)
        if graph is not None:
            graph.inputs.copy_(inputs.pin_memory(), non_blocking=True)
        else:
            try:
                with torch.cuda.device(self._base.device):
                    graph = self._graphs[key] = self._captured(inputs)
            except Exception as error:  # a step that cannot be captured can still be run
                self._give_up(error)
                return None
        graph.graph.replay()
        return graph.output

    def _captured(self, inputs: Tensor) -> _Graph:
        """A graph of the step with these inputs. Its warm-up runs store the same keys and values as its replay will."""
        kept = inputs.to(self._base.device)
        current, beside = torch.cuda.current_stream(), torch.cuda.Stream()
        beside.wait_stream(current)
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                self._forward(kept)
        current.wait_stream(beside)
        if self._memory is None:
            self._memory = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads may copy adapters or compile meanwhile; only this one is held to what can be captured.
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            output = self._forward(kept)
        return _Graph(graph, kept, output)

    def _give_up(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}"
        self._graphs.clear()
        _log.warning("decode steps run without CUDA graphs: %s", self.error)


def _power_of_two(count: int) -> int:
    """The smallest power of two that is not below ``count``."""
    return 1 << (count - 1).bit_length()


def _filled(table: Sequence[int], length: int) -> list[int]:
    """The first ``length`` blocks of a table, padded with its first one."""
    return [*table[:length], *[table[0]] * (length - len(table))]
