"""Let conditions choose the adapter: what the question is about, a marker in the answer, or tokens that are unsure.

python examples/composition/condition.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams

PARAMS = SamplingParams(max_tokens=48, temperature=0.0)


def main() -> None:
    """Let each question say who answers it, then change who answers in the middle of an answer."""
    engine = Engine.from_pretrained("smollm2-135m")
    begin_by_question(engine)
    change_in_mid_answer(engine)


def begin_by_question(engine: Engine) -> None:
    """Answer questions by whom they are for, as the base model itself reads them; it answers what is for nobody."""
    names = ("math_reasoning", "code_generation")
    composition = {"conditional": [{"if": {"about": name}, "then": name} for name in names], "else": None}
    questions = ("What is 12 + 30 - 5?", "Write a Python function that doubles a number.", "Name a famous painter.")
    prompts = [[{"role": "user", "content": question}] for question in questions]
    for question, answer in zip(questions, engine.generate(prompts, composition, PARAMS), strict=True):
        who = next((name for name in names if answer.mix == engine.resolve_mix(name)), "base")
        print(f"{question} {who}: {answer.text!r}")


def change_in_mid_answer(engine: Engine) -> None:
    """Begin without an adapter; the arithmetic adapter takes over at a marker, or where the base is unsure."""
    question = [{"role": "user", "content": "What is 12 + 30 - 5?"}]
    for condition in ({"marker": "="}, {"confidence_below": 0.9, "over": 2}):
        composition = {"conditional": [{"if": condition, "then": "math_reasoning"}], "else": None}
        pieces = []
        for event in engine.stream(question, composition, PARAMS):
            pieces.append(event.text + ("|" if event.switched_to is not None else ""))
        print(f"{condition}: {''.join(pieces)}")


if __name__ == "__main__":
    main()
