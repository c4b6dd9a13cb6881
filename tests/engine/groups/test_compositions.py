"""Each strategy in the library equals a plain reference: merged weights, or the same requests made by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.composition.ballots import Ballot, winner_of
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.errors import AdapterNotFound, InvalidRequest
from tests.engine.peft_cases import TOLERANCE, Case, build_case, logits_of, relative_error
from tests.tiny_models import NUM_LAYERS, random_base, random_weights

MakeEngine = Callable[..., Engine]
GREEDY = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


def merged_by_layer(case: Case, factors: dict[str, list[float]]) -> Any:
    """The model with each adapter's merged update added, times its factor at the layer."""
    model = copy.deepcopy(case.plain)
    state, plain = model.state_dict(), case.plain.state_dict()
    for adapter, by_layer in factors.items():
        merged = case.merged[adapter].state_dict()
        for name, tensor in state.items():
            layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
            if layer is not None:
                tensor += by_layer[layer] * (merged[name] - plain[name])
    return model


@pytest.mark.parametrize(
    ("composition", "factors"),
    [
        ({"parallel": {"everything": 0.5, "patterned": -0.5}}, {"everything": [0.5] * 4, "patterned": [-0.5] * 4}),
        (
            {
                "hierarchical": [
                    {"adapter": "everything", "layers": [0, 2]},
                    {"adapter": {"parallel": {"rslora": 0.5, "patterned": 1.0}}, "layers": [2, NUM_LAYERS]},
                ]
            },
            {"everything": [1, 1, 0, 0], "rslora": [0, 0, 0.5, 0.5], "patterned": [0, 0, 1, 1]},
        ),
        (
            {"hierarchical": [{"adapter": "everything", "layers": third} for third in ("early", "late")]},
            {"everything": [1, 0, 1, 1]},  # thirds of four layers begin at 0, 1 and 2
        ),
        (
            {"parallel": [{"part": {"hierarchical": [{"adapter": "everything", "layers": "mid"}]}, "weight": 0.5}]},
            {"everything": [0, 0.5, 0, 0]},
        ),
    ],
)
def test_what_adds_up_to_one_mix_equals_the_merged_model(case: Case, composition: Any, factors: Any) -> None:
    model = merged_by_layer(case, factors)
    for tokens, logits in zip(case.prompts, case.engine.logits(case.prompts, composition, "chunked"), strict=True):
        assert relative_error(logits, logits_of(model, tokens)) < TOLERANCE


def test_a_sequence_is_the_same_requests_made_by_hand(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    params = SamplingParams(max_tokens=6, temperature=1.0, seed=3, ignore_eos=True)
    steps = {
        "sequential": ["red", {"parallel": {"blue": 0.5}}, None],
        "plan": ["the fox", "lazy {0} and", "{1}{0} dog"],
    }
    (first,) = engine.generate(["the fox"], "red", params)
    one = first.text.strip().splitlines()[-1].strip()
    (second,) = engine.generate([f"lazy {one} and"], {"blue": 0.5}, params)
    two = second.text.strip().splitlines()[-1].strip()
    (third,) = engine.generate([f"{two}{one} dog"], None, params)
    (composed, beside) = engine.generate(["ignored", "the"], [steps, "red"], params)
    assert composed.text == third.text
    assert [step.token_ids for step in composed.made_of] == [step.token_ids for step in (first, second, third)]
    assert beside.text == engine.generate(["the"], "red", params)[0].text
    events = list(engine.stream("ignored", steps, params))
    assert [event.step for event in events] == [0] * 6 + [1] * 6 + [2] * 6
    assert [event.token_id for event in events[12:]] == list(third.token_ids)


def test_an_automatic_plan_is_the_planners_and_leaves_a_single_question_alone(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    auto = {"sequential": ["red", "blue"], "plan": "auto"}
    question = "How many legs do 3 dogs have? Then add 5 to the result."
    plan = plan_of(question)
    assert plan is not None
    by_hand = engine.generate([question], {"sequential": ["red", "blue"], "plan": list(plan.steps)}, GREEDY)
    single = "How many legs do 3 dogs have?"
    divided, alone = engine.generate([question, single], auto, GREEDY)
    assert [one.token_ids for one in divided.made_of] == [one.token_ids for one in by_hand[0].made_of]
    assert alone.token_ids == engine.generate([single], "red", GREEDY)[0].token_ids
    assert len(alone.made_of) == 1
    with pytest.raises(InvalidRequest, match="a planner reads text"):
        engine.generate([[5, 6]], auto, GREEDY)


def test_passing_on_computes_only_what_is_new_below_the_cut(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    base = random_base("llama", tokenizer=tokenizer)
    points = [point for point in base.points if point[0] >= 2]
    adapters = {name: random_weights(base, points, seed=seed) for seed, name in enumerate(("red", "blue"))}
    engine = make_engine(base=base, adapters=adapters, cut=2)
    prompt = "the quick brown fox jumps over the lazy dog, and"
    (answer,) = engine.generate([prompt], {"sequential": ["red", "blue"]}, GREEDY)
    first, second = answer.made_of
    assert first.text == engine.generate([prompt], "red", GREEDY)[0].text
    assert second.text == engine.generate([f"{prompt}{first.text}\n"], "blue", GREEDY)[0].text
    # The second prompt is the first one and its answer, so the trunk has all whole blocks of the first one's tokens.
    assert second.timings.taken_over[0] >= first.num_prompt_tokens // 4 * 4
    assert second.timings.taken_over[1] == 0  # another adapter's


def test_a_vote_is_won_by_the_most_of_the_same_answers_made_by_hand(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    params = SamplingParams(max_tokens=2, temperature=1.0, seed=5, ignore_eos=True)
    forked = engine.generate(
        ["the"],
        fork=["red", None],
        params=SamplingParams(max_tokens=2, temperature=1.0, seed=5, ignore_eos=True, n=3),
        scores=["logprob_sum"],
    )
    weights = [0.7] * 3 + [1.0] * 3
    ballots = [Ballot(one.text, one.scores["logprob_sum"], weight) for one, weight in zip(forked, weights, strict=True)]
    winner = forked[winner_of(ballots)]
    vote = {"parallel": [{"part": "red", "weight": 0.7}, None], "combine": "vote", "samples": 3}
    (voted,) = engine.generate(["the"], vote, params)
    assert (voted.token_ids, voted.logprobs) == (winner.token_ids, None)
    assert [one.token_ids for one in voted.made_of] == [one.token_ids for one in forked]
    streamed = list(engine.stream("the", vote, params))
    assert [(event.index, event.token_id) for event in streamed] == [(0, token) for token in winner.token_ids]
    assert tokens_generated(engine, lambda: engine.generate(["the"], vote, params)) == 12


def tokens_generated(engine: Engine, run: Callable[[], Any]) -> int:
    before = engine.num_tokens_generated
    run()
    return engine.num_tokens_generated - before


@pytest.mark.parametrize(
    ("params", "param"),
    [(SamplingParams(n=2, temperature=1.0), "n"), (SamplingParams(prompt_logprobs=0), "prompt_logprobs")],
)
@pytest.mark.parametrize("composition", [{"sequential": ["red"]}, {"parallel": ["red"], "combine": "vote"}])
def test_parameters_that_a_composition_cannot_honour_are_refused_by_name(
    make_engine: MakeEngine, composition: Any, params: SamplingParams, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_engine().generate([[5, 6]], composition, params)
    assert refused.value.param == param


def test_where_one_mix_is_wanted_a_composition_of_several_rows_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine()
    steps = {"sequential": ["red", "blue"]}
    for ask in (
        lambda: engine.logits([[5, 6]], steps),
        lambda: engine.generate([[5, 6]], fork=[steps, None]),
        lambda: engine.resolve_mix(steps),
    ):
        with pytest.raises(InvalidRequest, match="a composition that is sequential is not one mix"):
            ask()


def test_a_step_whose_adapter_is_unknown_is_refused_before_anything_is_computed(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(tokenizer=tokenizer)
    with pytest.raises(AdapterNotFound, match="gren"):
        engine.generate([[5, 6]], {"sequential": ["red", "gren"], "plan": ["a", "b"]}, GREEDY)
    assert engine.num_steps == 0
