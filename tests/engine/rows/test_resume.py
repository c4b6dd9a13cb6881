"""A row that begins with what another engine generated goes on as if it had never moved: same events from there on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.request import RowProgress
from adaptrix_core.engine.rows.output_form import json_grammar
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import constant
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request
from tests.tiny_models import byte_tokenizer

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "count": {"type": "integer", "maximum": 9999}},
    "required": ["name", "count"],
    "additionalProperties": False,
}

CASES: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0, "logprobs": 2},
    "sampled": {"seed": 11, "temperature": 1.2, "top_p": 0.9},
    "penalties": {"seed": 4, "presence_penalty": 1.5, "frequency_penalty": 0.7, "repetition_penalty": 1.3},
    "choices": {"seed": 5, "n": 3},
    "grammar": {"seed": 3, "temperature": 1.5, "grammar": json_grammar(SCHEMA), "ignore_eos": False},
    "grammar-choices": {"seed": 7, "n": 2, "temperature": 1.5, "grammar": json_grammar(SCHEMA), "ignore_eos": False},
}


@pytest.fixture
def engines(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> Callable[[], Engine]:
    """Engines that are alike in all but their past."""
    return lambda: make_engine(tokenizer=tokenizer, cut=2)


def asked(engine: Engine, *adapters: str | None, prompt: str = "the fox", **params: Any) -> GenerationRequest:
    mixes = tuple(constant(engine.resolve_mix(adapter)) for adapter in adapters or (None,))
    params = {"max_tokens": 20, "ignore_eos": True, **params}
    return GenerationRequest("r", engine.encode(prompt), SamplingParams(**params), mixes)


def until(events: Sequence[TokenEvent], cut: dict[int, int], rows: int) -> tuple[RowProgress, ...]:
    """What had come of each row after ``cut[row]`` of its events."""
    shown = [[event for event in events if event.index == row][: cut[row]] for row in range(rows)]
    return tuple(
        RowProgress(
            tuple(event.token_id for event in past if event.token_id is not None),
            bool(past) and past[-1].finish_reason is not None,
        )
        for past in shown
    )


def assert_goes_on(engine: Engine, whole: GenerationRequest, events: list[TokenEvent], cut: dict[int, int]) -> None:
    """The events of ``engine`` from the cut on are those of the undisturbed run."""
    rows = len(whole.schedules) * whole.params.n
    engine.add(replace(whole, resume=until(events, cut, rows)))
    rest = drain(engine)
    for row in range(rows):
        expected = [event for event in events if event.index == row][cut[row] :]
        actual = [event for event in rest if event.index == row]
        assert [shown(event) for event in actual] == [shown(event) for event in expected]
        for one, other in zip(actual, expected, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
            assert [token for token, _ in one.top_logprobs] == [token for token, _ in other.top_logprobs]


def shown(event: TokenEvent) -> tuple[Any, ...]:
    return (event.token_id, event.position, event.text, event.finish_reason, event.error, event.num_prompt_tokens)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("adapters", [(None,), ("red",), ("red", None, "blue")], ids=["base", "adapter", "fork"])
def test_the_rest_is_that_of_an_undisturbed_run(
    engines: Callable[[], Engine], case: str, adapters: tuple[str | None, ...]
) -> None:
    first, second = engines(), engines()
    whole = asked(first, *adapters, **CASES[case])
    first.add(whole)
    events = drain(first)
    rows = len(whole.schedules) * whole.params.n
    lengths = [sum(event.index == row for event in events) for row in range(rows)]
    shortest = min(lengths)
    for cut in (1, 2, shortest // 2, shortest - 1):
        assert_goes_on(second, whole, events, dict.fromkeys(range(rows), cut))
    if rows > 1:  # rows in different places, one not begun and one ended
        uneven = {row: 3 + row % 5 for row in range(rows)}
        assert_goes_on(second, whole, events, {**uneven, 0: lengths[0], rows - 1: 0})


def test_nothing_generated_yet_is_a_run_from_the_start(engines: Callable[[], Engine]) -> None:
    first, second = engines(), engines()
    whole = asked(first, "red", seed=2)
    first.add(whole)
    assert_goes_on(second, whole, drain(first), {0: 0})


def test_a_character_in_pieces_comes_whole(engines: Callable[[], Engine], tokenizer: PreTrainedTokenizerFast) -> None:
    first, second = engines(), engines()
    emoji = [token for token in tokenizer.encode("😀é") if tokenizer.decode([token]) == "\ufffd"]
    whole = asked(first, seed=1, logit_bias=dict.fromkeys(emoji, 100.0))
    first.add(whole)
    events = drain(first)
    assert any(event.text == "" for event in events)
    for cut in range(1, len(events)):
        assert_goes_on(second, whole, events, {0: cut})


def test_a_stop_string_across_the_cut_is_found_and_no_part_of_it_shown(
    engines: Callable[[], Engine], tokenizer: PreTrainedTokenizerFast
) -> None:
    first, second = engines(), engines()
    letters = [i for i in range(len(tokenizer)) if tokenizer.decode([i]).isascii() and tokenizer.decode([i]).isalpha()]
    bias = {i: -100.0 for i in range(len(tokenizer)) if i not in letters}
    [free] = first.generate(["the"], None, SamplingParams(max_tokens=16, temperature=0.0, logit_bias=bias))
    whole = asked(first, prompt="the", temperature=0.0, logit_bias=bias, stop=(free.text[9:15],))
    first.add(whole)
    events = drain(first)
    assert events[-1].finish_reason == "stop"
    assert any(event.text == "" for event in events)
    for cut in range(1, len(events)):
        assert_goes_on(second, whole, events, {0: cut})


@pytest.mark.parametrize("switch_at", [2, 6])
def test_tokens_are_computed_under_the_mix_at_their_positions(engines: Callable[[], Engine], switch_at: int) -> None:
    first, second = engines(), engines()
    whole = asked(first, temperature=0.0)
    red, blue = (first.resolve_mix(name) for name in ("red", "blue"))
    start = len(whole.prompt_token_ids)
    whole = replace(whole, schedules=(((0, red), (start + switch_at, blue)),))
    first.add(whole)
    events = drain(first)
    for cut in (1, 4, 9):
        assert_goes_on(second, whole, events, {0: cut})


def test_it_goes_on_among_other_rows_and_through_preemptions(make_engine: MakeEngine) -> None:
    tokenizer = byte_tokenizer()
    first = make_engine(tokenizer=tokenizer)
    whole = asked(first, "red", temperature=0.0)
    first.add(whole)
    events = drain(first)
    small = make_engine(tokenizer=tokenizer, kv_cache_tokens=64)
    for number in range(3):
        small.add(request(f"other-{number}", [5 + number, 6], max_tokens=30, priority=-1))
    small.add(replace(whole, resume=until(events, {0: 8}, 1)))
    rest = [event for event in drain(small) if event.request_id == "r"]
    assert [shown(event) for event in rest] == [shown(event) for event in events[8:]]
    assert small.stats()["preemptions"] > 0


@pytest.mark.parametrize(
    ("resume", "params", "message"),
    [
        ((RowProgress((9,) * 4),), {"max_tokens": 4}, "4 tokens already and may have 4"),
        ((RowProgress((9,)), RowProgress((9,))), {}, r"2 entries; .* the 1 rows"),
        ((RowProgress((9,), is_finished=True),), {}, "every row has ended"),
        ((RowProgress((10**6,)),), {}, "not in the vocabulary"),
        ((RowProgress((9,)),), {"grammar": json_grammar(SCHEMA)}, "grammar allows nothing further"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    engines: Callable[[], Engine], resume: tuple[RowProgress, ...], params: dict[str, Any], message: str
) -> None:
    engine = engines()
    with pytest.raises(InvalidRequest, match=message):
        engine.add(replace(asked(engine, **params), resume=resume))
    assert not engine.has_work


def test_a_text_that_holds_a_stop_string_is_refused(
    engines: Callable[[], Engine], tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = engines()
    past = RowProgress(tuple(tokenizer.encode("the stop comes")))
    with pytest.raises(InvalidRequest, match="holds a stop string"):
        engine.add(replace(asked(engine, stop=("stop",)), resume=(past,)))
    assert not engine.has_work
