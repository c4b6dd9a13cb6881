"""Anchoring reduces a mix exactly from where it drifts on, and gives what such weights give."""

from __future__ import annotations

import pytest
import torch

from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context import ContextValidator
from adaptrix_core.context.anchoring import AnchoredMix, anchored, reduced
from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.choices import terms_of
from adaptrix_core.errors import AdapterNotFound, InvalidRequest
from adaptrix_core.injection.mix import Term, constant
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import drain, tokens_of
from tests.tiny_models import NUM_LAYERS, random_base, random_prompts, random_weights

PROMPT = random_prompts([17], seed=5)[0]
MIX = {"red": 0.8, "blue": -0.3}
GREEDY = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    """``red`` on layers 1 and 2, ``blue`` on layer 3."""
    base = random_base()
    late = [(3, "self_attn.v_proj"), (3, "mlp.down_proj")]
    return make_engine(
        base=base, adapters={"red": random_weights(base, seed=1), "blue": random_weights(base, late, seed=2)}
    )


def anchored_at(engine: Engine, by: str, similarity: float, factor: float = 0.25) -> AnchoredMix:
    settings = ContextSettings(similarity=similarity, anchor_factor=factor)
    return anchored(engine, PROMPT, MIX, by, settings)  # type: ignore[arg-type]


def answer(engine: Engine, mix: AnchoredMix) -> list[int]:
    engine.add(GenerationRequest("anchored", tuple(PROMPT), GREEDY, schedules=(mix.resolved(engine),)))
    return tokens_of(drain(engine))["anchored", 0]


def test_weights_are_reduced_from_the_first_drifted_layer_on(engine: Engine) -> None:
    by_layer = ContextValidator(engine).compare(PROMPT, MIX).layer_similarity
    limit = (min(by_layer[0], by_layer[1]) + by_layer[2]) / 2
    assert by_layer[2] < limit < by_layer[1], "the mix no longer drifts step by step, so this test shows nothing"
    found = anchored_at(engine, "layer", limit)
    assert found.since == 2
    assert found.similarity == pytest.approx(list(by_layer.values()), abs=1e-6)
    assert [term.weight for term in found.terms] == [(0.8, 0.8, 0.2, 0.2), (-0.3, -0.3, -0.075, -0.075)]
    assert [(start, len(terms)) for start, terms in found.schedule] == [(0, 2)]


def test_weights_are_reduced_from_the_first_drifted_token_on(engine: Engine) -> None:
    similarity = ContextValidator(engine).similarity(PROMPT, MIX)
    by_token = similarity[1:].mean(0)  # the layers from the first adapted one on
    limit = float(by_token.sort().values[:2].mean())  # the most drifted token alone is below it
    found = anchored_at(engine, "token", limit)
    assert found.since == int(by_token.argmin())
    assert found.similarity == pytest.approx(by_token.tolist(), abs=1e-6)
    assert [start for start, _ in found.schedule] == ([0] if found.since == 0 else [0, found.since])
    assert found.terms == reduced(terms_of(MIX), 0, 0.25, NUM_LAYERS)
    if found.since:
        assert found.schedule[0][1] == terms_of(MIX)


def test_the_answer_is_that_of_the_reduced_weights(engine: Engine) -> None:
    expected = engine.generate([PROMPT], tuple(reduced(terms_of(MIX), 1, 0.25, NUM_LAYERS)), GREEDY)[0]
    found = anchored_at(engine, "layer", 0.9999)
    assert found.since == 1
    assert tuple(answer(engine, found)) == expected.token_ids
    assert expected.token_ids != engine.generate([PROMPT], MIX, GREEDY)[0].token_ids


def test_an_anchored_run_is_nearer_to_the_base(engine: Engine) -> None:
    whole = ContextValidator(engine).similarity(PROMPT, MIX)
    found = anchored_at(engine, "layer", 0.9999)
    assert ContextValidator(engine).similarity(PROMPT, found.terms)[1:].mean() > whole[1:].mean() + 0.01


@pytest.mark.parametrize("by", ["layer", "token"])
def test_without_drift_the_mix_stays_as_it_is(engine: Engine, by: str) -> None:
    small = {"red": 0.01}
    found = anchored(engine, PROMPT, small, by, ContextSettings(similarity=0.5))  # type: ignore[arg-type]
    assert found.since is None
    assert found.schedule == ((0, terms_of(small)),)
    assert found.resolved(engine) == constant(engine.resolve_mix(small))


def test_equal_prompts_are_anchored_alike(engine: Engine) -> None:
    assert anchored_at(engine, "token", 0.7) == anchored_at(engine, "token", 0.7)
    assert anchored_at(engine, "layer", 0.7) == anchored_at(engine, "layer", 0.7)


def test_weights_per_layer_and_chosen_layers_keep_their_meaning() -> None:
    terms = (Term("red", (0.1, 0.2, 0.3, 0.4), frozenset({1, 3})), Term("blue", 0.5))
    one, other = reduced(terms, 2, 0.5, NUM_LAYERS)
    assert one.weight == pytest.approx((0.1, 0.2, 0.15, 0.2))
    assert one.layers == frozenset({1, 3})
    assert other.weight == (0.5, 0.5, 0.25, 0.25)


def test_the_base_alone_cannot_drift(engine: Engine) -> None:
    found = anchored(engine, PROMPT, None, "layer")
    assert (found.schedule, found.since) == (((0, ()),), None)


def test_bad_input_is_refused_and_leaves_nothing_behind(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        anchored(engine, [], "red", "layer")
    with pytest.raises(AdapterNotFound, match="nobody"):
        anchored(engine, PROMPT, "nobody", "token")
    assert idle_faults(engine) == []


def test_one_token_can_be_anchored(engine: Engine) -> None:
    found = anchored(engine, PROMPT[:1], MIX, "token", ContextSettings(similarity=1.0))
    assert found.since == 0
    assert torch.tensor(found.similarity).shape == (1,)
