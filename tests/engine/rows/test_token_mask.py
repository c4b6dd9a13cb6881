"""Where an answer ends and what it may not hold: minimum lengths, stop tokens, bad words, allowed tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import Completion, Engine, SamplingParams
from adaptrix_core.errors import InvalidRequest
from tests.engine.conftest import MakeEngine

GREEDY = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
CHANCE = SamplingParams(max_tokens=40, temperature=2.0, seed=5, ignore_eos=True)


@pytest.fixture
def engine(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> Engine:
    return make_engine(tokenizer=tokenizer)


def answer(engine: Engine, params: SamplingParams, **fields: Any) -> Completion:
    """An answer of ASCII letters and spaces, which can be searched, unless ``fields`` have biases of their own."""
    assert engine.base.tokenizer is not None
    texts = [engine.base.tokenizer.decode([token]) for token in range(len(engine.base.tokenizer))]
    others = [token for token, text in enumerate(texts) if not text.isascii() or not text.replace(" ", "a").isalpha()]
    letters = dict.fromkeys(others, -100.0)
    [completion] = engine.generate(["the"], "red", replace(params, **{"logit_bias": letters, **fields}))
    return completion


def test_a_stop_token_ends_the_answer_and_is_named(engine: Engine) -> None:
    free = answer(engine, GREEDY)
    stop = free.token_ids[5]
    at = free.token_ids.index(stop)
    stopped = answer(engine, GREEDY, stop_token_ids=(stop,))
    assert (stopped.finish_reason, stopped.stop_reason) == ("stop", stop)
    assert stopped.token_ids == free.token_ids[: at + 1]
    assert free.text.startswith(stopped.text)
    shown = answer(engine, GREEDY, stop_token_ids=(stop,), include_stop_str_in_output=True)
    assert shown.text == answer(engine, GREEDY, max_tokens=at + 1).text


def test_nothing_ends_an_answer_before_its_minimum(engine: Engine) -> None:
    free = answer(engine, GREEDY)
    stop = free.token_ids[0]
    at_once = answer(engine, GREEDY, stop_token_ids=(stop,))
    assert len(at_once.token_ids) == 1
    later = answer(engine, GREEDY, stop_token_ids=(stop,), min_tokens=6)
    assert len(later.token_ids) >= 6
    assert stop not in later.token_ids[:6]


def test_the_models_own_end_waits_for_the_minimum(engine: Engine) -> None:
    likely_end = {next(iter(engine.base.eos_token_ids)): 100.0}
    ended = answer(engine, GREEDY, ignore_eos=False, logit_bias=likely_end)
    assert (len(ended.token_ids), ended.finish_reason, ended.stop_reason) == (1, "stop", None)
    assert len(answer(engine, GREEDY, ignore_eos=False, logit_bias=likely_end, min_tokens=7).token_ids) == 8


def test_stop_strings_are_not_looked_for_before_the_minimum(engine: Engine) -> None:
    free = answer(engine, GREEDY)
    first = free.text[0]
    assert answer(engine, GREEDY, stop=(first,)).text == ""
    later = answer(engine, GREEDY, stop=(first,), min_tokens=len(free.token_ids))
    assert later.text == free.text


def test_a_stop_string_is_named_and_shown_where_asked_for(engine: Engine) -> None:
    free = answer(engine, GREEDY)
    stop = free.text[3:5]
    at = free.text.index(stop)
    hidden, shown = (answer(engine, GREEDY, stop=(stop,), include_stop_str_in_output=show) for show in (False, True))
    assert (hidden.text, shown.text) == (free.text[:at], free.text[: at + 2])
    assert hidden.stop_reason == shown.stop_reason == stop


def test_only_allowed_tokens_are_chosen(engine: Engine) -> None:
    allowed = (11, 40, 77)
    for params in (GREEDY, CHANCE):
        assert set(answer(engine, params, allowed_token_ids=allowed).token_ids) <= set(allowed)


def sequences(completion: Completion, length: int) -> list[tuple[int, ...]]:
    """All runs of so many tokens."""
    tokens = completion.token_ids
    return [tokens[start : start + length] for start in range(len(tokens) - length + 1)]


@pytest.mark.parametrize("length", [1, 2])
def test_the_tokens_of_bad_words_are_not_chosen_and_all_others_may_be(engine: Engine, length: int) -> None:
    tokenizer = engine.base.tokenizer
    assert tokenizer is not None
    free = answer(engine, CHANCE)
    banned = next(run for run in sequences(free, length) if tuple(tokenizer.encode(tokenizer.decode(run))) == run)
    word = str(tokenizer.decode(banned))
    assert banned not in sequences(answer(engine, CHANCE, bad_words=(word,)), length)
    if length == 2:
        assert set(banned) & set(answer(engine, CHANCE, bad_words=(word,)).token_ids), "each alone may be chosen"
    assert answer(engine, CHANCE, bad_words=("{}",)).token_ids == free.token_ids


def test_special_tokens_are_shown_where_asked_for(engine: Engine) -> None:
    end = next(iter(engine.base.eos_token_ids))
    likely_end = {end: 100.0}
    hidden, shown = (answer(engine, GREEDY, logit_bias=likely_end, skip_special_tokens=skip) for skip in (True, False))
    assert hidden.token_ids == shown.token_ids == (end,) * 12
    assert hidden.text == ""
    assert engine.base.tokenizer is not None
    assert shown.text == engine.base.tokenizer.decode([end] * 12)


def test_where_nothing_is_left_to_choose_the_row_ends_alone(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="no token is left to choose"):
        answer(engine, GREEDY, allowed_token_ids=(9,), stop_token_ids=(9,), min_tokens=3)
    assert len(answer(engine, GREEDY).token_ids) == 12


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_tokens": 13}, "min_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"allowed_token_ids": ()}, "allowed_token_ids"),
        ({"allowed_token_ids": (10**6,)}, "allowed_token_ids"),
        ({"stop_token_ids": (10**6,)}, "stop_token_ids"),
        ({"stop_token_ids": (1,) * 257}, "stop_token_ids"),
        ({"bad_words": "word"}, "bad_words"),
        ({"bad_words": ("",)}, "bad_words"),
        ({"bad_words": ("x",) * 65}, "bad_words"),
    ],
)
def test_what_cannot_be_is_refused_by_name(engine: Engine, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        answer(engine, GREEDY, **fields)
    assert refused.value.param == param


def test_the_words_of_a_request_are_encoded_once_for_all_its_rows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = engine.base.tokenizer
    assert tokenizer is not None
    encoded: list[str] = []
    encode = tokenizer.encode
    monkeypatch.setattr(tokenizer, "encode", lambda text, **how: encoded.append(text) or encode(text, **how))
    engine.generate([[5, 6]], None, replace(GREEDY, n=4, bad_words=("the",)))
    assert encoded == ["the", " the"]


def test_bad_words_need_a_tokenizer(make_engine: MakeEngine) -> None:
    with pytest.raises(InvalidRequest, match="no tokenizer"):
        make_engine(adapters=()).generate([[5, 6]], None, replace(GREEDY, bad_words=("x",)))
