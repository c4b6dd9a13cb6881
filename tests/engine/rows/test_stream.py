"""`Engine.stream`: tokens as they come, an adapter changed in mid-answer, and logits of text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import constant
from tests.tiny_models import random_prompts

MakeEngine = Callable[..., Engine]
PROMPT = random_prompts([6])[0]
PARAMS = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)


def test_a_stream_is_what_generate_returns_token_by_token(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [whole] = engine.generate([PROMPT], "red", PARAMS)
    events = list(engine.stream(PROMPT, "red", PARAMS))
    assert tuple(event.token_id for event in events) == whole.token_ids
    assert [event.finish_reason for event in events] == [None] * 11 + ["length"]


def test_streams_and_whole_answers_may_be_read_in_turns(make_engine: MakeEngine) -> None:
    engine = make_engine()
    red, blue, base = engine.generate([PROMPT] * 3, ["red", "blue", None], PARAMS)
    streams = [engine.stream(PROMPT, name, PARAMS) for name in ("red", "blue")]
    begun = [[next(stream).token_id] for stream in streams]
    assert engine.generate([PROMPT], None, PARAMS)[0].token_ids == base.token_ids
    for tokens, stream, whole in zip(begun, streams, (red, blue), strict=True):
        assert (*tokens, *(event.token_id for event in stream)) == whole.token_ids


@pytest.mark.parametrize("after", [1, 5])
def test_an_adapter_changed_between_two_tokens_computes_the_coming_ones(make_engine: MakeEngine, after: int) -> None:
    engine = make_engine()
    red, blue = engine.resolve_mix("red"), engine.resolve_mix("blue")
    tokens = []
    for event in engine.stream(PROMPT, "red", PARAMS):
        tokens.append(event.token_id)
        if len(tokens) == after:
            engine.switch(event.request_id, "blue")
    # The last token before the switch is the first that is computed under the other adapter.
    plan = ((0, red), (len(PROMPT) + after - 1, blue))
    assert tokens == drained(engine, GenerationRequest("planned", tuple(PROMPT), PARAMS, (plan,)))
    assert tokens[:after] == drained(engine, GenerationRequest("red", tuple(PROMPT), PARAMS, (constant(red),)))[:after]


def drained(engine: Engine, request: GenerationRequest) -> list[int | None]:
    engine.add(request)
    events = []
    while engine.has_work:
        events += engine.step()
    return [event.token_id for event in events]


def test_leaving_a_stream_ends_its_request(make_engine: MakeEngine) -> None:
    engine = make_engine()
    stream = engine.stream(PROMPT, "red", PARAMS)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not engine.has_work


def test_logits_take_text_and_messages(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = make_engine(tokenizer=tokenizer)
    messages = [{"role": "user", "content": "the fox"}]
    of_text, of_messages = engine.logits(["the fox", messages], "red")
    by_tokens = engine.logits([engine.encode("the fox"), engine.encode(messages)], "red")
    assert torch.equal(of_text, by_tokens[0])
    assert torch.equal(of_messages, by_tokens[1])
    with pytest.raises(InvalidRequest, match="give a list"):
        engine.logits("the fox")
