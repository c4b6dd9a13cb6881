"""Change the adapter in the middle of an answer, and look at what each would say next.

python examples/switch.py
"""

from __future__ import annotations

from adaptrix_core import Engine, SamplingParams

QUESTION = [{"role": "user", "content": "What is 12 + 30 - 5?"}]
SWITCH_AFTER = 3
"""Tokens that the base model writes before the arithmetic adapter takes over."""


def main() -> None:
    """Begin an answer without an adapter, finish it under one; then compare their logits of the question."""
    engine = Engine.from_pretrained("smollm2-135m")
    params = SamplingParams(max_tokens=48, temperature=0.0)
    pieces: list[str] = []
    for number, event in enumerate(engine.stream(QUESTION, None, params), start=1):
        pieces.append(event.text)
        if number == SWITCH_AFTER:
            # The past stays as it was computed; history="recompute" would compute it again under the adapter.
            engine.switch(event.request_id, "math_reasoning", history="keep")
            pieces.append("|")
    print("base | math_reasoning:", "".join(pieces))

    base, math = engine.logits([QUESTION, QUESTION], adapters=[None, "math_reasoning"])
    for name, logits in (("base", base), ("math_reasoning", math)):
        likeliest = engine.base.require_tokenizer().decode(logits[-1].topk(5).indices[:, None])
        print(f"{name} would begin with one of: {likeliest}")


if __name__ == "__main__":
    main()
