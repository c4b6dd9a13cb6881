"""A pool of blocks: whatever is done to it, a key finds what it named, and what was let go first is given out first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrix_core.engine.cache.blocks import BlockPool

BLOCKS = 5


def test_a_block_is_found_until_it_is_given_out_again() -> None:
    pool = BlockPool(2)
    [block] = pool.allocate(1)
    pool.name(block, b"key")
    pool.let_go(block)
    assert pool.find(b"key") == block
    assert block in pool.allocate(2)
    assert pool.find(b"key") is None


def test_nameless_blocks_go_first_then_the_longest_idle() -> None:
    pool = BlockPool(4)
    first, second, nameless, held = pool.allocate(4)
    pool.name(first, b"1")
    pool.name(second, b"2")
    for block in (first, second, nameless):
        pool.let_go(block)
    assert pool.allocate(3) == [nameless, first, second]
    assert pool.faults([nameless, first, second, held]) == []


def test_of_two_blocks_with_one_key_the_first_is_found() -> None:
    pool = BlockPool(2)
    one, other = pool.allocate(2)
    pool.name(one, b"key")
    pool.name(other, b"key")
    assert pool.find(b"key") == one


def test_a_wrong_count_is_noticed() -> None:
    pool = BlockPool(3)
    [block] = pool.allocate(1)
    assert pool.faults([block]) == []
    assert pool.faults([]) != []
    assert pool.faults([block, block]) != []


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["take", "hold", "let go", "name"]), st.integers(0, BLOCKS - 1)), max_size=60)
)
def test_every_block_is_idle_or_held_and_names_follow_blocks(actions: list[tuple[str, int]]) -> None:
    pool = BlockPool(BLOCKS)
    held: Counter[int] = Counter()
    names: dict[bytes, int] = {}
    for action, number in actions:
        if action == "take" and pool.num_idle:
            [block] = pool.allocate(1)
            assert held[block] == 0
            held[block] = 1
            names = {key: named for key, named in names.items() if named != block}
        elif action == "hold" and (held[number] or number in names.values()):
            pool.hold(number)
            held[number] += 1
        elif action == "let go" and held[number]:
            pool.let_go(number)
            held[number] -= 1
        elif action == "name" and held[number] and number not in names.values():
            key = bytes([number % 3])
            pool.name(number, key)
            names.setdefault(key, number)
        assert {key: pool.find(key) for key in names} == names
        assert pool.faults(list(held.elements())) == []
        assert pool.num_idle == BLOCKS - sum(count > 0 for count in held.values())


def test_what_depends_on_a_label_can_be_forgotten_held_or_idle() -> None:
    pool = BlockPool(4)
    held, idle, other, _ = pool.allocate(4)
    pool.name(held, b"1", frozenset({"red"}))
    pool.name(idle, b"2", frozenset({"red", "blue"}))
    pool.name(other, b"3", frozenset({"blue"}))
    for block in (other, idle):
        pool.let_go(block)
    assert pool.forget_label("red") == 2
    assert [pool.find(key) for key in (b"1", b"2", b"3")] == [None, None, other]
    assert pool.allocate(1) == [idle]
    assert pool.forget_label("red") == 0
    pool.name(idle, b"4", frozenset())
    assert pool.find(b"4") == idle
