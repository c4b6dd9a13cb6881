"""The queue's limit: what can never fit is refused as such, what may fit later is refused for now, batches wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.rows.row import EXPECTED_OUTPUT
from adaptrix_core.errors import InvalidRequest, Overloaded
from tests.engine.driving import drain, request
from tests.tiny_models import random_prompts

MakeEngine = Callable[..., Engine]


def test_a_request_larger_than_the_whole_queue_is_invalid_not_overload(make_engine: MakeEngine) -> None:
    engine = make_engine(max_queue=4)
    with pytest.raises(InvalidRequest, match=r"makes 5 rows .* queue holds 4") as caught:
        engine.add(GenerationRequest("r", (2, 3), SamplingParams(n=5, max_tokens=1)))
    assert caught.value.param == "n"
    assert not engine.has_work


def test_a_full_queue_is_overload_and_names_the_setting(make_engine: MakeEngine) -> None:
    engine = make_engine(max_queue=2)
    engine.add(GenerationRequest("first", (2, 3), SamplingParams(n=2, max_tokens=1)))
    with pytest.raises(Overloaded, match=r"engine\.max_queue"):
        engine.add(GenerationRequest("second", (2, 3), SamplingParams(max_tokens=1)))
    while engine.has_work:
        engine.step()
    assert engine.add(GenerationRequest("second", (2, 3), SamplingParams(max_tokens=0)))
    engine.step()


def test_the_backlog_is_what_was_promised_and_not_computed_yet(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1, kv_cache_tokens=1024)
    engine.add(GenerationRequest("bounded", (2, 3, 4), SamplingParams(n=2, max_tokens=5, ignore_eos=True)))
    assert engine.stats()["backlog_tokens"] == 2 * (3 + 5)
    backlogs = []
    while engine.has_work:
        engine.step()
        backlogs.append(engine.scheduler.backlog_tokens)
    assert backlogs == sorted(backlogs, reverse=True)
    assert (backlogs[0], backlogs[-1]) == (2 * 8 - 3, 0)


def test_an_answer_without_a_limit_is_expected_to_be_of_ordinary_length(make_engine: MakeEngine) -> None:
    engine = make_engine(kv_cache_tokens=1024)
    engine.add(GenerationRequest("open", (2, 3), SamplingParams(max_tokens=None, ignore_eos=True)))
    room = engine.max_row_tokens - 2
    assert engine.scheduler.backlog_tokens == 2 + min(room, EXPECTED_OUTPUT)
    for _ in range(5):
        engine.step()
    assert engine.scheduler.backlog_tokens == 1 + min(room - 5, EXPECTED_OUTPUT)


def test_a_batch_larger_than_the_queue_is_generated_as_room_comes(make_engine: MakeEngine) -> None:
    engine = make_engine(max_queue=2, max_rows=2)
    prompts = random_prompts([3, 5, 4, 6, 3, 4, 5])
    params = SamplingParams(max_tokens=3, temperature=0.0, ignore_eos=True)
    together = engine.generate(prompts, None, params)
    assert [c.token_ids for c in together] == [engine.generate([p], None, params)[0].token_ids for p in prompts]


def test_rows_are_counted_under_each_adapter_that_they_use(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=1)
    red, blue = engine.resolve_mix("red"), engine.resolve_mix("blue")
    for name, mix in (("runs", red), ("waits", red), ("mixed", (*red, *blue)), ("base", ())):
        engine.add(request(name, (2, 3), mix, max_tokens=5))
    engine.step()
    assert engine.scheduler.rows_by_adapter() == {red[0].adapter: (1, 2), blue[0].adapter: (0, 1)}
    drain(engine)
    assert engine.scheduler.rows_by_adapter() == {}


@pytest.mark.parametrize("runs", [False, True])
def test_a_row_may_be_removed_again(make_engine: MakeEngine, runs: bool) -> None:
    engine = make_engine()
    [row] = engine.add(GenerationRequest("gone", (2, 3), SamplingParams(max_tokens=5, ignore_eos=True)))
    if runs:
        engine.step()
    for _ in range(2):
        engine.scheduler.remove(row)
        assert engine.scheduler.rows == []
    engine.abort("gone")
    assert engine.check_integrity() == []


def test_blocks_and_slots_in_the_wrong_hands_are_all_told(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [row] = engine.add(request("lost", (2, 3), engine.resolve_mix("red"), max_tokens=5))
    engine.step()
    scheduler = engine.scheduler
    assert scheduler.check_integrity() == []
    scheduler._running.remove(row)
    scheduler._waiting.add(row)
    pool, *others = scheduler.check_integrity()
    assert pool.startswith("layers 0-")
    assert others[-2:] == ["waiting row lost holds blocks", "waiting row lost holds slots"]
    engine.abort("lost")
    assert scheduler.check_integrity() == []
