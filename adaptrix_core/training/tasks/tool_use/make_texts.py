"""Writes the base model's own answers to the plain questions: ``python -m …tool_use.make_texts FILE``.

Each question is asked twice, greedily and with a temperature. An answer that is cut by its length ends after its last
sentence; one without a whole sentence is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.training.tasks.tool_use.drawing import Text
from adaptrix_core.training.tasks.tool_use.texts import plain_questions

SYSTEM = "You are a helpful assistant. Be brief."
TEMPERATURES = (0.0, 0.7)
MAX_TOKENS = 70
TOGETHER = 16
"""Questions asked at a time."""
SHORTEST_CUT = 20
"""Characters before the last full stop of a cut answer, at least."""


def answered(engine: Engine) -> list[Text]:
    """Every question with the engine's answers, without repetition."""
    texts: list[Text] = []
    for seed, temperature in enumerate(TEMPERATURES):
        params = SamplingParams(max_tokens=MAX_TOKENS, temperature=temperature, seed=seed)
        texts.extend(_answers(engine, params))
    return list(dict.fromkeys(texts))


def _answers(engine: Engine, params: SamplingParams) -> Iterator[Text]:
    questions = plain_questions()
    for start in range(0, len(questions), TOGETHER):
        asked = questions[start : start + TOGETHER]
        prompts = [[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}] for question in asked]
        for question, completion in zip(asked, engine.generate(prompts, params=params), strict=True):
            answer = completion.text.strip()
            if completion.finish_reason != "stop":
                answer = whole_sentences(answer)
            if answer:
                yield question, answer


def whole_sentences(text: str) -> str:
    """A text up to its last full stop or exclamation mark; empty where that comes too early."""
    end = max(text.rfind(". "), text.rfind("! "), text.rfind(".\n"))
    return text[: end + 1] if end > SHORTEST_CUT else ""


if __name__ == "__main__":
    rows = [json.dumps(text, ensure_ascii=False) for text in answered(Engine.from_pretrained("smollm2-135m"))]
    Path(sys.argv[1]).write_text("\n".join(rows) + "\n", encoding="utf-8")
