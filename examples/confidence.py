"""Answers with their confidence: given where they are sure enough, held back where they are not.

python examples/confidence.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams

QUESTIONS = (
    "What is 27 + 14 - 9?",
    "Solve for x: 6*x + 5 = 41",
    "A taxi costs 4 euros plus 3 euros per kilometre. I paid 25. How far did I ride?",
    "three ants and a crab walk into a bar and leave with seven cows, legs?",
)
AT_LEAST = 0.7


def main() -> None:
    """Ask the math adapter, and give its sure answers only."""
    engine = Engine.from_pretrained()
    prompts = [[{"role": "user", "content": question}] for question in QUESTIONS]
    params = SamplingParams(max_tokens=128, temperature=0.0)
    for question, answer in zip(
        QUESTIONS, engine.generate(prompts, "math_reasoning", params, confidence=True), strict=True
    ):
        print(f"\n{question}")
        if answer.confidence is None:
            print(
                "  (nothing is calibrated for this base model, its layout and this adapter, or the answer was cut off)"
            )
        elif answer.confidence < AT_LEAST:
            print(f"  not sure enough ({answer.confidence:.2f})")
        else:
            print(f"  {answer.text.splitlines()[-1]} ({answer.confidence:.2f})")


if __name__ == "__main__":
    main()
