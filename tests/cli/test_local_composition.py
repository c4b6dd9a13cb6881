"""A composition asked of the local engine: its text comes as it is generated, whatever else is asked meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from adaptrix_core.cli.local import LocalTarget
from adaptrix_core.cli.output import Output
from adaptrix_core.cli.target import TargetRequest
from adaptrix_core.config import load_settings
from tests.serving.tiny import World

DEADLINE_S = 120
MESSAGES = [{"role": "user", "content": "What is 17 + 25?"}]
PARTS = ["math_reasoning", "code_generation"]
STEPS = {"sequential": PARTS, "plan": ["What is 17 + 25?", "Write {0}."]}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "mix": {"parallel": PARTS},
    "logits": {"parallel": PARTS, "combine": "logits"},
    "sequence": STEPS,
}


def asking(**fields: Any) -> TargetRequest:
    return TargetRequest(messages=MESSAGES, **{"model": "base", "max_tokens": 16, "temperature": 0, **fields})


@pytest_asyncio.fixture
async def target(world: World) -> AsyncIterator[LocalTarget]:
    async with LocalTarget(load_settings(world.settings()), Output(as_json=True)) as opened:
        yield opened


@pytest.mark.parametrize("kind", COMPOSITIONS)
async def test_its_text_is_told_piece_by_piece_without_that_of_earlier_steps(target: LocalTarget, kind: str) -> None:
    pieces: list[str] = []
    answer = await target.chat(asking(compose=COMPOSITIONS[kind], ignore_eos=True), pieces.append)
    assert len(pieces) > 1
    assert "".join(pieces) == answer.text
    assert [step["adapter"] for step in answer.steps] == (PARTS[:1] if kind == "sequence" else [])
    assert answer.first_token_s is not None
    assert 0 < answer.first_token_s < answer.duration_s, "the first token came before the last"


async def test_a_vote_is_told_at_once_and_counts_every_answer(target: LocalTarget) -> None:
    pieces: list[str] = []
    vote = {"parallel": PARTS, "combine": "vote", "samples": 2}
    answer = await target.chat(asking(compose=vote, ignore_eos=True), pieces.append)
    assert "".join(pieces) == answer.text
    assert answer.num_completion_tokens == 4 * 16


async def test_others_that_are_asked_meanwhile_are_answered_as_alone(target: LocalTarget) -> None:
    requests = [asking(compose=STEPS), asking(model="math_reasoning", max_tokens=40), asking(compose=STEPS, seed=5)]
    alone = [(await target.chat(request)).text for request in requests]
    together = await asyncio.wait_for(asyncio.gather(*map(target.chat, requests)), DEADLINE_S)
    assert [answer.text for answer in together] == alone
