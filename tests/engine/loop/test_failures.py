"""A row that breaks its step ends alone and says why; the others of the step go on, and the next request is served."""

from __future__ import annotations

import math

import pytest
import torch

from adaptrix_core.engine import Engine
from adaptrix_core.injection.lora import PointWeights
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import drain, request, tokens_of
from tests.tiny_models import random_prompts

PROMPTS = random_prompts([4, 9, 6])


def on_device(engine: Engine, name: str) -> list[PointWeights]:
    """An adapter's matrices there, brought there first."""
    [term] = engine.resolve_mix(name)
    engine.generate([PROMPTS[0]], name, request("x", PROMPTS[0], max_tokens=1).params)
    banks = engine._backend.injector._backend._banks.values()
    return [bank[term.adapter] for bank in banks if term.adapter in bank]


def break_on_device(engine: Engine, name: str) -> None:
    """Give an adapter on the device a matrix of a shape that cannot be multiplied."""
    on_device(engine, name)
    [term] = engine.resolve_mix(name)
    for bank in engine._backend.injector._backend._banks.values():
        if term.adapter in bank:
            bank[term.adapter] = PointWeights(torch.zeros(2, 5), torch.zeros(7, 2), 1.0)


def break_in_host_memory(engine: Engine, name: str) -> None:
    """Give an adapter in host memory a matrix that the device refuses."""
    points = engine.loader.load(name).weights.points
    assert isinstance(points, dict)
    points[next(iter(points))] = PointWeights(torch.zeros(2, 5), torch.zeros(7, 2), 1.0)


def step_or_fail(engine: Engine) -> list:
    """One step as the engine's thread takes it."""
    try:
        return engine.step()
    except Exception as error:
        return engine.fail_running(error)


def test_generate_raises_and_leaves_nothing_behind(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [expected] = engine.generate([PROMPTS[1]], "blue", request("x", PROMPTS[1]).params)
    break_on_device(engine, "red")
    with pytest.raises(RuntimeError, match="shape"):
        engine.generate(PROMPTS, ["red", None, "blue"], request("x", PROMPTS[0]).params)
    assert not engine.has_work
    assert idle_faults(engine) == []
    [again] = engine.generate([PROMPTS[1]], "blue", request("x", PROMPTS[1]).params)
    assert again.token_ids == expected.token_ids


def test_logits_raise_and_leave_nothing_behind(make_engine: MakeEngine) -> None:
    engine = make_engine()
    break_on_device(engine, "red")
    with pytest.raises(RuntimeError, match="shape"):
        engine.logits(PROMPTS, ["blue", "red", None])
    assert not engine.has_work
    assert len(engine.logits([PROMPTS[0]])[0]) == len(PROMPTS[0])


@pytest.mark.parametrize("place", range(5))
def test_the_row_at_fault_is_found_among_the_rows_of_its_step(make_engine: MakeEngine, place: int) -> None:
    engine = make_engine(max_rows=5)
    blue = engine.resolve_mix("blue")
    requests = {f"good{i}": request(f"good{i}", PROMPTS[i % 3], *([blue] if i % 2 else []), seed=i) for i in range(4)}
    alone = {}
    for wanted in requests.values():
        engine.add(wanted)
        alone.update(tokens_of(drain(engine)))
    break_on_device(engine, "red")
    order = list(requests.values())
    order.insert(place, request("broken", PROMPTS[0], engine.resolve_mix("red")))
    for wanted in order:
        engine.add(wanted)
    engine.add(request("waiting", PROMPTS[2], max_tokens=5))
    events = drain(engine)
    ends = {event.request_id: event for event in events if event.finish_reason is not None}
    assert "RuntimeError" in ends["broken"].error
    assert "shape" in ends["broken"].error
    found = tokens_of(events)
    assert {key: found[key] for key in alone} == alone
    assert len(found["waiting", 0]) == 5


def test_weights_that_are_not_finite_end_their_own_row(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.add(request("alone", PROMPTS[1], engine.resolve_mix("blue")))
    alone = tokens_of(drain(engine))["alone", 0]
    for weights in on_device(engine, "red"):
        weights.lora_b.fill_(math.nan)
    for name, temperature in (("greedy", 0.0), ("sampled", 1.0)):
        engine.add(request(name, PROMPTS[0], engine.resolve_mix("red"), temperature=temperature))
    engine.add(request("beside", PROMPTS[1], engine.resolve_mix("blue")))
    events = drain(engine)
    ends = {event.request_id: event for event in events if event.finish_reason is not None}
    assert "not finite" in ends["greedy"].error
    assert "not finite" in ends["sampled"].error
    assert tokens_of(events)["beside", 0] == alone


def test_a_row_that_cannot_even_begin_leaves_the_running_ones_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    mix = engine.resolve_mix("red")
    break_in_host_memory(engine, "red")
    engine.add(request("running", PROMPTS[1], engine.resolve_mix("blue"), max_tokens=5))
    events = step_or_fail(engine)
    engine.add(request("broken", PROMPTS[0], mix))
    failed = step_or_fail(engine)
    assert [(event.request_id, event.finish_reason) for event in failed] == [("broken", "error")]
    assert len(tokens_of(events + drain(engine))["running", 0]) == 5


def test_a_row_that_cannot_even_begin_ends_and_does_not_block_the_queue(make_engine: MakeEngine) -> None:
    engine = make_engine()
    mix = engine.resolve_mix("red")
    break_in_host_memory(engine, "red")
    engine.add(request("broken", PROMPTS[0], mix))
    engine.add(request("next", PROMPTS[1], engine.resolve_mix("blue"), max_tokens=5))
    events = step_or_fail(engine)
    assert [(event.request_id, event.finish_reason) for event in events] == [("broken", "error")]
    assert events[0].failure.code == "bad_shape"
    assert len(tokens_of(drain(engine))["next", 0]) == 5


def test_a_step_that_fails_before_a_row_is_planned_ends_the_rows_that_have_begun_or_else_all(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(max_rows=1)
    for has_begun, ended in ((True, {"first"}), (False, {"first", "second"})):
        for name in ("first", "second"):
            engine.add(request(name, PROMPTS[0]))
        if has_begun:
            engine.step()
        events = engine.fail_running(RuntimeError("lost"))
        assert {(event.request_id, event.finish_reason) for event in events} == {(name, "error") for name in ended}
        drain(engine)
    fresh = make_engine()
    fresh.add(request("never stepped", PROMPTS[0]))
    assert [event.request_id for event in fresh.fail_running(RuntimeError("lost"))] == ["never stepped"]


def test_a_row_whose_text_cannot_be_made_ends_alone_and_says_why(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    [expected] = engine.generate([PROMPTS[1]], None, request("x", PROMPTS[1], max_tokens=4).params)
    [broken] = engine.add(request("broken", PROMPTS[0], engine.resolve_mix("red"), max_tokens=4))
    engine.add(request("beside", PROMPTS[1], max_tokens=4))

    def push(token_id: int) -> str:
        raise ValueError(f"no text for {token_id}")

    monkeypatch.setattr(broken.text, "push", push)
    events = engine.step()
    [end] = [event for event in events if event.request_id == "broken"]
    assert end.finish_reason == "error"
    assert isinstance(end.failure, ValueError)
    assert end.error
    tokens = tokens_of(events + drain(engine))
    assert tokens["beside", 0] == list(expected.token_ids)
