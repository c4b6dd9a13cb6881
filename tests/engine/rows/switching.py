"""What tests of switches share: a row with its log-probabilities, and what PEFT has for the same tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from adaptrix_core.engine import Engine, TokenEvent
from tests.engine.driving import request
from tests.engine.peft_cases import TOLERANCE, Case

Plan = Mapping[int, str | None]
"""Position -> the adapter that it and the later ones are computed under."""


def peft_logits(case: Case, tokens: Sequence[int], plan: Plan) -> Tensor:
    """Logits of a PEFT generation that feeds ``tokens`` and calls `set_adapter` between them, its cache kept."""
    cache, pieces = DynamicCache(config=case.plain.config), []
    with torch.inference_mode():
        for start, stop in pairwise([*sorted(plan), len(tokens)]):
            model: Any = case.plain
            if plan[start] is not None:
                case.peft.set_adapter(plan[start])
                model = case.peft
            output = model(input_ids=torch.tensor([tokens[start:stop]]), past_key_values=cache, use_cache=True)
            pieces.append(output.logits[0])
    return torch.cat(pieces)


def assert_computed_under(case: Case, plan: Plan, prompt: list[int], events: list[TokenEvent], since: int = 0) -> None:
    """Every event's log-probabilities from position ``since`` on are those that PEFT has for the same tokens."""
    tokens = [*prompt, *(event.token_id for event in events if event.token_id is not None)]
    logits = peft_logits(case, tokens, plan)
    expected, scale = logits.log_softmax(-1), float(logits.abs().max())
    compared = [event for event in events if event.position >= since]
    assert len(compared) >= 5
    for event in compared:
        ours = torch.tensor([value for _, value in event.top_logprobs])
        theirs = expected[event.position - 1][[token for token, _ in event.top_logprobs]]
        # Differences of two logits, hence twice the tolerance of one.
        assert float((ours - theirs).abs().max()) < 2 * TOLERANCE * scale, f"position {event.position}"


def start(engine: Engine, prompt: list[int], adapter: str | None, name: str = "switched", max_tokens: int = 14) -> None:
    engine.add(request(name, prompt, engine.resolve_mix(adapter), max_tokens=max_tokens, logprobs=10))


def step(engine: Engine, count: int) -> list[TokenEvent]:
    return [event for _ in range(count) for event in engine.step()]
