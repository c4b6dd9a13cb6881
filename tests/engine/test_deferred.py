"""Requests whose mix is settled at the cut: equal to those that name it, whatever goes on beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.deferred import Deferred, Means, Settled
from adaptrix_core.errors import AdapterUnavailable, AdaptrixError, InvalidRequest
from adaptrix_core.injection.mix import Mix, Term
from tests.engine.driving import drain, request, tokens_of
from tests.tiny_models import CONFIGS, random_base, random_module, random_prompts, random_weights

CUT = 2
PROMPT, OTHER = random_prompts((21, 17))
QUESTION = (5, 15)

MakeEngine = Callable[..., Engine]


def above_cut(make_engine: MakeEngine, variant: str = "llama", **options: Any) -> Engine:
    """An engine with a cut, and two adapters that begin there."""
    base = random_base(variant)
    adapters = {
        name: random_weights(base, [point for point in base.points if point[0] in (CUT, CUT + 1)], seed=number)
        for number, name in enumerate(("red", "blue"))
    }
    return make_engine(adapters=adapters, base=base, **{"cut": CUT, **options})


def deferred(
    request_id: str,
    prompt: Sequence[int],
    policy: Callable[[Means | None], Settled | None],
    questions: tuple[tuple[int, int], ...] = (QUESTION,),
    **params: Any,
) -> GenerationRequest:
    plain = request(request_id, prompt, **params)
    return replace(plain, deferred=Deferred(questions, policy))


def always(mix: Mix) -> Callable[[Means | None], Settled]:
    return lambda means: Settled(mix)


def assert_near(one: Means | None, other: Means | None) -> None:
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one, other, atol=1e-4)


def seen(engine: Engine, prompt: Sequence[int] = PROMPT, request_id: str = "seen", **given: Any) -> list[Means | None]:
    """The means that a policy gets for this prompt."""
    got: list[Means | None] = []

    def policy(means: Means | None) -> Settled:
        got.append(means)
        return Settled(())

    engine.add(deferred(request_id, prompt, policy, max_tokens=1, **given))
    drain(engine)
    return got


def logprobs_of(events: Sequence[TokenEvent], request_id: str) -> list[dict[int, float]]:
    own = [event for event in events if event.request_id == request_id and event.token_id is not None]
    return [dict(event.top_logprobs) for event in own]


def assert_alike(one: Sequence[dict[int, float]], other: Sequence[dict[int, float]]) -> None:
    assert [list(top) for top in one] == [list(top) for top in other]
    for mine, theirs in zip(one, other, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("variant", CONFIGS)
@pytest.mark.parametrize("who", ["red", None])
def test_it_answers_as_if_the_mix_had_been_named(make_engine: MakeEngine, variant: str, who: str | None) -> None:
    engine = above_cut(make_engine, variant, prefix_cache=False)
    mix = engine.resolve_mix(who)
    engine.add(request("named", PROMPT, mix, logprobs=5))
    named = drain(engine)
    engine.add(deferred("deferred", PROMPT, always(mix), logprobs=5))
    settled = drain(engine)
    assert tokens_of(settled)["deferred", 0] == tokens_of(named)["named", 0]
    assert_alike(logprobs_of(settled, "deferred"), logprobs_of(named, "named"))


@pytest.mark.parametrize("variant", CONFIGS)
def test_means_are_those_of_a_plain_forward(make_engine: MakeEngine, variant: str) -> None:
    engine = above_cut(make_engine, variant)
    (means,) = seen(engine, questions=(QUESTION, (0, 3), (20, 21)))
    with torch.inference_mode():
        states = random_module(variant)(torch.tensor([PROMPT]), output_hidden_states=True).hidden_states[CUT][0]
    expected = np.stack([states[start:stop].mean(0).numpy() for start, stop in (QUESTION, (0, 3), (20, 21))])
    assert means is not None
    np.testing.assert_allclose(means, expected, atol=1e-4, rtol=1e-4)


def test_nothing_is_computed_twice(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, prefix_cache=False)
    engine.add(deferred("deferred", PROMPT, always(engine.resolve_mix("red")), max_tokens=1))
    drain(engine)
    assert engine.runner.layer_tokens == [CUT * len(PROMPT), (4 - CUT) * len(PROMPT)]


@pytest.mark.parametrize("length", [20, 21])  # a whole number of blocks, and one more
def test_a_known_trunk_is_taken_over_and_tells_the_same(make_engine: MakeEngine, length: int) -> None:
    engine, prompt = above_cut(make_engine), PROMPT[:length]
    engine.generate([prompt], "blue", SamplingParams(max_tokens=2))
    before = engine.runner.layer_tokens[0]
    (means,) = seen(engine, prompt)
    assert engine.runner.layer_tokens[0] - before <= CUT * 4  # at most the last block of four tokens
    fresh = above_cut(make_engine, prefix_cache=False)
    assert_near(means, seen(fresh, prompt)[0])


def test_a_known_branch_is_taken_over_too(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    red = engine.resolve_mix("red")
    first = engine.generate([PROMPT], "red", SamplingParams(max_tokens=2, temperature=0.0))[0]
    before = list(engine.runner.layer_tokens)
    engine.add(deferred("again", PROMPT, always(red), max_tokens=4))
    events = drain(engine)
    assert tuple(tokens_of(events)["again", 0][: len(first.token_ids)]) == first.token_ids
    hits = events[-1].timings.taken_over if events[-1].timings else ()
    assert hits == (20, 20)
    assert engine.runner.layer_tokens[1] - before[1] == (4 - CUT) * (1 + 3)
    other = engine.add(deferred("other", PROMPT, always(engine.resolve_mix("blue"))))
    drain(engine)
    assert other[0].taken_over == [20, 0]  # what one adapter has computed in the branch is not another's


def test_it_waits_for_its_mix_until_its_policy_is_asked_again(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    known: list[Settled] = []
    engine.add(deferred("waiting", PROMPT, lambda means: known[0] if known else None))
    engine.ask_again("waiting")  # it is not at the cut yet
    assert engine.step() == []
    assert engine.ask_again("waiting") == []
    assert not engine.has_work
    assert engine.stats()["rows_waiting_adapter"] == 1
    known.append(Settled(engine.resolve_mix("blue")))
    assert engine.ask_again("waiting") == []
    assert engine.has_work
    told = tokens_of(drain(engine))["waiting", 0]
    assert told == tokens_of_named(engine, "blue")
    assert engine.ask_again("waiting") == []


def test_a_policy_that_fails_when_it_is_asked_again_ends_its_request(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    asked = 0

    def policy(means: Means | None) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise AdapterUnavailable("it is gone")

    engine.add(deferred("waiting", PROMPT, policy))
    engine.step()
    [event] = engine.ask_again("waiting")
    assert isinstance(event.failure, AdapterUnavailable)
    assert engine.stats()["kv_blocks"]["used"] == 0


def tokens_of_named(engine: Engine, name: str | None) -> list[int]:
    engine.add(request("named", PROMPT, engine.resolve_mix(name)))
    return tokens_of(drain(engine))["named", 0]


def test_others_go_on_while_one_waits(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    alone = tokens_of_other(engine)
    engine.add(deferred("waiting", PROMPT, lambda means: None))
    engine.step()
    assert tokens_of_other(engine) == alone
    assert engine.abort("waiting")[0].finish_reason == "abort"


def tokens_of_other(engine: Engine) -> list[int]:
    engine.add(request("other", OTHER, engine.resolve_mix("red")))
    return tokens_of(drain(engine))["other", 0]


def test_neighbours_get_the_logits_that_they_get_without_it(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, prefix_cache=False)
    red = engine.resolve_mix("red")
    engine.add(request("other", OTHER, red, logprobs=5))
    alone = logprobs_of(drain(engine), "other")
    engine.add(request("other", OTHER, red, logprobs=5))
    engine.add(deferred("deferred", PROMPT, always(engine.resolve_mix("blue"))))
    assert_alike(logprobs_of(drain(engine), "other"), alone)


def test_it_can_be_aborted_while_it_waits(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    engine.add(deferred("waiting", PROMPT, lambda means: None, n=2, seed=1, temperature=1.0))
    engine.step()
    assert [event.finish_reason for event in engine.abort("waiting")] == ["abort", "abort"]
    assert engine.stats()["kv_blocks"]["used"] == 0


def test_a_waiting_row_gives_way_and_is_asked_again(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, kv_cache_tokens=32)
    got: list[Means | None] = []

    def policy(means: Means | None) -> Settled | None:
        got.append(means)
        return None if len(got) == 1 else Settled(engine.resolve_mix("blue"))

    engine.add(replace(deferred("waiting", PROMPT, policy), priority=1))
    engine.step()
    engine.add(request("urgent", OTHER, priority=0))
    events = drain(engine)
    assert engine.scheduler.num_preemptions == 1
    assert len(got) == 2
    assert_near(got[0], got[1])
    assert tokens_of(events)["waiting", 0] == tokens_of_named(engine, "blue")


def test_it_may_be_known_while_it_is_out_of_the_batch(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, kv_cache_tokens=32)
    known: list[Settled] = []
    engine.add(replace(deferred("waiting", PROMPT, lambda means: known[0] if known else None), priority=1))
    engine.step()
    engine.add(request("urgent", OTHER, priority=0))
    engine.step()
    known.append(Settled(engine.resolve_mix("red")))
    assert engine.ask_again("waiting") == []
    assert tokens_of(drain(engine))["waiting", 0] == tokens_of_named(engine, "red")


def test_an_adapter_that_acts_below_the_cut_computes_the_prompt_anew(make_engine: MakeEngine) -> None:
    base = random_base()
    low = random_weights(base, [point for point in base.points if point[0] == 1])
    engine = make_engine(adapters={"low": low}, base=base, cut=CUT)
    mix = engine.resolve_mix("low")
    engine.add(deferred("deferred", PROMPT, always(mix), logprobs=5))
    settled = drain(engine)
    assert engine.runner.layer_tokens[0] == CUT * (2 * len(PROMPT) + 7)
    engine.add(request("named", PROMPT, mix, logprobs=5))
    assert_alike(logprobs_of(settled, "deferred"), logprobs_of(drain(engine), "named"))


def test_all_choices_have_one_trunk_and_one_mix(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, prefix_cache=False)
    got: list[Means | None] = []
    red = engine.resolve_mix("red")

    def policy(means: Means | None) -> Settled:
        got.append(means)
        return Settled(red)

    rows = engine.add(deferred("deferred", PROMPT, policy, n=3, seed=4, temperature=1.0, max_tokens=1))
    drain(engine)
    assert len(got) == 1
    assert [row.mix for row in rows] == [red] * 3
    named = engine.add(request("named", PROMPT, red, n=3, seed=4, temperature=1.0, max_tokens=1))
    drain(engine)
    assert [row.output for row in rows] == [row.output for row in named]


def test_a_long_prompt_is_computed_in_chunks_beside_a_decoding_row(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, max_batch_tokens=6, short_prompt_tokens=4)
    red = engine.resolve_mix("red")
    engine.add(request("other", OTHER, max_tokens=30))
    while engine.scheduler.rows[0].num_output < 2:
        engine.step()
    engine.add(deferred("deferred", PROMPT, always(red), logprobs=5))
    settled = drain(engine)
    engine.add(request("named", PROMPT, red, logprobs=5))
    assert_alike(logprobs_of(settled, "deferred"), logprobs_of(drain(engine), "named"))


def test_beside_a_decoding_row_a_short_prompt_needs_one_step_more_and_no_more(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    engine.add(request("other", OTHER, max_tokens=30))
    engine.step()
    rows = engine.add(deferred("deferred", PROMPT, always(())))
    engine.step()
    assert rows[0].deferred is None
    engine.step()
    assert rows[0].num_output == 1


def test_a_policy_that_fails_ends_its_own_request_alone(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)

    def broken(means: Means | None) -> Settled:
        raise KeyError("nobody")

    unloaded: Mix = (Term("0" * 64),)  # type: ignore[arg-type]
    engine.add(deferred("broken", PROMPT, broken))
    engine.add(deferred("gone", PROMPT, always(unloaded)))
    engine.add(request("other", OTHER))
    events = drain(engine)
    ends = {event.request_id: event for event in events if event.finish_reason is not None}
    assert {name: end.finish_reason for name, end in ends.items()} == {
        "broken": "error",
        "gone": "error",
        "other": "length",
    }
    assert isinstance(ends["gone"].failure, AdaptrixError)
    assert ends["gone"].failure.code == "adapter_not_found"


def test_states_that_are_not_finite_tell_nothing(make_engine: MakeEngine) -> None:
    base = random_base()
    with torch.no_grad():
        base.module.get_input_embeddings().weight[7] = float("nan")
    engine = make_engine(adapters=(), base=base, cut=CUT)
    assert seen(engine, [*PROMPT[:9], 7, *PROMPT[10:]]) == [None]


def test_without_a_question_there_is_nothing_to_go_by(make_engine: MakeEngine) -> None:
    assert seen(above_cut(make_engine), questions=()) == [None]


def test_without_a_cut_the_policy_settles_at_once_or_the_request_is_refused(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine, cut=None)
    assert seen(engine) == [None]
    with pytest.raises(InvalidRequest, match="no cut"):
        engine.add(deferred("open", PROMPT, lambda means: None))


def test_a_switch_settles_it(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    engine.add(deferred("waiting", PROMPT, lambda means: None))
    engine.step()
    engine.switch_mix("waiting", engine.resolve_mix("red"), "keep")
    assert tokens_of(drain(engine))["waiting", 0] == tokens_of_named(engine, "red")


@pytest.mark.parametrize("questions", [((3, 3),), ((-1, 2),), ((20, 22),), ((5, 4),)])
def test_questions_outside_the_prompt_are_refused(questions: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InvalidRequest, match="at least"):
        deferred("wrong", PROMPT, always(()), questions)


def test_a_mix_of_ones_own_cannot_be_deferred() -> None:
    named = request("named", PROMPT, (Term("0" * 64),))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="deferred"):
        replace(named, deferred=Deferred((QUESTION,), always(())))


def test_sampling_parameters_are_settled_with_the_mix(make_engine: MakeEngine) -> None:
    engine = above_cut(make_engine)
    red, params = engine.resolve_mix("red"), SamplingParams(max_tokens=8, temperature=1.0, seed=3, ignore_eos=True)
    engine.add(deferred("deferred", PROMPT, lambda means: Settled(red, params), seed=3))
    settled = tokens_of(drain(engine))["deferred", 0]
    engine.add(request("named", PROMPT, red, temperature=1.0, seed=3))
    named = tokens_of(drain(engine))["named", 0]
    assert settled == named
    assert settled != tokens_of_named(engine, "red")
