"""Recall in answers: what the base model says when it is asked for a fact that it was told sixty turns ago."""

from __future__ import annotations

from collections.abc import Mapping

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.context.memory.relevance import Relevance
from benchmarks.memory.conversations import conversations
from benchmarks.memory.recall import base_tokenizer, held, share

SYSTEM = "You are a helpful assistant. The user told you facts about themselves; use them."
ANSWER_TOKENS = 24
AT_ONCE = 8
"""Prompts of one batch."""


def run_answers(memories: Mapping[str, Relevance | None], count: int, budget: int, between: int) -> dict[str, object]:
    """The share of right answers under each memory, with the base model and greedy decoding."""
    engine = Engine.from_pretrained("smollm2-135m")
    tokenize = base_tokenizer()
    params = SamplingParams(max_tokens=ANSWER_TOKENS, temperature=0.0)
    told = list(conversations(count, between))
    print(f"{count} conversations, {between} turns between, budget {budget} tokens; ± is one standard error")
    result: dict[str, object] = {}
    for name, relevance in memories.items():
        right: list[bool] = []
        for start in range(0, count, AT_ONCE):
            some = told[start : start + AT_ONCE]
            prompts = []
            for one in some:
                last = held(one, one.asked, budget, relevance, tokenize)
                prompts.append([{"role": "system", "content": SYSTEM}, *last.prompt.messages(last.last.kept)])
            answers = engine.generate(prompts, None, params)
            right += [one.value.casefold() in answer.text.casefold() for one, answer in zip(some, answers, strict=True)]
        rate, error = share(right)
        print(f"{name:16} {rate:6.1%} ±{error:5.1%} right", flush=True)
        result[name] = (rate, error)
    return {"count": count, "budget": budget, "between": between, "rows": result}
