"""What a grammar may cost is bounded, and building one keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine import EngineLoop, SamplingParams
from adaptrix_core.engine.rows.constraint import GrammarCompiler
from adaptrix_core.engine.rows.grammar_trial import GrammarTrial
from adaptrix_core.engine.rows.output_form import json_grammar
from adaptrix_core.errors import InvalidRequest, Overloaded
from adaptrix_core.request_limits import MOST
from tests.engine.conftest import MakeEngine
from tests.engine.driving import request


def intersection(count: int) -> dict[str, Any]:
    """A schema of some 50 bytes for each pattern; building it takes time exponential in their number."""
    return {"allOf": [{"type": "string", "pattern": f".*a.{{{number}}}b.*"} for number in range(5, 5 + count)]}


COSTLY = json_grammar(intersection(35))
HARMLESS = json_grammar({"type": "object", "properties": {"a": {"type": "integer"}}})


@pytest.fixture
def compiler(tokenizer: PreTrainedTokenizerFast) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, len(tokenizer))


def test_a_grammar_that_takes_too_long_is_refused_by_name_and_the_next_one_is_built(compiler: GrammarCompiler) -> None:
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(InvalidRequest, match="takes more than 1 s to prepare") as refusal:
            compiler.compile(COSTLY)
        assert refusal.value.code == "grammar_too_costly"
        assert refusal.value.param == "grammar"
    assert compiler.compile(HARMLESS).failure is None


def test_a_refusal_is_remembered_and_not_tried_again(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(GrammarTrial, "check", lambda self, grammar: tried.append(grammar))
    for _ in range(3):
        with pytest.raises(InvalidRequest, match="cannot be used"):
            compiler.compile(json_grammar({"type": "no-such-type"}))
        compiler.compile(HARMLESS)
    assert len(tried) == 2


def test_a_grammar_that_is_too_large_is_refused_unread(compiler: GrammarCompiler) -> None:
    with pytest.raises(InvalidRequest, match=f"the limit is {MOST.grammar_characters}") as refusal:
        compiler.compile(json_grammar({"enum": ["x" * MOST.grammar_characters]}))
    assert refusal.value.code == "grammar_too_large"


def test_large_harmless_schemas_are_built(compiler: GrammarCompiler) -> None:
    properties = {f"property_{number}": {"type": "string"} for number in range(300)}
    values = [f"value {number}" for number in range(5000)]
    for schema in ({"type": "object", "properties": properties}, {"enum": values}):
        assert compiler.compile(json_grammar(schema)).failure is None


def test_the_process_of_trials_is_kept_and_ends_with_its_owner() -> None:
    trial = GrammarTrial(1000)
    trial.check(HARMLESS)
    process = trial._process
    assert isinstance(process, subprocess.Popen)
    trial.check(HARMLESS)
    assert trial._process is process
    del trial
    assert process.wait(10) is not None


def test_a_process_of_trials_that_was_killed_is_made_again() -> None:
    trial = GrammarTrial(1000)
    trial.check(HARMLESS)
    assert trial._process is not None
    trial._process.kill()
    trial._process.wait()
    with pytest.raises((InvalidRequest, Overloaded)):
        trial.check(HARMLESS)
    trial.check(HARMLESS)


async def test_streams_go_on_while_a_grammar_is_built(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    loop = EngineLoop(make_engine(tokenizer=tokenizer))
    loop.start()
    try:
        wanted = request("costly", (1, 2), grammar=COSTLY)

        async def costly() -> None:
            async for _ in loop.generate(wanted):
                raise AssertionError("a grammar that cannot be built was used")

        refused = asyncio.create_task(costly())
        await asyncio.sleep(0)
        async for _ in loop.generate(request("beside", (1, 2, 3), max_tokens=30)):
            assert not refused.done()
        with pytest.raises(InvalidRequest):
            await refused
    finally:
        loop.stop()


def test_a_grammar_that_exceeds_its_limits_midway_ends_its_own_row(
    make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = make_engine(adapters=(), tokenizer=tokenizer)
    [row] = engine.add(request("broken", (1, 2), max_tokens=40, temperature=1.0, seed=1, grammar=HARMLESS))
    assert row.constraint is not None
    row.constraint.accept(tokenizer.convert_tokens_to_ids("z"))  # which no JSON object begins with
    engine.add(request("beside", (1, 2, 3), max_tokens=20))
    ends = {}
    while engine.has_work:
        ends.update({event.request_id: event for event in engine.step() if event.finish_reason is not None})
    assert ends["broken"].failure.code == "grammar_failed"
    assert "cannot be followed any further" in ends["broken"].error
    assert ends["beside"].finish_reason == "length"


def test_the_library_refuses_the_same(make_engine: MakeEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = make_engine(adapters=(), tokenizer=tokenizer)
    with pytest.raises(InvalidRequest, match="takes more than"):
        engine.generate(["a"], None, SamplingParams(max_tokens=3, grammar=COSTLY))
