"""S-LoRA's request generator (Sheng et al., arXiv:2311.03285; `benchmarks/harness/trace.py` of its repository), seed
42.

Which adapter a request asks for follows a power law: index ``⌊power(alpha)·n⌋``, so alpha 1 is uniform and the first
of n adapters gets ``(1/n)^alpha`` of the requests. Gaps between arrivals are Gamma distributed with a coefficient of
variation, prompt and output lengths uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEED = 42


@dataclass(frozen=True)
class Request:
    """One request of a trace."""

    arrival: float
    """Seconds after the trace begins."""
    adapter: int
    prompt_tokens: int
    output_tokens: int


def generate(
    count: int, num_adapters: int, alpha: float, rate: float, lengths: tuple[int, int], cv: float = 1.0
) -> list[Request]:
    """``count`` requests at ``rate`` per second. lengths: of prompt and of output, the upper end excluded.

    Traces that differ in ``alpha`` or ``num_adapters`` alone differ in the adapters alone.
    """
    random = np.random.RandomState(SEED)
    adapters = (random.power(alpha, count) * num_adapters).astype(int)
    prompts = random.randint(*lengths, count)
    outputs = random.randint(*lengths, count)
    arrivals = np.cumsum(random.gamma(1 / cv**2, cv**2 / rate, count))
    return [
        Request(float(at), int(adapter), int(prompt), int(output))
        for at, adapter, prompt, output in zip(arrivals, adapters, prompts, outputs, strict=True)
    ]
