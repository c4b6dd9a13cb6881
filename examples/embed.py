"""Use the engine inside your own Python program: no server, one batch, every prompt under its own adapter.

python examples/embed.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams


def main() -> None:
    """Answer one question three times in one running batch: base model, one adapter, a mix of two."""
    engine = Engine.from_pretrained("smollm2-135m")
    question = [{"role": "user", "content": "What is 14 + 5 - 6?"}]
    choices = (None, "math_reasoning", {"math_reasoning": 0.7, "logical_reasoning": 0.3})
    answers = engine.generate([question] * len(choices), adapters=choices, params=SamplingParams(max_tokens=64))
    for choice, answer in zip(choices, answers, strict=True):
        print(f"{choice or 'base'}: {answer.text!r} ({answer.finish_reason}, {len(answer.token_ids)} tokens)")


if __name__ == "__main__":
    main()
