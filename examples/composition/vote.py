"""Let several adapters and samples answer one question, and take the answer that most of them come to.

python examples/composition/vote.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Vote over samples of one adapter; what each of them said stands in ``made_of``."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=96, temperature=0.8, seed=1)
    question = [{"role": "user", "content": "What is 14 + 5 - 6?"}]
    composition = {"parallel": ["math_reasoning"], "combine": "vote", "samples": 5}
    (answer,) = engine.generate([question], composition, params)
    print("votes:", [one.text.splitlines()[-1] for one in answer.made_of])
    print("winner:", answer.text.splitlines()[-1])


if __name__ == "__main__":
    main()
