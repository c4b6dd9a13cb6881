"""Compositions streamed by an engine on its own thread: as `Engine.stream` tells them, beside other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import EngineLoop, SamplingParams, TokenEvent
from adaptrix_core.errors import AdapterNotFound
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import request
from tests.tiny_models import random_prompts

DEADLINE_S = 120
PARAMS = SamplingParams(max_tokens=6, temperature=1.0, seed=3, ignore_eos=True)
VOTE = {"parallel": [{"part": "red", "weight": 0.7}, None], "combine": "vote", "samples": 2}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "mix": {"parallel": {"red": 0.5, "blue": 0.5}},
    "logits": {"parallel": ["red", "blue"], "combine": "logits"},
    "vote": VOTE,
    "sequence": {"sequential": ["red", VOTE, "blue"], "plan": ["the fox", "lazy {0} and", "{1} dog"]},
}


@pytest.fixture
def loop(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> Iterator[EngineLoop]:
    running = EngineLoop(make_engine(tokenizer=tokenizer))
    running.start()
    yield running
    running.stop()


async def read(loop: EngineLoop, composition: dict[str, Any]) -> list[TokenEvent]:
    return [event async for event in loop.stream("the fox", composition, PARAMS)]


def told(events: list[TokenEvent]) -> list[tuple[object, ...]]:
    return [
        (one.index, one.token_id, one.text, one.step, one.is_inner, one.other_tokens, one.finish_reason, one.mix)
        for one in events
    ]


async def test_each_is_told_as_by_the_engine_itself_while_other_requests_run(loop: EngineLoop) -> None:
    expected = {
        name: await loop.call(lambda engine, one=one: list(engine.stream("the fox", one, PARAMS)))
        for name, one in COMPOSITIONS.items()
    }
    prompt = random_prompts([9])[0]
    other = request("other", prompt, max_tokens=40)

    async def beside() -> list[TokenEvent]:
        return [event async for event in loop.generate(other)]

    streams = [read(loop, composition) for composition in COMPOSITIONS.values()]
    *answers, whole = await asyncio.wait_for(asyncio.gather(*streams, beside()), DEADLINE_S)
    assert [told(answer) for answer in answers] == [told(events) for events in expected.values()]
    assert [event.token_id for event in whole if event.token_id is not None] == list(
        (await loop.call(lambda engine: engine.generate([prompt], None, other.params)))[0].token_ids
    )
    assert await loop.call(idle_faults) == []


async def test_an_earlier_step_is_marked_and_a_vote_counts_the_answers_that_lost(loop: EngineLoop) -> None:
    events = await read(loop, COMPOSITIONS["sequence"])
    assert [(event.step, event.is_inner) for event in events] == [(0, True)] * 6 + [(1, True)] * 6 + [(2, False)] * 6
    assert [event.other_tokens for event in events if event.finish_reason] == [0, 3 * 6, 0]
    blue = await loop.resolve_mix("blue")
    assert events[-1].mix == blue


async def test_leaving_early_ends_the_step_that_runs(loop: EngineLoop) -> None:
    async with aclosing(loop.stream("the fox", COMPOSITIONS["sequence"], PARAMS)) as events:
        await anext(events)
    assert await loop.call(lambda engine: engine.stats()["rows"]) == {"running": 0, "waiting": 0}
    assert await loop.call(idle_faults) == []


async def test_an_unknown_part_is_refused_before_anything_is_computed(loop: EngineLoop) -> None:
    with pytest.raises(AdapterNotFound, match="gren"):
        await read(loop, {"sequential": ["red", "gren"], "plan": ["a", "b"]})
    assert await loop.call(lambda engine: engine.num_steps) == 0
