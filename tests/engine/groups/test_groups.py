"""Rows that choose tokens together, and rows that change their mix by themselves, against references made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from adaptrix_core.composition.conditions import ConfidenceBelow, Marker
from adaptrix_core.composition.parts import Switch
from adaptrix_core.engine import Completion, Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.request import RowProgress
from adaptrix_core.errors import AdaptrixError, ContextLengthExceeded, InvalidRequest
from adaptrix_core.injection.mix import constant
from tests.engine.driving import drain, tokens_of
from tests.engine.peft_cases import Case, build_case
from tests.tiny_models import NUM_LAYERS, random_base, random_prompts, random_weights

MakeEngine = Callable[..., Engine]
GREEDY = SamplingParams(max_tokens=10, temperature=0.0, ignore_eos=True, logprobs=2)
PROMPT, OTHER = random_prompts([13, 22], seed=9)
TOLERANCE = 1e-4
TWO: dict[str, Any] = {"parallel": {"everything": 0.75, "patterned": 0.25}, "combine": "logits"}


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """With positions by rotation, learned ones, and windows that are shorter than the prompt."""
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


def mean_logprobs(case: Case, tokens: list[int], shares: dict[str | None, float]) -> torch.Tensor:
    """By hand: the weighted mean of PEFT's log-probabilities for the next token, made a distribution again."""
    each = [share * case.peft_logits(tokens, name)[-1].log_softmax(-1) for name, share in shares.items()]
    return torch.stack(each).sum(0).log_softmax(-1)


def test_an_ensemble_chooses_by_the_mean_of_separately_computed_log_probabilities(case: Case) -> None:
    (answer,) = case.engine.generate([PROMPT], TWO, GREEDY)
    assert answer.logprobs is not None
    assert answer.top_logprobs is not None
    text = list(PROMPT)
    for token, logprob, top in zip(answer.token_ids, answer.logprobs, answer.top_logprobs, strict=True):
        expected = mean_logprobs(case, text, {"everything": 0.75, "patterned": 0.25})
        assert abs(float(expected[token]) - logprob) < TOLERANCE
        assert expected.argmax() == token or top[0][1] - top[1][1] < TOLERANCE
        text.append(token)
    assert len(answer.token_ids) == 10
    assert case.engine.check_integrity() == []


@pytest.mark.parametrize("options", [{}, {"max_rows": 3}, {"kv_cache_tokens": 72}, {"max_batch_tokens": 5}])
def test_ensembles_beside_other_rows_answer_as_alone(make_engine: MakeEngine, options: dict[str, int]) -> None:
    engine = make_engine(**{"mixed_prefill_tokens": 64, **options})
    both: dict[str, Any] = {"parallel": ["red", None, "blue"], "combine": "logits"}
    params = SamplingParams(max_tokens=6, temperature=1.0, seed=4, ignore_eos=True)
    choices: list[Any] = [both, "red", both, None]
    prompts = [PROMPT, OTHER[:9], OTHER[:11], PROMPT]
    alone = [engine.generate([prompt], choice, params)[0] for prompt, choice in zip(prompts, choices, strict=True)]
    together = engine.generate(prompts, choices, params)
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]


def test_ensembles_of_a_full_cache_take_turns_and_none_waits_for_ever(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=64, prefix_cache=False, cut=2)
    both: dict[str, Any] = {"parallel": ["red", "blue"], "combine": "logits"}
    params = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)
    alone = engine.generate([PROMPT], both, params)[0]
    crowd = engine.generate([PROMPT] * 5, [both, "red", both, both, "blue"], params)
    assert [crowd[number].token_ids for number in (0, 2, 3)] == [alone.token_ids] * 3
    assert engine.scheduler.num_preemptions > 0


def test_an_ensemble_computes_the_trunk_of_its_prompt_once(make_engine: MakeEngine) -> None:
    base = random_base("llama")
    points = [point for point in base.points if point[0] >= 2]
    adapters = {name: random_weights(base, points, seed=seed) for seed, name in enumerate("abc")}
    engine = make_engine(base=base, adapters=adapters, cut=2, mixed_prefill_tokens=128)
    prompt = OTHER[:20]
    engine.generate([prompt], {"parallel": list("abc"), "combine": "logits"}, replace(GREEDY, max_tokens=1))
    trunk, branch = (span["computed"] for span in engine.stats()["layer_tokens"])
    assert (trunk, branch) == (20 * 2, 3 * 20 * (NUM_LAYERS - 2))


def test_choices_grammar_and_resume_are_those_of_one_answer(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    both: dict[str, Any] = {"parallel": ["red", "blue"], "combine": "logits"}
    params = SamplingParams(max_tokens=6, temperature=1.0, seed=2, n=2, ignore_eos=True)
    first, second = engine.generate(["the fox"], both, params)
    assert first.token_ids != second.token_ids
    assert first.token_ids == engine.generate(["the fox"], both, replace(params, n=1))[0].token_ids
    prompt = engine.encode("the fox")
    mixes = tuple(constant(engine.resolve_mix(name)) for name in ("red", "blue"))
    resume = (RowProgress(first.token_ids[:3]), RowProgress(second.token_ids[:1]))
    engine.add(GenerationRequest("again", prompt, params, mixes, resume=resume, shares=(1.0, 1.0)))
    rest = tokens_of(drain(engine))
    assert rest == {("again", 0): list(first.token_ids[3:]), ("again", 1): list(second.token_ids[1:])}


def test_what_ends_one_row_of_an_ensemble_ends_them_all(make_engine: MakeEngine) -> None:
    engine = make_engine()
    mixes = tuple(constant(engine.resolve_mix(name)) for name in ("red", "blue"))
    request = GenerationRequest("gone", tuple(PROMPT), GREEDY, mixes, shares=(1.0, 1.0))
    engine.add(request)
    engine.step()
    assert [event.finish_reason for event in engine.abort("gone")] == ["abort"]
    assert engine.scheduler.rows == []
    engine.add(replace(request, request_id="late", timeout_s=1e-6))
    assert [event.finish_reason for event in engine.end_late()] == ["deadline_exceeded"]
    broken = engine.resolve_mix({"blue": 3e38})
    engine.add(replace(request, request_id="nan", schedules=(mixes[0], constant(broken))))
    (event,) = drain(engine)
    assert (event.finish_reason, event.index) == ("error", 0)
    assert "not finite" in (event.error or "")
    with pytest.raises(AdaptrixError):
        engine.generate([PROMPT], {"parallel": ["red", {"parallel": {"blue": 3e38}}], "combine": "logits"}, GREEDY)


def test_an_ensemble_that_does_not_fit_is_refused_with_both_numbers(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=2, kv_cache_tokens=64)
    three: dict[str, Any] = {"parallel": ["red", "blue", None], "combine": "logits"}
    with pytest.raises(InvalidRequest, match="3 rows are to choose tokens together, and a step has 2"):
        engine.generate([PROMPT], three, GREEDY)
    with pytest.raises(ContextLengthExceeded, match="2 rows that choose tokens together need 86 tokens"):
        engine.generate([PROMPT], {"parallel": ["red", "blue"], "combine": "logits"}, replace(GREEDY, max_tokens=30))


# --- changes of mix in mid-answer -------------------------------------------------------------------------------------


def switched_by_hand(
    engine: Engine, prompt: Any, begin: Any, then: Any, after: int, params: SamplingParams
) -> list[int]:
    """`Engine.switch` after so many tokens, which is PEFT's `set_adapter` in mid-generation with its cache kept."""
    tokens: list[int] = []
    for event in engine.stream(prompt, begin, params):
        assert event.token_id is not None
        tokens.append(event.token_id)
        if len(tokens) == after:
            engine.switch(event.request_id, then)
    return tokens


def set_adapter_by_hand(case: Case, prompt: list[int], begin: str, then: str, after: int, count: int) -> list[int]:
    """PEFT itself: greedy, its cache kept over `set_adapter`."""
    case.peft.set_adapter(begin)
    tokens, past, fed = list(prompt), None, list(prompt)
    with torch.inference_mode():
        for number in range(count):
            out = case.peft(input_ids=torch.tensor([fed]), past_key_values=past, use_cache=True)
            past, fed = out.past_key_values, [int(out.logits[0, -1].argmax())]
            tokens += fed
            if number + 1 == after:
                case.peft.set_adapter(then)
    return tokens[len(prompt) :]


def low_points(answer: Completion, over: int) -> Iterator[tuple[float, int]]:
    """Limits for ``confidence_below`` that are first passed in mid-answer, and the number of tokens before that."""
    assert answer.logprobs is not None
    means = [sum(answer.logprobs[end - over : end]) / over for end in range(over, len(answer.logprobs) + 1)]
    for number in range(1, len(means) - 1):
        if means[number] < min(means[:number]):
            limit = (means[number] + min(means[:number])) / 2
            yield float(torch.tensor(limit, dtype=torch.float64).exp()), number + over


def test_a_change_by_confidence_is_set_adapter_in_mid_generation(case: Case) -> None:
    prompts = [PROMPT, *random_prompts([13] * 7, seed=10)]
    plain = case.engine.generate(prompts, "everything", GREEDY)
    prompt, limit, after = next(
        (prompt, *low) for prompt, answer in zip(prompts, plain, strict=True) for low in low_points(answer, over=2)
    )
    rule = {"if": {"confidence_below": limit, "over": 2}, "then": "patterned"}
    (answer,) = case.engine.generate([prompt], {"conditional": [rule], "else": "everything"}, GREEDY)
    assert list(answer.token_ids) == set_adapter_by_hand(case, prompt, "everything", "patterned", after, 10)
    begin, then = case.engine.resolve_mix("everything"), case.engine.resolve_mix("patterned")
    assert answer.schedule == ((0, begin), (len(prompt) + after - 1, then))


def test_a_change_at_a_marker_is_reproducible_and_told(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    params = SamplingParams(max_tokens=12, temperature=1.0, seed=6, ignore_eos=True)
    events = list(engine.stream("the fox", "red", params))
    marker = next(event.text for event in events[3:] if len(event.text.strip()) > 0)
    after = next(number for number in range(1, 13) if marker in "".join(event.text for event in events[:number]))
    composition = {"conditional": [{"if": {"marker": marker}, "then": "blue"}], "else": "red"}
    told = list(engine.stream("the fox", composition, params))
    assert [event.token_id for event in told] == switched_by_hand(engine, "the fox", "red", "blue", after, params)
    assert [event.switched_to for event in told] == [0 if number == after - 1 else None for number in range(12)]


def test_another_engine_continues_before_and_behind_the_change(make_engine: MakeEngine) -> None:
    engine = make_engine()
    plain = engine.generate([PROMPT], "red", GREEDY)[0]
    limit, after = next(low_points(plain, over=3))
    switches = ((Switch(ConfidenceBelow(limit, 3), engine.resolve_mix("blue")),),)
    request = GenerationRequest(
        "whole", tuple(PROMPT), GREEDY, (constant(engine.resolve_mix("red")),), switches=switches
    )
    engine.add(request)
    whole = drain(engine)
    assert [event.token_id for event in whole if event.switched_to == 0] == [whole[after - 1].token_id]
    for cut in (1, after - 1, after, after + 1, 9):
        done = whole[:cut]
        progress = RowProgress(
            tuple(event.token_id for event in done if event.token_id is not None),
            logprobs=tuple(event.logprob for event in done if event.logprob is not None),
        )
        engine.add(replace(request, request_id=f"from-{cut}", resume=(progress,)))
        rest = [event.token_id for event in drain(engine)]
        assert rest == [event.token_id for event in whole[cut:]], cut


def test_a_marker_without_a_tokenizer_and_confidence_without_log_probabilities_are_refused(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()
    with pytest.raises(InvalidRequest, match="no tokenizer, so no answer can hold a marker"):
        engine.generate([PROMPT], {"conditional": [{"if": {"marker": "x"}, "then": "blue"}], "else": "red"}, GREEDY)
    for when, params in ((Marker("x"), GREEDY), (ConfidenceBelow(0.5), replace(GREEDY, logprobs=None))):
        request = GenerationRequest("no", (5, 6), params, switches=((Switch(when, ()),),))
        with pytest.raises(InvalidRequest):
            engine.add(request)
