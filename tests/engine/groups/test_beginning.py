"""Compositions whose question decides who begins: the answer is that of the mix which the trunk's reading tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import AdapterNotFound, CacheFull, InvalidRequest
from adaptrix_core.sampling import SamplingDefaults
from tests.serving.tiny import CARDS, World, load_base, make_world, random_weights

GREEDY = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
MIX: dict[str, Any] = {"parallel": {"math_reasoning": 0.7, "logical_reasoning": 0.3}}
WHO: dict[str, Any] = {"math_reasoning": MIX, "code_generation": "code_generation"}
ASK: dict[str, Any] = {
    "conditional": [{"if": {"about": name}, "then": mix} for name, mix in WHO.items()],
    "else": "logical_reasoning",
}
EXAMPLES = {name: examples[0] for name, _, examples in CARDS}
QUESTIONS = {EXAMPLES["math_reasoning"]: MIX, EXAMPLES["code_generation"]: "code_generation"}
NO_RULE = "Tell me a bedtime story about a sleepy hedgehog."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTRIX_CACHE", str(root / "cache"))
        made = make_world(root)
        weights = random_weights(base := load_base(made.base_dir), seed=9)
        sampling = SamplingDefaults(temperature=0.0)
        write_package(
            made.shipped / "sure",
            describe(weights, base.info, "sure", sampling=sampling, routing_examples=("Name the capital of France.",)),
            weights,
            private_key=made.private_key,
        )
        made.write_adapter(made.shipped, "silent", 11)
        yield made


def engine_of(world: World, device_budget_bytes: int | None = None, **options: Any) -> Engine:
    trust = TrustPolicy("require", world.keys)
    settings = EngineOptions(**{"cut": 1, "kv_cache_tokens": 4096, **options})
    base = load_base(world.base_dir)
    return Engine(base, world.shipped, trust, settings, device_budget_bytes=device_budget_bytes)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return engine_of(world)


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def tokens(engine: Engine, prompt: Any, choice: Any, params: SamplingParams = GREEDY) -> tuple[int, ...]:
    return engine.generate([prompt], choice, params)[0].token_ids


def assert_told_apart(answers: Sequence[object]) -> None:
    assert len(set(answers)) == len(answers), "the mixes answer alike, so equality would say nothing"


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("is_chat", [True, False])
def test_the_answer_is_that_of_the_mix_named_outright(engine: Engine, question: str, is_chat: bool) -> None:
    prompt: Any = said(question) if is_chat else question
    assert_told_apart([tokens(engine, prompt, who) for who in (*WHO.values(), "logical_reasoning")])
    assert tokens(engine, prompt, ASK) == tokens(engine, prompt, QUESTIONS[question])


def test_several_prompts_in_one_batch_begin_each_by_its_own_question(engine: Engine) -> None:
    prompts = [said(question) for question in (*QUESTIONS, NO_RULE)]
    named = [*QUESTIONS.values(), "logical_reasoning"]
    asked = engine.generate(prompts, ASK, GREEDY)
    assert [one.token_ids for one in asked] == [tokens(engine, *pair) for pair in zip(prompts, named, strict=True)]
    assert [one.mix for one in asked] == [engine.resolve_mix(mix) for mix in named]


def test_a_question_about_nothing_that_a_rule_names_begins_under_else(engine: Engine) -> None:
    for rules in (ASK["conditional"], ASK["conditional"][:1]):
        composition = {"conditional": rules, "else": None}
        assert tokens(engine, said(NO_RULE), composition) == tokens(engine, said(NO_RULE), None)


def test_the_order_of_rules_does_not_matter(engine: Engine) -> None:
    turned = {**ASK, "conditional": ASK["conditional"][::-1]}
    for question, mix in QUESTIONS.items():
        assert tokens(engine, said(question), turned) == tokens(engine, said(question), mix)


def test_choices_of_one_prompt_begin_alike(engine: Engine) -> None:
    (question, mix), *_ = QUESTIONS.items()
    params = SamplingParams(max_tokens=8, temperature=1.0, seed=3, n=3, ignore_eos=True)
    asked, named = (engine.generate([said(question)], choice, params) for choice in (ASK, mix))
    assert [one.token_ids for one in asked] == [one.token_ids for one in named]
    assert_told_apart([one.token_ids for one in asked])


def test_the_prompt_is_as_likely_as_under_the_mix_that_begins(engine: Engine) -> None:
    (question, mix), *_ = QUESTIONS.items()
    scored = SamplingParams(max_tokens=2, temperature=0.0, prompt_logprobs=0)
    asked, named, base = (engine.generate([said(question)], who, scored)[0].prompt_logprobs for who in (ASK, mix, None))
    assert asked is not None
    assert named is not None
    assert [one.logprob for one in asked] == pytest.approx([one.logprob for one in named], abs=1e-4)
    assert asked != base


def test_later_rules_go_on_from_there(engine: Engine) -> None:
    (question, mix), *_ = QUESTIONS.items()
    later = {"if": {"confidence_below": 1.0, "over": 3}, "then": None}
    asked = {"conditional": [*ASK["conditional"], later], "else": None}
    (answer,) = engine.generate([said(question)], asked, GREEDY)
    (named,) = engine.generate([said(question)], {"conditional": [later], "else": mix}, GREEDY)
    assert answer.token_ids == named.token_ids
    assert [start for start, _ in answer.schedule] == [start for start, _ in named.schedule]
    assert len(answer.schedule) == 2


def test_a_follow_up_stays_with_the_adapter_of_the_turn_before(engine: Engine) -> None:
    (question, mix), *_ = QUESTIONS.items()
    further = said("And what about 19 + 25?")
    talk = [*said(question), {"role": "assistant", "content": "42"}, *further]
    assert tokens(engine, further, ASK) == tokens(engine, further, "logical_reasoning")
    assert tokens(engine, talk, ASK) == tokens(engine, talk, mix)


def test_each_step_of_a_sequence_asks_its_own_question(engine: Engine) -> None:
    plan = list(QUESTIONS)
    asked = {"sequential": [ASK, ASK], "plan": plan}
    named = {"sequential": list(QUESTIONS.values()), "plan": plan}
    (one,), (other,) = (engine.generate([said("Go.")], choice, GREEDY) for choice in (asked, named))
    assert [step.token_ids for step in one.made_of] == [step.token_ids for step in other.made_of]


def test_the_adapter_that_begins_says_how_it_is_sampled(engine: Engine) -> None:
    question = said("Name the capital of France.")
    asked = {"conditional": [{"if": {"about": "sure"}, "then": "sure"}], "else": None}
    seeded = SamplingParams(max_tokens=12, seed=5, ignore_eos=True)
    assert tokens(engine, question, asked, seeded) == tokens(engine, question, "sure", GREEDY)
    assert tokens(engine, said(NO_RULE), asked, seeded) == tokens(engine, said(NO_RULE), None, seeded)


def test_a_stream_begins_so_too_and_takes_nothing_from_a_stream_beside_it(world: World, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTRIX_CACHE", str(tmp_path))  # so that the texts are read while the other stream goes on
        engine = engine_of(world)
        beside = engine.stream(said("The quick brown fox"), None, SamplingParams(max_tokens=300, temperature=0.0))
        first = [next(beside).token_id for _ in range(3)]
        (question, mix), *_ = QUESTIONS.items()
        streamed = [event.token_id for event in engine.stream(said(question), ASK, GREEDY)]
        assert tuple(streamed) == tokens(engine, said(question), mix)
        rest = [event.token_id for event in beside]
    alone = engine.generate([said("The quick brown fox")], None, SamplingParams(max_tokens=300, temperature=0.0))
    assert tuple(token for token in (*first, *rest) if token is not None) == alone[0].token_ids


def test_a_prompt_whose_turns_are_not_found_begins_under_else(engine: Engine) -> None:
    prompt = [{"role": "system", "content": EXAMPLES["math_reasoning"]}]
    assert tokens(engine, prompt, ASK) == tokens(engine, prompt, "logical_reasoning")


def test_nothing_is_computed_twice(world: World) -> None:
    engine = engine_of(world, prefix_cache=False)
    (question, mix), *_ = QUESTIONS.items()
    tokens(engine, said(question), ASK)  # reads the adapters' texts
    computed = []
    for choice in (ASK, mix):
        engine.count_anew()
        tokens(engine, said(question), choice)
        computed.append(list(engine.runner.layer_tokens))
    assert computed[0] == computed[1]
    assert engine.check_integrity() == []


def test_it_needs_room_for_who_begins_and_who_may_take_over_and_for_nobody_else(world: World) -> None:
    (question, _), *_ = QUESTIONS.items()
    later = {"if": {"marker": "\n\n\n"}, "then": "logical_reasoning"}
    names = ("math_reasoning", "code_generation")
    one_each = {"conditional": [*({"if": {"about": n}, "then": n} for n in names), later], "else": "sure"}
    both = {"conditional": [{"if": {"about": names[0]}, "then": {"parallel": names}}, later], "else": None}
    sized = engine_of(world)
    tokens(sized, "x", "sure")
    (size,) = (adapter["device_bytes"] for adapter in sized.stats()["adapters"]["adapters"].values())
    engine = engine_of(world, device_budget_bytes=2 * size)
    assert len(tokens(engine, said(question), one_each)) == GREEDY.max_tokens
    with pytest.raises(CacheFull):
        tokens(engine, said(question), both)
    assert engine.check_integrity() == []


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ({"about": "silent"}, InvalidRequest, "'silent', which has neither a description nor routing"),
        ({"about": "math_raesoning"}, AdapterNotFound, "math_reasoning"),
        ({"about": ["math_reasoning"]}, InvalidRequest, "about is \\['math_reasoning'\\]; it must be the name"),
    ],
)
def test_what_cannot_be_asked_about_is_refused(engine: Engine, rule: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        engine.generate(["x"], {"conditional": [{"if": rule, "then": None}], "else": None}, GREEDY)


def test_without_a_cut_nothing_is_answered_by_else_in_silence(world: World) -> None:
    with pytest.raises(
        InvalidRequest, match=r"has no cut, so its base model does not tell; set engine\.cut"
    ) as refused:
        engine_of(world, cut=None).generate(["x"], ASK, GREEDY)
    assert refused.value.param == "adaptrix.compose"
