"""Ask adapters one after another; the answer of the first step goes into the question of the second.

python examples/composition/sequence.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Answer a question of two steps: by a plan of one's own, then by the planner's."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=96, temperature=0.0)
    question = "How many legs do 3 dogs have? Then add 5 to the result."
    own = ["How many legs do 3 dogs have?", "What is {0} + 5?"]
    for plan in (own, "auto"):
        composition = {"sequential": ["math_reasoning", "math_reasoning"], "plan": plan}
        (answer,) = engine.generate([[{"role": "user", "content": question}]], composition, params)
        for number, step in enumerate(answer.made_of):
            print(f"step {number}: {step.text!r}")


if __name__ == "__main__":
    main()
