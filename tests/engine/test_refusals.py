"""What the engine cannot do is refused with what, value and limit, and leaves nothing behind."""

from __future__ import annotations

import pytest

from adaptrix_core.engine import SamplingParams
from adaptrix_core.errors import AdapterNotFound, ContextLengthExceeded, InvalidRequest, Overloaded
from adaptrix_core.injection.mix import Term
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import drain, request, tokens_of
from tests.tiny_models import random_prompts

PROMPTS = random_prompts([3, 11, 1, 25], seed=5)


def test_a_prompt_over_the_context_is_refused_with_both_lengths(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=())
    with pytest.raises(ContextLengthExceeded, match=r"70 tokens.*64 tokens") as refusal:
        engine.generate([random_prompts([70])[0]])
    assert refusal.value.param == "messages"
    with pytest.raises(ContextLengthExceeded, match=r"11 tokens and max_tokens 60.*64 tokens") as refusal:
        engine.generate([PROMPTS[1]], None, SamplingParams(max_tokens=60))
    assert refusal.value.param == "max_tokens"


def test_a_prompt_over_the_kv_cache_is_refused_with_both_lengths(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=(), kv_cache_tokens=16)
    with pytest.raises(ContextLengthExceeded, match=r"25 tokens.*16 tokens"):
        engine.generate([PROMPTS[3]], None, SamplingParams(max_tokens=1))


def test_a_full_queue_refuses_a_request_and_keeps_nothing_of_it(make_engine: MakeEngine) -> None:
    engine = make_engine(max_queue=3)
    red = engine.resolve_mix("red")
    engine.add(request("kept", PROMPTS[0], n=2))
    with pytest.raises(Overloaded, match=r"2 rows wait and the queue holds 3.*2 more"):
        engine.add(request("refused", PROMPTS[1], red, n=2))
    assert engine.stats()["rows"] == {"running": 0, "waiting": 2}
    usage = engine.stats()["adapters"]["adapters"]
    assert [entry["pins"] for entry in usage.values()] == [0, 0]
    assert {event.request_id for event in drain(engine)} == {"kept"}
    engine.add(request("refused", PROMPTS[1], red, n=2))
    assert {event.request_id for event in drain(engine)} == {"refused"}


def test_a_batch_of_which_one_prompt_is_refused_leaves_nothing_behind(make_engine: MakeEngine) -> None:
    engine = make_engine()
    with pytest.raises(ContextLengthExceeded):
        engine.generate([PROMPTS[0], random_prompts([70])[0]], "red")
    assert not engine.has_work
    assert idle_faults(engine) == []


def test_a_request_id_in_use_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=())
    engine.add(request("same", PROMPTS[0], max_tokens=2))
    with pytest.raises(InvalidRequest, match="'same' is in use"):
        engine.add(request("same", PROMPTS[1]))
    assert len(tokens_of(drain(engine))["same", 0]) == 2


@pytest.mark.parametrize("token", [-1, 199, 1.5, "a", None])
def test_a_token_id_that_is_none_is_refused_before_it_reaches_a_step(make_engine: MakeEngine, token: object) -> None:
    engine = make_engine(adapters=())
    with pytest.raises(InvalidRequest, match=r"token id .* vocabulary \(0 to 198\)"):
        engine.generate([[5, token]])  # type: ignore[list-item]


def test_prompts_that_are_one_text_are_refused_rather_than_taken_letter_by_letter(make_engine: MakeEngine) -> None:
    with pytest.raises(InvalidRequest, match="list of prompts"):
        make_engine(adapters=()).generate("hello")


@pytest.mark.parametrize("prompts", [[[]], [""]])
def test_an_empty_prompt_is_refused(make_engine: MakeEngine, tokenizer, prompts) -> None:
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        make_engine(adapters=(), tokenizer=tokenizer).generate(prompts)


def test_text_without_a_tokenizer_is_refused(make_engine: MakeEngine) -> None:
    with pytest.raises(InvalidRequest, match="has no tokenizer; send token ids"):
        make_engine(adapters=()).generate(["hello"])


def test_an_unknown_adapter_is_refused_by_name(make_engine: MakeEngine) -> None:
    with pytest.raises(AdapterNotFound, match="green"):
        make_engine().generate([PROMPTS[0]], "green")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "much", None])
def test_a_mix_weight_that_is_no_number_is_refused(make_engine: MakeEngine, weight: object) -> None:
    engine = make_engine()
    with pytest.raises(InvalidRequest, match="weight of 'red'"):
        engine.generate([PROMPTS[0]], {"red": weight})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": (1.0, 2.0)}, "2 weights; the model has 4 layers"),
        ({"layers": frozenset({2, 4})}, r"layer 4; the model has 4 layers \(0 to 3\)"),
        ({"weight": float("nan")}, "nan"),
        ({"weight": (1.0, 1.0, float("inf"), 1.0)}, "inf"),
    ],
)
def test_a_term_that_does_not_fit_the_model_is_refused(make_engine: MakeEngine, options, message) -> None:
    engine = make_engine()
    mix = (Term(engine.resolve_mix("red")[0].adapter, **options),)
    with pytest.raises(InvalidRequest, match=message):
        engine.add(request("bad", PROMPTS[0], mix))
    engine.add(request("good", PROMPTS[0], max_tokens=3))
    with pytest.raises(InvalidRequest, match=message):
        engine.switch_mix("good", mix, "keep")
    assert len(tokens_of(drain(engine))["good", 0]) == 3
