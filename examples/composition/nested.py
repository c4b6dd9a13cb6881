"""Put compositions inside of a composition: a vote answers the first step, a mix of two adapters the second.

python examples/composition/nested.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams

VOTE = {"parallel": ["math_reasoning"], "combine": "vote", "samples": 3}
MIX = {"parallel": {"math_reasoning": 1.0, "logical_reasoning": 0.1}}


def main() -> None:
    """Answer a question of two steps; the second one is asked with the answer that won the vote on the first."""
    engine = Engine.from_pretrained("smollm2-135m")
    question = "How many legs do 3 dogs have? Then add 5 to the result."
    composition = {"sequential": [VOTE, MIX], "plan": "auto"}
    params = SamplingParams(max_tokens=96, temperature=0.8, seed=1)
    (answer,) = engine.generate([[{"role": "user", "content": question}]], composition, params)
    for number, step in enumerate(answer.made_of):
        print(f"step {number}: {step.text!r}, of {len(step.made_of) or 1} that answered")


if __name__ == "__main__":
    main()
