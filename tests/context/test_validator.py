"""What a comparison of a mix with the base model reports, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from adaptrix_core.config import load_settings
from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context import ContextReport, ContextValidator
from adaptrix_core.engine import Engine
from adaptrix_core.engine.compute.inspected import INSPECTED_TOKENS
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, ConfigError, ContextLengthExceeded, InvalidRequest
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from tests.engine.conftest import MakeEngine, idle_faults
from tests.tiny_models import NUM_LAYERS, byte_tokenizer, random_base, random_prompts, random_weights

PROMPT = random_prompts([17], seed=5)[0]


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    """``red`` acts on layer 2 and above, ``mirrored`` on the same points with the other sign, ``blue`` elsewhere."""
    base = random_base()
    late = [(2, "self_attn.q_proj"), (2, "mlp.down_proj"), (3, "self_attn.v_proj")]
    red = random_weights(base, late, seed=1)
    mirrored = {p: PointWeights(w.lora_a, -w.lora_b, w.scaling) for p, w in red.points.items()}
    blue = random_weights(base, [(0, "mlp.down_proj")], seed=2)
    return make_engine(base=base, adapters={"red": red, "mirrored": LoraWeights(mirrored), "blue": blue})


def compared(engine: Engine, adapters: object, **options: object) -> ContextReport:
    return ContextValidator(engine).compare(PROMPT, adapters, **options)  # type: ignore[arg-type]


def test_layers_below_the_first_adapted_one_are_untouched_and_those_above_drift(engine: Engine) -> None:
    report = compared(engine, "red")
    assert report.layers == tuple(range(NUM_LAYERS))
    assert report.similarity.shape == (NUM_LAYERS, len(PROMPT))
    assert report.similarity[:2].min() > 1 - 1e-6
    assert report.similarity[2:].max() < 1 - 1e-4
    assert report.attention_drift is not None
    assert report.attention_drift.shape == (NUM_LAYERS, engine.base.info.num_heads, len(PROMPT))
    assert report.attention_drift[:2].max() == 0.0
    assert report.attention_drift[2:, :, 1:].mean() > 0.01
    assert report.attention_drift[:, :, 0].max() == 0.0  # the first token sees itself alone
    assert report.divergence.mean() > 0.01
    assert report.conflicts == ()


def test_a_larger_weight_drifts_further_and_weight_0_not_at_all(engine: Engine) -> None:
    reports = [compared(engine, {"red": weight}) for weight in (0.0, 0.1, 0.3, 1.0)]
    means = [float(report.similarity[-1].mean()) for report in reports]
    assert means == sorted(means, reverse=True)
    assert means[0] > 1 - 1e-6
    assert reports[0].divergence.mean() < 1e-6
    assert reports[0].agreement.all()
    assert not reports[-1].agreement.all()


def test_what_counts_as_drifted_is_what_the_thresholds_say(engine: Engine) -> None:
    report = compared(engine, "red")
    by_layer = report.layer_similarity
    limit = (by_layer[2] + by_layer[3]) / 2
    strict = ContextValidator(engine, ContextSettings(similarity=limit)).compare(PROMPT, "red")
    assert strict.drifted_layers == tuple(layer for layer, value in by_layer.items() if value < limit)
    assert len(strict.drifted_layers) == 1
    means = report.similarity.mean(0)
    assert strict.drifted_tokens == tuple((means < limit).nonzero()[:, 0].tolist())
    assert ContextValidator(engine, ContextSettings(similarity=0.0)).compare(PROMPT, "red").drifted_layers == ()


def test_adapters_that_undo_each_other_conflict_and_equal_ones_do_not(engine: Engine) -> None:
    [opposed] = compared(engine, {"red": 0.05, "mirrored": 0.05}).conflicts
    assert {opposed.one, opposed.other} == {"red", "mirrored"}
    assert opposed.largest > 0.9
    assert opposed.by_layer[0] is None
    [alike] = compared(engine, {"red": 0.05, "mirrored": -0.05}).conflicts
    assert alike.largest < 0.1
    thresholds = ContextSettings(conflict=0.7)
    for weight, count in ((0.05, 1), (-0.05, 0)):
        report = ContextValidator(engine, thresholds).compare(PROMPT, {"red": 0.05, "mirrored": weight})
        assert len(report.conflicting) == count


def test_of_a_choice_of_layers_only_these_are_reported(engine: Engine) -> None:
    whole, part = compared(engine, "red"), compared(engine, "red", layers=[3, 1])
    assert part.layers == (1, 3)
    assert torch.equal(part.similarity, whole.similarity[[1, 3]])
    assert torch.equal(part.attention_drift, whole.attention_drift[[1, 3]])  # type: ignore[index, arg-type]
    assert torch.equal(part.divergence, whole.divergence)


def test_without_attention_everything_else_is_the_same(engine: Engine) -> None:
    whole, part = compared(engine, "red"), compared(engine, "red", attention=False)
    assert part.attention_drift is None
    assert torch.equal(part.similarity, whole.similarity)
    assert torch.equal(part.similarity, ContextValidator(engine).similarity(PROMPT, "red"))


def test_one_token_is_a_prompt(engine: Engine) -> None:
    report = ContextValidator(engine).compare(PROMPT[:1], {"red": 1.0, "blue": 0.5})
    assert report.similarity.shape == (NUM_LAYERS, 1)
    assert report.attention_drift is not None
    assert report.attention_drift.max() == 0.0
    json.dumps(report.as_dict(), allow_nan=False)


def test_the_json_form_says_what_the_report_says(engine: Engine) -> None:
    report = compared(engine, {"red": 0.7, "blue": 0.3})
    document = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert document["mix"] == "red*0.7+blue*0.3"
    assert document["tokens"] == [str(token) for token in PROMPT]
    assert torch.allclose(torch.tensor(document["similarity"]), report.similarity, atol=1e-5)
    assert document["coherence"]["mean_agreement"] == pytest.approx(float(report.agreement.float().mean()), abs=1e-5)
    assert len(document["attention_drift_by_head"][0]) == engine.base.info.num_heads
    assert [len(row) for row in document["attention_drift"]] == [len(PROMPT)] * NUM_LAYERS
    assert document["conflicts"][0]["adapters"] == ["red", "blue"]


def test_tokens_are_shown_as_text_where_there_is_a_tokenizer(make_engine: MakeEngine) -> None:
    engine = make_engine(tokenizer=byte_tokenizer())
    assert "".join(ContextValidator(engine).compare("the quick fox", "red").tokens) == "the quick fox"


def test_bad_input_is_refused_by_name_and_leaves_nothing_behind(engine: Engine) -> None:
    validator = ContextValidator(engine)
    for prompt, adapters, options, error, message in (
        ([], "red", {}, InvalidRequest, "empty"),
        (PROMPT, None, {}, InvalidRequest, "no adapter to compare"),
        (PROMPT, {}, {}, InvalidRequest, "no adapter to compare"),
        (PROMPT, "nobody", {}, AdapterNotFound, "nobody"),
        (PROMPT, "red", {"layers": [2, 7]}, InvalidRequest, "layer 7 is named; the model has 4 layers"),
        (PROMPT, "red", {"layers": [-1]}, InvalidRequest, "layer -1"),
        (PROMPT, "red", {"layers": []}, InvalidRequest, "no layer is named"),
        (PROMPT * 9, "red", {}, ContextLengthExceeded, "153 tokens"),
        (PROMPT, {"red": float("nan")}, {}, InvalidRequest, "finite"),
        (PROMPT, {"red": 1e38}, {}, AdapterRejected, r"layer \d are not finite at token \d+, under red"),
    ):
        with pytest.raises(error, match=message):
            validator.compare(prompt, adapters, **options)  # type: ignore[arg-type]
    assert idle_faults(engine) == []


def test_a_base_whose_states_are_no_numbers_is_told_from_a_broken_mix(make_engine: MakeEngine) -> None:
    base = random_base()
    with torch.no_grad():
        base.module.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(Exception, match="layer 1 are not finite at token 0, in the base model itself"):
        ContextValidator(make_engine(base=base)).compare(PROMPT, "red")


def test_a_prompt_too_long_to_keep_its_inside_is_refused_before_it_is_computed(make_engine: MakeEngine) -> None:
    engine = make_engine(base=random_base(max_position_embeddings=4096), kv_cache_tokens=4096)
    with pytest.raises(ContextLengthExceeded, match=f"{INSPECTED_TOKENS} can be inspected"):
        ContextValidator(engine).compare([3] * (INSPECTED_TOKENS + 1), "red")


def test_thresholds_are_settings_with_limits(tmp_path: Path) -> None:
    settings = load_settings({"context": {"similarity": 0.9, "conflict": 0.6}}, tmp_path)
    assert (settings.context.similarity, settings.context.conflict) == (0.9, 0.6)
    with pytest.raises(ConfigError, match=r"context\.similarity"):
        load_settings({"context": {"similarity": 1.5}}, tmp_path)
