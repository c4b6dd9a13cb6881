"""The model replicas as batches see them: every call goes at the lowest priority, whatever its line says."""

from __future__ import annotations

from dataclasses import replace

from adaptrix_core.request_limits import SAMPLING_RANGES
from deployments.generation.ports import PieceStream, Replicas
from deployments.shared.wire import GenerateCall

LOWEST = int(SAMPLING_RANGES["priority"].high)


class LowestPriority:
    """Replicas that serve everybody else first."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def generate(self, call: GenerateCall) -> PieceStream:
        """The pieces of ``call`` from one replica."""
        return self._replicas.generate(replace(call, priority=LOWEST))
