"""Text in, text out: an engine with a real byte-level tokenizer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.rows.output_form import json_grammar
from adaptrix_core.errors import InvalidRequest
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["red", "blue"]},
    },
    "required": ["name", "count", "kind"],
    "additionalProperties": False,
}


@pytest.fixture
def engine(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> Engine:
    return make_engine(adapters=("red",), tokenizer=tokenizer)


@pytest.fixture
def letters(tokenizer: PreTrainedTokenizerFast) -> dict[int, float]:
    """A bias that leaves tokens of ASCII letters and spaces only: text that can be searched."""
    kept = {i for i in range(len(tokenizer)) if tokenizer.decode([i]).replace(" ", "a").isalpha()}
    kept = {i for i in kept if tokenizer.decode([i]).isascii()}
    return {i: -100.0 for i in range(len(tokenizer)) if i not in kept}


def greedy(bias: dict[int, float], **changes: Any) -> SamplingParams:
    return SamplingParams(**{"max_tokens": 24, "temperature": 0.0, "logit_bias": bias, "ignore_eos": True, **changes})


def test_text_is_the_decoded_output_however_it_was_streamed(engine: Engine, tokenizer: PreTrainedTokenizerFast) -> None:
    params = SamplingParams(max_tokens=30, seed=1, ignore_eos=True)
    for completion in engine.generate(["the fox", "日本", "a"], [None, "red", "red"], params):
        assert completion.text == tokenizer.decode(completion.token_ids, skip_special_tokens=True)


def test_chat_messages_go_through_the_template(engine: Engine, tokenizer: PreTrainedTokenizerFast) -> None:
    messages = [{"role": "user", "content": "the fox"}]
    assert engine.base.info.chat_template == "fallback"
    assert tokenizer.decode(engine.encode(messages)) == "user: the fox\nassistant:"
    [as_chat], [as_text] = (engine.generate([p], None, greedy({})) for p in (messages, "user: the fox\nassistant:"))
    assert as_chat.token_ids == as_text.token_ids
    assert as_chat.num_prompt_tokens == len(tokenizer.encode("user: the fox\nassistant:"))


def test_a_stop_string_across_tokens_ends_the_text_before_it(engine: Engine, tokenizer, letters) -> None:
    [free] = engine.generate(["the"], "red", greedy(letters))
    pieces = [tokenizer.decode([token]) for token in free.token_ids]
    # The first stop string that has its beginning in one token and its end in the next, and not earlier in the text.
    candidates = [pieces[i][-1] + pieces[i + 1][0] for i in range(4, 20)]
    stop, at = next((s, free.text.find(s)) for s in candidates if free.text.find(s) > 3)
    [stopped] = engine.generate(["the"], "red", greedy(letters, stop=("never", stop)))
    assert (stopped.text, stopped.finish_reason) == (free.text[:at], "stop")
    assert stopped.token_ids == free.token_ids[: len(stopped.token_ids)]
    assert len(stopped.token_ids) < len(free.token_ids)


def test_no_event_shows_a_part_of_the_stop_string(engine: Engine, letters) -> None:
    [free] = engine.generate(["the"], None, greedy(letters))
    stop = free.text[8:14]
    engine.add(request("r", engine.encode("the"), **{**vars(greedy(letters)), "stop": (stop,), "grammar": None}))
    shown = "".join(event.text for event in drain(engine))
    assert shown == free.text[: free.text.find(stop)]


def test_held_back_text_is_released_when_the_row_ends_otherwise(engine: Engine, letters) -> None:
    [free] = engine.generate(["the"], None, greedy(letters, max_tokens=10))
    stop = free.text[-3:] + "\x00"
    [completion] = engine.generate(["the"], None, greedy(letters, max_tokens=10, stop=(stop,)))
    assert (completion.text, completion.finish_reason) == (free.text, "length")
    engine.add(request("r", engine.encode("the"), stop=(stop,), max_tokens=20, logit_bias=letters))
    events = [event for _ in range(10) for event in engine.step()]
    assert free.text.startswith("".join(event.text for event in events))
    assert not "".join(event.text for event in events).endswith(free.text[-3:])
    events += engine.abort("r")
    assert "".join(event.text for event in events) == free.text
    assert events[-1].finish_reason == "abort"


def test_the_end_of_text_token_has_no_text(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = make_engine(adapters=(), tokenizer=tokenizer)
    params = SamplingParams(max_tokens=5, temperature=0.0, logit_bias={tokenizer.eos_token_id: 100.0})
    [completion] = engine.generate(["the"], None, params)
    assert completion.token_ids == (tokenizer.eos_token_id,)
    assert (completion.text, completion.finish_reason) == ("", "stop")


# --- grammars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_random_model_under_a_schema_writes_json_that_satisfies_it(engine: Engine, seed: int) -> None:
    params = SamplingParams(max_tokens=None, seed=seed, temperature=1.5, grammar=json_grammar(SCHEMA))
    [completion] = engine.generate(["{"], "red", params)
    value = json.loads(completion.text)
    assert completion.finish_reason == "stop"
    assert sorted(value) == ["count", "kind", "name"]
    assert isinstance(value["count"], int)
    assert 0 <= value["count"] <= 99
    assert len(value["name"]) <= 6
    assert value["kind"] in ("red", "blue")


def test_rows_with_and_without_a_grammar_share_a_batch(engine: Engine) -> None:
    free = SamplingParams(max_tokens=20, seed=3, ignore_eos=True)
    [expected] = engine.generate(["the"], "red", free)
    bound = SamplingParams(max_tokens=None, seed=3, grammar=json_grammar(SCHEMA), n=2)
    engine.add(request("free", engine.encode("the"), engine.resolve_mix("red"), **vars(free)))
    engine.add(request("bound", engine.encode("{"), **vars(bound)))
    texts: dict[tuple[str, int], str] = {}
    for event in drain(engine):
        texts[event.request_id, event.index] = texts.get((event.request_id, event.index), "") + event.text
    assert texts["free", 0] == expected.text
    assert all(sorted(json.loads(texts["bound", i])) == ["count", "kind", "name"] for i in range(2))


def test_any_object_without_a_schema(engine: Engine) -> None:
    closing = engine.encode("}")
    params = SamplingParams(max_tokens=40, seed=1, grammar=json_grammar(None), logit_bias=dict.fromkeys(closing, 20.0))
    [completion] = engine.generate(["{"], None, params)
    assert isinstance(json.loads(completion.text), dict)


def test_a_schema_that_cannot_be_used_is_refused_and_the_next_request_is_served(engine: Engine) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        engine.generate(["{"], None, SamplingParams(max_tokens=9, grammar=json_grammar({"type": "no-such-type"})))
    assert refusal.value.param == "grammar"
    assert engine.generate(["the"], None, SamplingParams(max_tokens=3))[0].finish_reason in ("length", "stop")


def test_a_grammar_needs_a_tokenizer(make_engine: MakeEngine) -> None:
    with pytest.raises(InvalidRequest, match="no tokenizer, so no grammar"):
        make_engine(adapters=()).generate([[5, 6]], None, SamplingParams(max_tokens=9, grammar=json_grammar(None)))


def test_choices_of_one_request_follow_the_grammar_independently(engine: Engine) -> None:
    params = SamplingParams(max_tokens=None, seed=7, temperature=1.5, n=3, grammar=json_grammar(SCHEMA))
    completions = engine.generate(["{"], None, params)
    assert len({completion.text for completion in completions}) > 1
    for completion in completions:
        json.loads(completion.text)


def test_a_grammar_that_cannot_be_followed_any_further_ends_its_row_with_an_error(engine: Engine) -> None:
    params = SamplingParams(max_tokens=None, seed=3, grammar=json_grammar(SCHEMA))
    (row,) = engine.add(GenerationRequest("broken", (5, 6), params))
    assert row.constraint is not None
    row.constraint.accept(engine.encode("z")[0])  # not the beginning of any JSON text
    assert row.constraint.failure is not None
    events = []
    while engine.has_work:
        events += engine.step()
    assert events[-1].finish_reason == "error"
    assert events[-1].error
