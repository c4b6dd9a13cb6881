"""The engine as its users meet it: made from files, adapters by name, facts and counts."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

import adaptrix_core
from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.config.sections import EngineSettings
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import AdapterRejected, InvalidRequest
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request
from tests.engine.peft_cases import save_peft
from tests.tiny_models import NUM_LAYERS, random_module, random_prompts

PROMPTS = random_prompts([5, 9])
SHORT = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)


@pytest.fixture
def model_dir(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    directory = tmp_path / "model"
    random_module(vocab_size=len(tokenizer)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_the_names_of_the_package_are_the_engines() -> None:
    assert adaptrix_core.Engine is Engine
    assert adaptrix_core.SamplingParams is SamplingParams


def test_an_engine_from_files_generates_text_with_a_peft_adapter_where_trust_is_off(model_dir: Path) -> None:
    save_peft(random_module(vocab_size=400), model_dir.parent / "peft")
    engine = Engine.from_pretrained(str(model_dir), "cpu", "fp32", model_dir.parent / "catalogue", trust="off")
    adapter = engine.load_adapter(model_dir.parent / "peft" / "everything", "mine")
    plain, adapted = engine.generate(["the fox"] * 2, [None, "mine"], SHORT)
    assert plain.text != adapted.text
    assert (plain.weights_digest, adapted.weights_digest) == (None, adapter.weights_digest)
    assert [term.adapter for term in adapted.mix] == [adapter.weights_digest]
    engine.loader.close()


def test_an_unsigned_adapter_is_refused_unless_trust_is_off(model_dir: Path) -> None:
    save_peft(random_module(vocab_size=400), model_dir.parent / "peft")
    engine = Engine.from_pretrained(str(model_dir), "cpu", "fp32", model_dir.parent / "catalogue")
    with pytest.raises(AdapterRejected, match="adaptrix import"):
        engine.load_adapter(model_dir.parent / "peft" / "everything", "mine")
    assert engine.stats()["adapters"]["adapters"] == {}
    engine.loader.close()


def test_counts_are_of_what_was_computed(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=1)
    engine.generate(PROMPTS, [None, "red"], SHORT)
    stats = engine.stats()
    computed = sum(len(prompt) + 5 for prompt in PROMPTS)  # the last token of a row is never computed
    assert stats["layer_tokens"] == [
        {"layers": [0, 0], "computed": computed, "taken_over": 0},
        {"layers": [1, NUM_LAYERS - 1], "computed": computed * (NUM_LAYERS - 1), "taken_over": 0},
    ]
    assert (stats["steps"], stats["tokens_generated"], stats["preemptions"]) == (6, 12, 0)
    assert stats["rows"] == {"running": 0, "waiting": 0}
    assert stats["kv_blocks"] == {"used": 0, "total": 256, "block_size": 4}
    assert stats["base"]["num_layers"] == NUM_LAYERS


def test_blocks_in_use_are_those_of_the_running_rows(make_engine: MakeEngine) -> None:
    engine = make_engine(adapters=())
    engine.add(request("r", PROMPTS[1], max_tokens=8))
    engine.step()
    assert engine.stats()["kv_blocks"]["used"] == 3
    assert engine.stats()["rows"] == {"running": 1, "waiting": 0}
    engine.abort("r")
    assert engine.stats()["kv_blocks"]["used"] == 0


def test_times_are_in_order(make_engine: MakeEngine) -> None:
    for completion in make_engine(max_rows=1).generate(PROMPTS, None, SHORT):
        times = completion.timings
        assert 0 <= times.queued_s <= times.first_token_s <= times.total_s


def test_the_last_event_of_a_row_tells_how_it_went(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1, cut=1)
    engine.add(request("one", PROMPTS[1], engine.resolve_mix("red"), max_tokens=3))
    for name in ("two", "three"):
        engine.add(request(name, PROMPTS[1], max_tokens=3))
    began = time.time()
    events = drain(engine)
    ends = {event.request_id: event.timings for event in events if event.timings is not None}
    assert [event.finish_reason for event in events if event.timings is not None] == ["length"] * 3
    one, two, three = ends["one"], ends["two"], ends["three"]
    assert 0 < one.load_s <= one.queued_s < one.first_token_s < one.total_s
    assert one.arrived_at + one.first_token_s < two.arrived_at + two.queued_s, "the second waits for the first"
    assert two.load_s == 0, "the base model has nothing to load"
    assert began - 60 < one.arrived_at < two.arrived_at < began, "by the clock on the wall"
    assert one.taken_over == (0, 0)
    assert two.taken_over == (0, 0), "red acts in the trunk already"
    assert three.taken_over == (8, 8), "two full blocks of nine tokens"


def test_a_row_that_never_ran_was_queued_all_of_its_time(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    for name in ("one", "two"):
        engine.add(request(name, PROMPTS[1]))
    engine.step()
    (end,) = engine.abort("two")
    assert end.timings is not None
    assert end.timings.queued_s == end.timings.total_s > end.timings.first_token_s == 0


def test_a_row_knows_how_often_it_was_preempted(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    engine.add(request("patient", PROMPTS[0], max_tokens=3))
    engine.step()
    engine.add(request("urgent", PROMPTS[1], max_tokens=2, priority=-1))
    ends = {}
    while engine.has_work:
        ends |= {e.request_id: e.timings for e in engine.step() if e.timings is not None}
    assert {name: times.num_preemptions for name, times in ends.items()} == {"patient": 1, "urgent": 0}


def test_a_mix_under_a_name_and_with_weight_one_is_the_same(make_engine: MakeEngine) -> None:
    engine = make_engine()
    assert engine.resolve_mix("red") == engine.resolve_mix({"red": 1}) != engine.resolve_mix({"red": 0.5})
    assert engine.resolve_mix(None) == engine.resolve_mix({}) == ()


def test_one_adapter_for_all_or_one_per_prompt(make_engine: MakeEngine) -> None:
    engine = make_engine()
    assert [c.token_ids for c in engine.generate(PROMPTS, "red", SHORT)] == [
        c.token_ids for c in engine.generate(PROMPTS, ["red", "red"], SHORT)
    ]
    with pytest.raises(InvalidRequest, match="3 adapters for 2 prompts"):
        engine.generate(PROMPTS, ["red", None, "red"], SHORT)


def test_no_prompts_no_completions(make_engine: MakeEngine) -> None:
    assert make_engine().generate([]) == []


@pytest.mark.parametrize(
    "option", ["max_rows", "max_batch_tokens", "mixed_prefill_tokens", "max_queue", "block_size", "kv_cache_tokens"]
)
def test_an_engine_of_size_zero_is_refused(option: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{option} is 0; it must be at least 1"):
        EngineOptions(**{option: 0})


@pytest.mark.parametrize("cut", [0, 4, -1])
def test_a_cut_outside_the_layers_is_refused_with_their_number(make_engine: MakeEngine, cut: int) -> None:
    with pytest.raises(InvalidRequest, match=rf"cut is {cut}; .*4 layers \(1 to 3\)"):
        make_engine(adapters=(), cut=cut)


def test_two_engines_on_one_base_do_not_disturb_each_other(make_engine: MakeEngine, tmp_path: Path) -> None:
    first = make_engine()
    expected = first.generate(PROMPTS, "red", SHORT)
    second = Engine(first.base, tmp_path / "other", TrustPolicy("off"), EngineOptions(kv_cache_tokens=256))
    second.generate(PROMPTS, None, SHORT)
    first.add(request("running", PROMPTS[0], first.resolve_mix("red"), max_tokens=6))
    first.step()
    [unadapted] = second.generate([PROMPTS[0]], None, SHORT)
    drain(first)
    assert [c.token_ids for c in first.generate(PROMPTS, "red", SHORT)] == [c.token_ids for c in expected]
    assert unadapted.token_ids == first.generate([PROMPTS[0]], None, SHORT)[0].token_ids
    second.loader.close()


def test_options_and_settings_have_one_naming_and_one_set_of_defaults() -> None:
    """But for the cut: 0 in the settings is None here, since only a catalogue says where adapters begin."""
    options = {field.name: field.default for field in dataclasses.fields(EngineOptions) if field.name != "cut"}
    settings = EngineSettings()
    assert options == {name: getattr(settings, name) for name in options}
