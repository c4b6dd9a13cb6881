"""What a replica's engine costs in time, as a handful of numbers: the simulator's only knowledge of the real engine.

A step takes ``base_s + row_s * decoding rows + prefill_token_s * prompt tokens``; how long the rows already are is not
looked at. `calibrate.py` measures the numbers. Knows no events and no cluster.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from adaptrix_core.engine.scheduling.prompt_budget import PromptLimits
from adaptrix_core.errors import InvalidRequest


@dataclass(frozen=True)
class StepCost:
    """Seconds of one step."""

    base_s: float
    row_s: float
    prefill_token_s: float

    def seconds(self, rows: int, prefill_tokens: int) -> float:
        """Seconds of a step with this many decoding rows and prompt tokens."""
        return self.base_s + self.row_s * rows + self.prefill_token_s * prefill_tokens


@dataclass(frozen=True)
class MeasuredStep:
    """One measured step: what it computed, and its seconds."""

    rows: int
    prefill_tokens: int
    seconds: float


@dataclass(frozen=True)
class EngineModel:
    """One replica: step times, the limits of `EngineOptions`, and how adapters come and stay."""

    step: StepCost
    max_rows: int = 32
    max_batch_tokens: int = 512
    mixed_prefill_tokens: int = 2
    short_prompt_tokens: int = 64
    adapter_slots: int = 128
    """Adapters that a replica holds."""
    load_s: float = 0.05
    """Seconds to read, verify and place an adapter; a replica loads one at a time, beside its steps."""
    overhead_s: float = 0.0
    """Seconds that HTTP and Ray add to the first token."""

    @property
    def prompts(self) -> PromptLimits:
        """What bounds prompts in one step, as the engine has it."""
        return PromptLimits(self.max_batch_tokens, self.mixed_prefill_tokens, self.short_prompt_tokens)

    def capacity(self, prompt_tokens: float, output_tokens: float) -> float:
        """Requests per second that one replica can serve with full batches and every adapter at hand.

        A request takes its share, 1 / ``max_rows``, of each of its decode steps, and its prompt's part of the prefill.
        """
        decode = (output_tokens - 1) * self.step.seconds(self.max_rows, 0) / self.max_rows
        return 1.0 / (decode + self.step.prefill_token_s * prompt_tokens)

    def save(self, path: Path) -> None:
        """Write the file that `load_model` reads."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def load_model(path: Path) -> EngineModel:
    """Read what `EngineModel.save` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return EngineModel(**{**document, "step": StepCost(**document["step"])})


def fit_steps(measured: Sequence[MeasuredStep]) -> StepCost:
    """The non-negative coefficients with the least squares of relative errors. InvalidRequest below three steps."""
    if len(measured) < 3:
        raise InvalidRequest(f"{len(measured)} steps were measured; three coefficients need at least 3")
    columns = np.array([[1.0, step.rows, step.prefill_tokens] for step in measured])
    seconds = np.array([step.seconds for step in measured])
    coefficients, _ = nnls(columns / seconds[:, None], np.ones(len(seconds)))
    return StepCost(*(float(value) for value in coefficients))


def median_error(cost: StepCost, measured: Sequence[MeasuredStep]) -> float:
    """Median of the relative errors of ``cost`` on ``measured``."""
    errors = [abs(cost.seconds(s.rows, s.prefill_tokens) / s.seconds - 1.0) for s in measured]
    return float(np.median(errors))
