"""What an inspected run keeps is what transformers computes: states and attention weights, over every family."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from adaptrix_core.engine import SamplingParams
from adaptrix_core.errors import AdapterNotFound, ContextLengthExceeded, InvalidRequest, Overloaded
from adaptrix_core.injection.mix import Term
from tests.engine.conftest import idle_faults
from tests.engine.peft_cases import TOLERANCE, Case, build_case, relative_error
from tests.tiny_models import CONFIGS, CONTEXT, NUM_LAYERS, random_prompts

PROMPT = random_prompts([23], seed=5)[0]


@pytest.fixture(scope="module", params=list(CONFIGS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case("llama", tmp_path_factory.mktemp("llama"))
    yield built
    built.engine.loader.close()


def transformers_run(case: Case, adapter: str | None) -> tuple[list[Tensor], list[Tensor]]:
    """(states that leave each layer but the last, attention weights of each layer) by the merged model, eagerly."""
    model = case.plain if adapter is None else case.merged[adapter]
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([PROMPT]), output_hidden_states=True, output_attentions=True)
    return [states[0] for states in output.hidden_states[1:NUM_LAYERS]], [w[0] for w in output.attentions]


@pytest.mark.parametrize("adapter", [None, "everything", "patterned"])
def test_states_and_attention_are_those_of_the_merged_model(case: Case, adapter: str | None) -> None:
    run = case.engine.inspect(PROMPT, adapter)
    states, weights = transformers_run(case, adapter)
    assert run.states.shape == (NUM_LAYERS, len(PROMPT), 64)
    for ours, theirs in zip(run.states[:-1], states, strict=True):
        assert relative_error(ours, theirs) < TOLERANCE
    for inputs, expected in zip(run.attention, weights, strict=True):
        whole = inputs.weights(0, len(PROMPT))
        assert (whole - expected).abs().max() < TOLERANCE
        assert torch.equal(torch.cat([inputs.weights(0, 9), inputs.weights(9, len(PROMPT))], 1), whole)


@pytest.mark.parametrize("choice", [None, "rslora", {"everything": 0.7, "patterned": -0.4}])
def test_the_states_that_leave_the_last_layer_are_those_that_requests_are_answered_from(
    case: Case, choice: object
) -> None:
    run = case.engine.inspect(PROMPT, choice)
    [expected] = case.engine.logits([PROMPT], choice)  # type: ignore[arg-type]
    with torch.inference_mode():
        assert relative_error(case.engine.base.head(run.states[-1]), expected) < TOLERANCE


def test_an_inspection_holds_nothing_afterwards_and_disturbs_no_running_row(llama: Case) -> None:
    engine, params = llama.engine, SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
    [expected] = engine.generate([PROMPT], "rslora", params)
    seen = []
    for event in engine.stream(PROMPT, "rslora", params):
        seen.append(event.token_id)
        engine.inspect(PROMPT, "everything")
    assert tuple(token for token in seen if token is not None) == expected.token_ids
    assert idle_faults(engine) == []


def test_what_cannot_be_inspected_is_refused_by_name(llama: Case) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        llama.engine.inspect([])
    with pytest.raises(InvalidRequest, match="not in the vocabulary"):
        llama.engine.inspect([10**6])
    with pytest.raises(ContextLengthExceeded, match=f"{CONTEXT + 1} tokens"):
        llama.engine.inspect([3] * (CONTEXT + 1))
    with pytest.raises(AdapterNotFound, match="nobody"):
        llama.engine.inspect(PROMPT, "nobody")
    with pytest.raises(InvalidRequest, match="4 layers"):
        llama.engine.inspect(PROMPT, (Term("rslora", 1.0, frozenset({9})),))
    assert idle_faults(llama.engine) == []


def test_adapters_that_find_no_room_beside_running_ones_are_told_to_wait(make_engine) -> None:
    engine = make_engine(loader={"device_budget_bytes": 30_000})
    held = {name: engine.loader.load(name).weights.nbytes for name in ("red", "blue")}
    assert max(held.values()) <= 30_000 < sum(held.values()), held
    stream = engine.stream(PROMPT, "red", SamplingParams(max_tokens=8, ignore_eos=True))
    next(stream)
    with pytest.raises(Overloaded, match="no room"):
        engine.inspect(PROMPT, "blue")
    stream.close()
    assert engine.inspect(PROMPT, "blue").states.isfinite().all()
