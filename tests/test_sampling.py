"""Whose sampling defaults hold: a value in the request, then the adapter's, then the model's, then ours."""

from __future__ import annotations

import json
import logging

import pytest
from transformers import GenerationConfig

from adaptrix_core.adapters.package.metadata import parse_metadata
from adaptrix_core.engine import GenerationRequest, SamplingParams
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.sampling import OURS, SamplingDefaults, asked_for, explained, first_opinions, from_generation_config
from tests.test_defaults import NAMES, SHIPPED

GREEDY = SamplingDefaults(temperature=0.0)
MODEL = SamplingDefaults(temperature=0.6, top_p=0.95, top_k=20)


def test_each_value_is_looked_up_by_itself() -> None:
    params = SamplingParams(top_k=3, max_tokens=5).with_defaults(GREEDY, MODEL)
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (0.0, 0.95, 3, 0.0)
    assert params.max_tokens == 5
    assert first_opinions(None, GREEDY, MODEL, OURS).named() == {
        "temperature": 0.0,
        "top_p": 0.95,
        "top_k": 20,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }


@pytest.mark.parametrize("name", SamplingDefaults.model_fields)
def test_a_value_in_the_request_always_wins_also_where_it_is_our_default(name: str) -> None:
    given = SamplingParams(**{name: OURS.named()[name]})
    asked = SamplingDefaults(temperature=0.5, top_p=0.5, top_k=5, min_p=0.5, repetition_penalty=1.5)
    assert getattr(given.with_defaults(asked), name) == OURS.named()[name]
    assert getattr(SamplingParams().with_defaults(asked), name) == asked.named()[name]


def test_several_choices_are_never_copies_of_one_by_default() -> None:
    assert SamplingParams(n=2).with_defaults(GREEDY, MODEL).temperature == 0.6
    assert SamplingParams(n=2).with_defaults(GREEDY, GREEDY).temperature == 1.0
    assert SamplingParams(n=2, temperature=0.0).with_defaults(MODEL).temperature == 0.0


def test_the_heaviest_adapter_of_a_mix_decides_and_the_first_of_a_fork_that_asks() -> None:
    assert asked_for([[(MODEL, 0.3), (GREEDY, 0.7)]]) == GREEDY
    assert asked_for([[(MODEL, 0.5), (GREEDY, 0.5)]]) == MODEL
    assert asked_for([[(None, 0.7), (GREEDY, 0.3)]]) is None, "the heaviest has no wish, so the model is asked"
    assert asked_for([[], [(GREEDY, 1.0)], [(MODEL, 1.0)]]) == GREEDY
    assert asked_for([[], []]) is None


def test_who_asks_for_what_is_told() -> None:
    told = explained(GREEDY, SamplingDefaults(temperature=0.6, top_p=0.95))
    assert told["temperature"] == (0.0, "adapter")
    assert told["top_p"] == (0.95, "model")
    assert told["top_k"] == (0, "default")


def test_a_request_that_asks_nobody_gets_ours() -> None:
    assert GenerationRequest("r", (1,)).params == SamplingParams().with_defaults()
    assert GenerationRequest("r", (1,)).params.temperature == 1.0


@pytest.mark.parametrize(
    ("document", "wishes"),
    [
        (
            {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "do_sample": True},
            {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
        ),
        ({"temperature": 0.6, "do_sample": False}, {"temperature": 0.0}),
        ({"eos_token_id": 2, "max_new_tokens": 7}, {}),
        ({"repetition_penalty": 1.1, "min_p": None}, {"repetition_penalty": 1.1}),
    ],
)
def test_a_generation_config_says_what_its_model_asks_for(
    document: dict[str, object], wishes: dict[str, float]
) -> None:
    loaded = GenerationConfig.from_dict(document).to_diff_dict()
    assert from_generation_config(loaded, "m").named() == wishes


def test_a_value_that_cannot_be_sampled_by_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        wishes = from_generation_config({"temperature": -1.0, "top_p": 0.9}, "org/model")
    assert wishes.named() == {"top_p": 0.9}
    assert "org/model" in caplog.text
    assert "temperature" in caplog.text


@pytest.mark.parametrize("sampling", [{"temperature": -1}, {"top_p": 0}, {"top_k": 1.5}, {"best_of": 3}])
def test_metadata_with_a_wish_that_cannot_be_is_refused(sampling: dict[str, object]) -> None:
    document = json.loads((SHIPPED / NAMES[0] / "metadata.json").read_bytes())
    document["sampling"] = sampling
    with pytest.raises(AdapterRejected, match="sampling"):
        parse_metadata(json.dumps(document).encode(), "changed")


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_adapters_ask_for_greedy_and_keep_it_when_they_are_written_again(name: str) -> None:
    metadata = parse_metadata((SHIPPED / name / "metadata.json").read_bytes(), name)
    assert metadata.sampling == GREEDY
    assert parse_metadata(metadata.to_json(), name) == metadata
