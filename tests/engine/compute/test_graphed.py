"""Decode steps in fixed shapes compute what steps of any shape compute; run here as they are, captured on a GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.engine.compute.compiled import CompiledLayers
from adaptrix_core.errors import InvalidRequest
from tests.engine.conftest import MakeEngine
from tests.engine.driving import drain, request, tokens_of
from tests.tiny_models import random_module, random_prompts, random_weights

TOLERANCE = 1e-5
"""Of the largest logit."""
GPU_TOLERANCE = 1e-4
"""The same on a GPU, where products of other sizes are summed in another order."""
BLOCK = 4
CHOICES = [None, "red", {"blue": 0.5, "red": -1.0}, "blue", None, "red"]
PROMPTS = random_prompts((3, 20, 9, 1, 17, 13))
OPTIONS = {"max_rows": 5, "prefix_cache": False, "block_size": BLOCK}


def graphed(engine: Engine, capture: bool = False) -> Engine:
    engine.runner.spans.graph_decoding(engine.options.max_rows, capture)
    return engine


def assert_near(got: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    assert (got - expected).abs().max() <= tolerance * expected.abs().max()


def generate_in_turns(engine: Engine) -> dict[tuple[str, int], list[int]]:
    """Rows join in the middle of others' answers and leave at different times; at most five at once."""
    events = []
    for number, (prompt, choice) in enumerate(zip(PROMPTS, CHOICES, strict=True)):
        engine.add(request(f"{number}", prompt, engine.resolve_mix(choice), max_tokens=4 + 3 * number))
        events += engine.step() + engine.step()
    return tokens_of(events + drain(engine))


@pytest.mark.parametrize(("variant", "cut"), [("llama", 2), ("mistral", None), ("gemma2", 2), ("gpt2", None)])
def test_fixed_shapes_give_the_same_logits_and_tokens(make_engine: MakeEngine, variant: str, cut: int | None) -> None:
    """Grouped heads; windows; softcaps; learned positions. Contexts cross blocks, tables cross powers of two."""
    usual = make_engine(variant, cut=cut, **OPTIONS)
    fixed = graphed(make_engine(variant, cut=cut, **OPTIONS))
    both = [engine.logits(PROMPTS, CHOICES, "stepwise") for engine in (usual, fixed)]
    for expected, got in zip(*both, strict=True):
        assert_near(got, expected)
    steps = fixed.stats()["cuda_graphs"]["steps"]
    assert steps == fixed.num_steps == usual.num_steps
    assert generate_in_turns(fixed) == generate_in_turns(usual)
    assert steps < fixed.stats()["cuda_graphs"]["steps"] < fixed.num_steps, "prompts are not computed in fixed shapes"


def contents(engine: Engine) -> list[list[Tensor]]:
    """Copies of what each span's slots hold."""
    cache = engine._cache
    return [
        [kept[layer].clone() for layer in span for kept in (cache.keys, cache.values)]
        + [states.clone() for states in cache.states[number : number + 1]]
        for number, span in enumerate(cache.spans)
    ]


def test_a_step_writes_its_own_slots_and_padding_the_scratch_block(make_engine: MakeEngine) -> None:
    """Three rows under one adapter, whose blocks have other numbers in each span."""
    engine = graphed(make_engine(cut=2, **OPTIONS))
    red, aside = engine.resolve_mix("red"), engine._cache.pools[0].allocate(3)
    rows = [engine.add(request(f"{number}", PROMPTS[number], red, max_tokens=9))[0] for number in (0, 2, 4)]
    engine.step()
    for block in aside:
        engine._cache.pools[0].let_go(block)
    scratch = range(engine._cache.scratch_block * BLOCK, (engine._cache.scratch_block + 1) * BLOCK)
    padded = 0
    for _ in range(6):
        before, places = contents(engine), [row.num_computed for row in rows]
        engine.step()
        for span, (old, new) in enumerate(zip(before, contents(engine), strict=True)):
            changes = [(a != b).flatten(1).any(1).nonzero()[:, 0] for a, b in zip(old, new, strict=True)]
            written = set(torch.cat(changes).tolist())
            tables = [row.tables[span] for row in rows]
            own = {t[at // BLOCK] * BLOCK + at % BLOCK for t, at in zip(tables, places, strict=True)}
            assert own <= written <= own | set(scratch)
            padded += bool(written & set(scratch))
    assert engine.stats()["cuda_graphs"]["steps"] == 6
    assert padded > 0
    drain(engine)


def test_what_blocks_held_before_and_what_padding_wrote_does_not_matter(make_engine: MakeEngine) -> None:
    """A masked slot has weight 0, and 0 times infinity is no number."""
    usual, fixed = make_engine(**OPTIONS), graphed(make_engine(**OPTIONS))
    for kept in (*fixed._cache.keys.values(), *fixed._cache.values.values()):
        kept.fill_(float("inf"))
    for expected, got in zip(*(e.logits(PROMPTS[:3], CHOICES[:3], "stepwise") for e in (usual, fixed)), strict=True):
        assert_near(got, expected)


def test_a_step_that_would_gather_far_more_than_the_cache_holds_is_not_padded(make_engine: MakeEngine) -> None:
    """Ten blocks: one long row beside three short ones would gather 32 of them."""
    engine = graphed(make_engine(kv_cache_tokens=10 * BLOCK, **OPTIONS))
    engine.add(request("long", PROMPTS[1], max_tokens=10))
    engine.step()
    for number in range(3):
        engine.add(request(f"{number}", PROMPTS[3], max_tokens=3))
    engine.step()
    seen = set()
    while engine.has_work:
        running, before = engine.scheduler.num_running, engine.stats()["cuda_graphs"]["steps"]
        engine.step()
        seen.add((running, engine.stats()["cuda_graphs"]["steps"] - before))
    assert seen == {(4, 0), (1, 1)}


def test_nothing_is_padded_while_layers_are_being_compiled(make_engine: MakeEngine) -> None:
    """A graph would keep the layers as they are before."""
    engine = graphed(make_engine(**OPTIONS))
    layers = engine.runner.spans.call_layer = CompiledLayers(engine.base)
    generate_in_turns(engine)
    assert layers.state == "compiling"
    assert engine.stats()["cuda_graphs"]["steps"] == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="a capture fails where there is no CUDA device")
def test_a_capture_that_fails_leaves_steps_as_they_are_and_says_why(
    make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    usual, failing = make_engine(**OPTIONS), graphed(make_engine(**OPTIONS), capture=True)
    assert generate_in_turns(failing) == generate_in_turns(usual)
    stats = failing.stats()["cuda_graphs"]
    assert stats["error"]
    assert (stats["steps"], stats["graphs"]) == (0, 0)
    assert sum("without CUDA graphs" in record.message for record in caplog.records) == 1


def test_graphs_are_refused_where_there_is_no_cuda_and_off_by_default(make_engine: MakeEngine) -> None:
    assert make_engine().stats()["cuda_graphs"] is None
    with pytest.raises(InvalidRequest, match="cuda_graphs is true, but the model is on cpu"):
        make_engine(cuda_graphs=True)
    assert [EngineOptions(cuda_graphs=given).cuda_graphs_on(torch.device("cuda")) for given in (None, False)] == [
        True,
        False,
    ]


@pytest.mark.gpu
@pytest.mark.parametrize(("variant", "cut"), [("llama", 2), ("mistral", None), ("gemma2", 2), ("gpt2", None)])
def test_replayed_steps_equal_eager_ones(
    make_engine: MakeEngine, save_adapter: Callable[..., Path], variant: str, cut: int | None
) -> None:
    """Adapters that come later, at other points and of larger ranks, are captured anew."""
    torch.backends.cuda.matmul.allow_tf32 = False
    module = random_module(variant).to("cuda")
    bases = [BaseModel.from_module(copy.deepcopy(module), lineage=f"test/{variant}") for _ in range(2)]
    usual, replayed = (
        make_engine(base=base, cut=cut, cuda_graphs=graphs, **OPTIONS)
        for base, graphs in zip(bases, (False, True), strict=True)
    )
    late = random_weights(bases[0], points=list(bases[0].points), rank=33, seed=9)
    for choices in (CHOICES, ["late", *CHOICES[1:]]):
        for expected, got in zip(*(e.logits(PROMPTS, choices, "stepwise") for e in (usual, replayed)), strict=True):
            assert_near(got, expected, GPU_TOLERANCE)
        for engine in (usual, replayed):
            engine.load_adapter(save_adapter(engine.base, "late", late), "late")
    assert generate_in_turns(replayed) == generate_in_turns(usual)
    stats = replayed.stats()["cuda_graphs"]
    assert stats["error"] is None
    assert stats["graphs"] > 1
    assert stats["steps"] > 0
