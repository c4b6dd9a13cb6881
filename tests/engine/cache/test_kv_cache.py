"""Blocks are handed out once, come back whole, and the accounting notices when they do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrix_core.engine.cache.kv_cache import KVCache
from tests.tiny_models import random_base

BASE = random_base()
BLOCKS, BLOCK_SIZE = 10, 4
SPANS = [range(0, 2), range(2, 4)]


def make_cache() -> KVCache:
    return KVCache(BASE, SPANS, BLOCKS, BLOCK_SIZE)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 45)), max_size=30))
def test_whatever_rows_do_every_block_is_free_or_held_by_one_of_them(actions: list[tuple[int, int]]) -> None:
    cache = make_cache()
    rows = [cache.empty_tables() for _ in range(4)]
    for row, tokens in actions:
        before = [list(table) for table in rows[row]]
        held = sum(len(tables[0]) for tables in rows)
        if tokens < 0:
            cache.release(rows[row])
            assert rows[row] == [[], []]
        else:
            missing = max(0, -(-tokens // BLOCK_SIZE) - len(before[0]))
            grown = cache.extend(rows[row], tokens)
            assert grown == (missing <= BLOCKS - held)
            for table, old in zip(rows[row], before, strict=True):
                assert table[: len(old)] == old, "a row's earlier blocks must stay where they are"
                assert len(table) == len(old) + (missing if grown else 0)
        assert cache.check_integrity(rows) == []
        assert cache.num_free_blocks == BLOCKS - sum(len(tables[0]) for tables in rows)
    for tables in rows:
        cache.release(tables)
    assert cache.num_free_blocks == BLOCKS


def test_a_token_lies_in_its_block_at_its_offset() -> None:
    cache = make_cache()
    assert cache.slots([7, 2, 5], 10).tolist() == [28, 29, 30, 31, 8, 9, 10, 11, 20, 21]


def test_every_layer_has_keys_and_values_for_all_slots_and_a_scratch_block() -> None:
    cache = make_cache()
    assert sorted(cache.keys) == sorted(cache.values) == [0, 1, 2, 3]
    info = BASE.info
    slots = (BLOCKS + 1) * BLOCK_SIZE
    assert {tuple(t.shape) for t in cache.keys.values()} == {(slots, info.num_kv_heads, info.head_dim)}
    assert cache.scratch_block not in cache.pools[0].allocate(BLOCKS)
    assert cache.capacity_tokens == 40


@pytest.mark.parametrize("damage", ["lost", "shared", "both free and held"])
def test_the_accounting_notices_blocks_that_are(damage: str) -> None:
    cache = make_cache()
    row, other = cache.empty_tables(), cache.empty_tables()
    cache.extend(row, 9)
    cache.extend(other, 5)
    assert cache.check_integrity([row, other]) == []
    if damage == "lost":
        row[1].pop()
    elif damage == "shared":
        other[1].append(row[1][0])
    else:
        cache.release([[], [row[1][0]]])
    [fault] = cache.check_integrity([row, other])
    assert "layers 2-3" in fault
