"""Change the adapter in the middle of an answer where a condition holds: at a marker, or where tokens are unsure.

python examples/condition.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Begin without an adapter; the arithmetic adapter takes over at a marker, or where the base is unsure."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=48, temperature=0.0)
    question = [{"role": "user", "content": "What is 12 + 30 - 5?"}]
    for condition in ({"marker": "="}, {"confidence_below": 0.9, "over": 2}):
        composition = {"conditional": [{"if": condition, "then": "math_reasoning"}], "else": None}
        pieces = []
        for event in engine.stream(question, composition, params):
            pieces.append(event.text + ("|" if event.switched_to is not None else ""))
        print(f"{condition}: {''.join(pieces)}")


if __name__ == "__main__":
    main()
