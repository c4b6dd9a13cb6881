"""The range of every sampling parameter, in one table for the engine's checks and for the HTTP schemas.

A value inside its range may still be too small for float32, in which logits are computed (5e-324 is 0 there); the
sampler handles these (`engine/rows/sampler.py`). A value outside is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A range. Both ends are allowed, unless ``above_low``."""

    low: float
    high: float
    above_low: bool = False
    """Whether ``low`` itself is refused."""

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are allowed."""
        return isinstance(self.low, int)

    def allows(self, value: float) -> bool:
        """Whether a number lies inside; NaN never does."""
        return self.low <= value <= self.high and not (self.above_low and value == self.low)

    def __str__(self) -> str:
        return f"above {self.low} and at most {self.high}" if self.above_low else f"from {self.low} to {self.high}"


MAX_STOPS = 16
"""Most stop strings of one request."""
MAX_STOP_CHARACTERS = 256
"""Longest stop string, in characters."""
MAX_BIASES = 1024
"""Most tokens with a bias in one request."""

LIMITS = {
    # OpenAI's and vLLM's ranges; where they differ, the narrower one.
    "temperature": Limit(0.0, 2.0),
    "top_p": Limit(0.0, 1.0, above_low=True),
    "top_k": Limit(0, 2**31),
    "min_p": Limit(0.0, 1.0),
    "presence_penalty": Limit(-2.0, 2.0),
    "frequency_penalty": Limit(-2.0, 2.0),
    # Logits are divided and multiplied by it: values nearer to 0 would overflow them.
    "repetition_penalty": Limit(0.01, 10.0),
    "logit_bias": Limit(-100.0, 100.0),
    "n": Limit(1, 64),
    "max_tokens": Limit(0, 2**31),
    "logprobs": Limit(0, 20),
    "seed": Limit(-(2**63), 2**63 - 1),
    "priority": Limit(-100, 100),
}
"""Range by parameter of `SamplingParams` and `GenerationRequest`."""
