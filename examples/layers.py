"""Give each adapter layers of its own: one in the lower part of the model, one in the upper part.

python examples/layers.py
"""

from __future__ import annotations

from typing import Any

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Compare an adapter on all its layers with the same one on some of them, and with another one above it."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=64, temperature=0.0)
    question = [{"role": "user", "content": "What is 14 + 5 - 6?"}]
    late = {"adapter": "logical_reasoning", "layers": "late"}
    compositions: dict[str, dict[str, Any]] = {
        "all layers": {"parallel": ["math_reasoning"]},
        "up to layer 14": {"hierarchical": [{"adapter": "math_reasoning", "layers": [0, 15]}]},
        "with logic above": {"hierarchical": [{"adapter": "math_reasoning", "layers": [0, 19]}, late]},
    }
    for name, composition in compositions.items():
        (answer,) = engine.generate([question], composition, params)
        print(f"{name}: {answer.text!r}")


if __name__ == "__main__":
    main()
