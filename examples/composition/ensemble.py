"""Let two adapters choose every token together, by the mean of their log-probabilities.

python examples/composition/ensemble.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Compare an ensemble with the mix of the same adapters, which adds up their weights instead."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=64, temperature=0.0)
    question = [{"role": "user", "content": "What is 14 + 5 - 6?"}]
    weights = {"math_reasoning": 0.8, "logical_reasoning": 0.2}
    for combine in ("delta", "logits"):
        (answer,) = engine.generate([question], {"parallel": weights, "combine": combine}, params)
        print(f"{combine}: {answer.text!r}")


if __name__ == "__main__":
    main()
