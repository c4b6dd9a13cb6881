"""Attention through FlashInfer: the tables that it reads, and, on a CUDA device that has it, equal results."""

from __future__ import annotations

import pytest
import torch

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import SamplingParams
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.paged_library import paged_library, pages_of
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_base, random_module, random_prompts, random_weights

BLOCK = 4
TABLES = [[7, 2, 9], [0], [5, 3]]
CONTEXTS = [9, 4, 5]
LENGTHS = [1, 4, 2]
TOLERANCE = 5e-2
"""Of the largest logit: bfloat16 keeps 8 bits, and four layers of large random weights pass errors on."""


def test_pages_name_the_same_slots_as_the_cache() -> None:
    """Read as FlashInfer documents it, segment by segment; the third table has a block more than its context needs."""
    tables = [TABLES[0], TABLES[1], [*TABLES[2], 8]]
    pages = pages_of(tables, CONTEXTS, LENGTHS, BLOCK)
    cache = KVCache(random_base(), [range(4)], num_blocks=10, block_size=BLOCK)
    for number, (table, context) in enumerate(zip(tables, CONTEXTS, strict=True)):
        blocks = pages.blocks[pages.block_starts[number] : pages.block_starts[number + 1]].tolist()
        count = (len(blocks) - 1) * BLOCK + int(pages.last_lengths[number])
        assert count == context
        slots = [block * BLOCK + offset for block in blocks for offset in range(BLOCK)][:count]
        assert slots == cache.slots(table, context).tolist()
    assert pages.query_starts.tolist() == [0, 1, 5, 7]
    assert all(tensor.dtype == torch.int32 for tensor in (pages.query_starts, pages.blocks, pages.last_lengths))


def test_torchs_own_attention_serves_where_the_library_does_not() -> None:
    assert paged_library(random_base(), BLOCK) is None


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["llama", "mistral", "gemma2"])
def test_the_library_computes_what_torchs_own_attention_computes(make_engine: MakeEngine, variant: str) -> None:
    """Grouped heads; a sliding window; windows in every other layer with softcaps and a scaling of its own."""
    pytest.importorskip("flashinfer", reason="FlashInfer is not installed")
    base = BaseModel.from_module(random_module(variant, head_dim=64).to("cuda", torch.bfloat16), lineage="test/random")
    engine = make_engine(base=base, adapters={"red": random_weights(base)}, prefix_cache=False)
    assert engine.runner.spans.library is not None
    prompts, choices = random_prompts((3, 17, 9)), [None, "red", {"red": 0.5}]
    for schedule in ("one_shot", "chunked", "stepwise"):
        through_library = engine.logits(prompts, choices, schedule)
        library, engine.runner.spans.library = engine.runner.spans.library, None
        expected = engine.logits(prompts, choices, schedule)
        engine.runner.spans.library = library
        for own, other in zip(expected, through_library, strict=True):
            assert (own - other).abs().max() <= TOLERANCE * own.abs().max()
    assert engine.generate(prompts, choices, SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True))
