"""Give each adapter layers of its own, or let a gate say for every token, at every layer, how much each counts.

python examples/composition/layers.py
"""

from __future__ import annotations

from typing import Any

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Compare an adapter on all its layers with the same one on some of them, with another above it, and by a gate."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=64, temperature=0.0)
    question = [{"role": "user", "content": "What is 14 + 5 - 6?"}]
    late = {"adapter": "logical_reasoning", "layers": "late"}
    compositions: dict[str, dict[str, Any]] = {
        "all layers": {"parallel": ["math_reasoning"]},
        "up to layer 14": {"hierarchical": [{"adapter": "math_reasoning", "layers": [0, 15]}]},
        "with logic above": {"hierarchical": [{"adapter": "math_reasoning", "layers": [0, 19]}, late]},
        "by a gate": {"parallel": ["math_reasoning", "logical_reasoning"], "combine": "gate", "top_k": 1},
    }
    for name, composition in compositions.items():
        (answer,) = engine.generate([question], composition, params)
        print(f"{name}: {answer.text!r}")


if __name__ == "__main__":
    main()
